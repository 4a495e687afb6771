-- What does the way cost: gateways, network and proxies?
-- Units: milliseconds, mean of what the client waited beyond the server, of calls that both timed.
SELECT bucket_start AS time, sum(on_the_way_ns) / 1e6 / nullif(sum(both_timed), 0) AS tax
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
GROUP BY 1
HAVING sum(both_timed) > 0
ORDER BY 1
