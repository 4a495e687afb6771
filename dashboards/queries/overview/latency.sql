-- How slow are calls within a cluster, between clusters, and through gateways?
-- Units: milliseconds, 95th percentile at the client's proxy.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, coalesce(path_model, 'unknown') AS metric,
       histogram_quantile(histogram_merge(durations), 0.95) AS p95
FROM edges_between($__timeFrom(), $__timeTo())
WHERE durations IS NOT NULL
  AND (coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked))
GROUP BY 1, 2
ORDER BY 1, 2
