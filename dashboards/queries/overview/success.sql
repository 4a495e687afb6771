-- What share of calls did the server side answer as it should?
-- Units: share of calls; failed are status 500 and above, and calls without a response.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, 1 - sum(errors) / sum(requests) AS success
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
GROUP BY 1
HAVING sum(requests) > 0
ORDER BY 1
