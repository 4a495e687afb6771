-- How well is everything that can be judged: clusters, services and gateways?
-- Units: mean score; 1 healthy, 0 failing. What is too quiet to judge is left out.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT $__timeGroupAlias(minute, '$__interval'), avg(score) AS health
FROM v_health_1m
WHERE $__timeFilter(minute) AND entity_kind IN ('cluster', 'service', 'gateway')
  AND coalesce(cluster, '') IN (FROM picked)
GROUP BY 1
HAVING avg(score) IS NOT NULL
ORDER BY 1
