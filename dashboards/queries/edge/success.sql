-- What share of them is answered as it should be?
-- Units: share of calls; failed are status 500 and above, and calls without a response.
SELECT bucket_start AS time, 1 - sum(errors) / sum(requests) AS success
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
GROUP BY 1
HAVING sum(requests) > 0
ORDER BY 1
