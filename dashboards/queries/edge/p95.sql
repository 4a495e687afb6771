-- How long do the slowest but one in twenty take for the client?
-- Units: milliseconds, 3 % off at most.
SELECT bucket_start AS time, histogram_quantile(histogram_merge(durations), 0.95) AS p95
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target')) AND durations IS NOT NULL
GROUP BY 1
ORDER BY 1
