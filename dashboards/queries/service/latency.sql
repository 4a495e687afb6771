-- How long do its calls take, as clients see it, and as its own proxies do?
-- Units: milliseconds, of merged histograms, 3 % off at most.
WITH me AS (FROM entities_called('$service'))
SELECT bucket_start AS time,
       histogram_quantile(histogram_merge(durations), 0.5) AS p50,
       histogram_quantile(histogram_merge(durations), 0.95) AS p95,
       histogram_quantile(histogram_merge(durations), 0.99) AS p99,
       histogram_quantile(histogram_merge(server_durations), 0.95) AS "p95 at the server"
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY 1
ORDER BY 1
