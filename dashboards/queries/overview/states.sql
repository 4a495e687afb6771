-- Which cluster or gateway was well when?
-- Units: worst state of the time: 0 unknown, 1 healthy, 2 degraded, 3 failing.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT $__timeGroupAlias(minute, '$__interval'), entity_kind || ' ' || entity AS metric,
       max(CASE state WHEN 'healthy' THEN 1 WHEN 'degraded' THEN 2 WHEN 'failing' THEN 3 ELSE 0 END) AS state
FROM v_health_1m
WHERE $__timeFilter(minute) AND entity_kind IN ('cluster', 'gateway')
  AND coalesce(cluster, '') IN (FROM picked)
GROUP BY 1, 2
ORDER BY 1, 2
