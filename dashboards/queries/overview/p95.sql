-- How long do the slowest calls but one in twenty take, as their clients see it?
-- Units: milliseconds, 95th percentile of merged histograms, 3 % off at most.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, histogram_quantile(histogram_merge(durations), 0.95) AS p95
FROM edges_between($__timeFrom(), $__timeTo())
WHERE durations IS NOT NULL
  AND (coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked))
GROUP BY 1
ORDER BY 1
