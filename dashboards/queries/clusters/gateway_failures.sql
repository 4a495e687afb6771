-- What share of calls through each gateway fails?
-- Units: share of calls.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, gateway AS metric, sum(errors) / sum(requests) AS failed
FROM edges_between($__timeFrom(), $__timeTo())
WHERE gateway IS NOT NULL
  AND (coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked))
GROUP BY 1, 2
HAVING sum(requests) > 0
ORDER BY 1, 2
