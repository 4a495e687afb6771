-- How much do its calls carry?
-- Units: body octets a second: requests to it, and its answers.
WITH me AS (FROM entities_called('$service'))
SELECT bucket_start AS time, sum(bytes_received / bucket_s) AS "in", sum(bytes_sent / bucket_s) AS "out"
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY 1
ORDER BY 1
