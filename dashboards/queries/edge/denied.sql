-- How many did an authorization policy deny?
-- Units: calls.
SELECT bucket_start AS time, sum(denied) AS denied
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
GROUP BY 1
ORDER BY 1
