-- How many calls are made?
-- Units: calls a second, each once, whichever proxies told of it.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, sum(requests / bucket_s) AS requests
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
GROUP BY 1
ORDER BY 1
