-- Which pods or machines is it, where, and since when?
-- Units: names and times; those that are there at the end of the time range.
WITH me AS (FROM entities_called('$service'))
SELECT coalesce(pod, workload) AS pod, kind, ip, network, node, zone, identity, service AS host, valid_from AS since
FROM v_endpoints
WHERE entity IN (FROM me) AND coalesce(valid_from, $__timeTo()::TIMESTAMPTZ) <= $__timeTo()::TIMESTAMPTZ
  AND coalesce(valid_to, $__timeTo()::TIMESTAMPTZ) >= $__timeTo()::TIMESTAMPTZ
ORDER BY pod, ip
LIMIT 200
