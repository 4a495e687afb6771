-- When was it well, and when were those who call it or whom it calls?
-- Units: worst state of the time: 0 unknown, 1 healthy, 2 degraded, 3 failing.
WITH me AS (FROM entities_called('$service'))
SELECT $__timeGroupAlias(minute, '$__interval'), entity AS metric,
       max(CASE state WHEN 'healthy' THEN 1 WHEN 'degraded' THEN 2 WHEN 'failing' THEN 3 ELSE 0 END) AS state
FROM v_health_1m
WHERE $__timeFilter(minute) AND entity_kind IN ('service', 'workload', 'edge')
  AND (entity IN (FROM me) OR split_part(entity, ' -> ', 2) IN (FROM me) OR split_part(entity, ' -> ', 1) IN (FROM me))
GROUP BY 1, 2
ORDER BY 1, 2
