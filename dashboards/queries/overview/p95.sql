-- How long do the slowest calls but one in twenty take, as their clients see it?
-- Units: milliseconds, 95th percentile of merged histograms, 3 % off at most.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), counted AS (
    SELECT bucket_start, one.bucket, sum(one.calls) AS calls
    FROM (
        SELECT bucket_start, unnest(durations) AS one
        FROM edges_between($__timeFrom(), $__timeTo())
        WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
    )
    GROUP BY ALL
)
SELECT bucket_start AS time, histogram_quantile(list({'bucket': bucket, 'calls': calls}), 0.95) AS p95
FROM counted
GROUP BY 1
ORDER BY 1
