-- How do calls over each path end?
-- Units: calls a second. Refused: status 400 to 499, denials included. Failed: 500 and above, or no response.
SELECT bucket_start AS time, sum((requests - errors - client_errors) / bucket_s) AS answered,
       sum(client_errors / bucket_s) AS refused, sum(errors / bucket_s) AS failed
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
GROUP BY 1
ORDER BY 1
