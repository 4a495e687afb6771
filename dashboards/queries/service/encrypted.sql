-- What share of calls to it leave their client over TLS?
-- Units: share of calls.
WITH me AS (FROM entities_called('$service'))
SELECT bucket_start AS time, sum(tls_requests) / sum(requests) AS "over TLS"
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY 1
HAVING sum(requests) > 0
ORDER BY 1
