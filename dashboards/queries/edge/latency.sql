-- How long do calls take, seen from both ends?
-- Units: milliseconds, of merged histograms, 3 % off at most.
SELECT bucket_start AS time,
       histogram_quantile(histogram_merge(durations), 0.5) AS "p50 client",
       histogram_quantile(histogram_merge(durations), 0.95) AS "p95 client",
       histogram_quantile(histogram_merge(server_durations), 0.5) AS "p50 server",
       histogram_quantile(histogram_merge(server_durations), 0.95) AS "p95 server"
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
GROUP BY 1
ORDER BY 1
