-- What share of its calls does it answer as it should?
-- Units: share of calls; failed are status 500 and above, and calls without a response.
WITH me AS (FROM entities_called('$service'))
SELECT bucket_start AS time, 1 - sum(errors) / sum(requests) AS success
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY 1
HAVING sum(requests) > 0
ORDER BY 1
