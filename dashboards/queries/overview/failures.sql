-- In which clusters do calls fail?
-- Units: share of the calls each cluster serves.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, coalesce(server_cluster, 'unknown') AS metric, sum(errors) / sum(requests) AS failed
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(server_cluster, '') IN (FROM picked)
GROUP BY 1, 2
HAVING sum(requests) > 0
ORDER BY 1, 2
