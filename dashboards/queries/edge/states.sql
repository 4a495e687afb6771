-- When was this edge well, and when were its two ends?
-- Units: worst state of the time: 0 unknown, 1 healthy, 2 degraded, 3 failing.
SELECT $__timeGroupAlias(minute, '$__interval'), entity_kind || ' ' || entity AS metric,
       max(CASE state WHEN 'healthy' THEN 1 WHEN 'degraded' THEN 2 WHEN 'failing' THEN 3 ELSE 0 END) AS state
FROM v_health_1m
WHERE $__timeFilter(minute) AND (entity_kind = 'edge' AND entity = '$source' || ' -> ' || '$target'
    OR entity_kind IN ('service', 'workload') AND entity IN ('$source', '$target'))
GROUP BY 1, 2
ORDER BY 1, 2
