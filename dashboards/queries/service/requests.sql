-- How many calls does the service get?
-- Units: calls a second.
WITH me AS (FROM entities_called('$service'))
SELECT bucket_start AS time, sum(requests / bucket_s) AS requests
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY 1
ORDER BY 1
