-- How many calls to it did an authorization policy deny?
-- Units: calls.
WITH me AS (FROM entities_called('$service'))
SELECT bucket_start AS time, sum(denied) AS denied
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY 1
ORDER BY 1
