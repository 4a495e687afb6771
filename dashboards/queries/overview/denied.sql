-- How many calls did an authorization policy deny?
-- Units: calls.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, sum(denied) AS denied
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
GROUP BY 1
ORDER BY 1
