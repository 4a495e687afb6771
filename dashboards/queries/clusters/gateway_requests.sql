-- How many calls go through each gateway?
-- Units: calls a second.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, gateway AS metric, sum(requests / bucket_s) AS requests
FROM edges_between($__timeFrom(), $__timeTo())
WHERE gateway IS NOT NULL
  AND (coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked))
GROUP BY 1, 2
ORDER BY 1, 2
