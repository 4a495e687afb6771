-- Over which paths do calls go?
-- Units: calls a second.
SELECT bucket_start AS time, coalesce('via ' || gateway, path_model, 'unknown') AS metric,
       sum(requests / bucket_s) AS requests
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
GROUP BY 1, 2
ORDER BY 1, 2
