-- What share of calls left their client's proxy without TLS?
-- Units: share of calls.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, 1 - sum(tls_requests) / sum(requests) AS "without TLS"
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
GROUP BY 1
HAVING sum(requests) > 0
ORDER BY 1
