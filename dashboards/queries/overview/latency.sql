-- How slow are calls within a cluster, between clusters, and through gateways?
-- Units: milliseconds, 95th percentile at the client's proxy.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), counted AS (
    SELECT bucket_start, path, one.bucket, sum(one.calls) AS calls
    FROM (
        SELECT bucket_start, coalesce(path_model, 'unknown') AS path, unnest(durations) AS one
        FROM edges_between($__timeFrom(), $__timeTo())
        WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
    )
    GROUP BY ALL
)
SELECT bucket_start AS time, path AS metric,
       histogram_quantile(list({'bucket': bucket, 'calls': calls}), 0.95) AS p95
FROM counted
GROUP BY 1, 2
ORDER BY 1, 2
