-- How much of what each cluster serves came encrypted?
-- Units: share of calls whose proxies tell of TLS or its absence.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS "time", coalesce(server_cluster, 'unknown') AS cluster,
       sum(tls_requests) / sum(requests) AS encrypted
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(server_cluster, '') IN (FROM picked)
GROUP BY 1, 2
HAVING sum(requests) > 0
ORDER BY 1, 2
