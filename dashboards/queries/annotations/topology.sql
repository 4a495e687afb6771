-- Which services called one another for the first time in 30 days?
-- Units: times.
SELECT first_time AS "time", NULL::TIMESTAMPTZ AS timeend,
       'new: ' || source || ' to ' || target || coalesce(' over ' || gateway, '') AS text, path_model AS tags
FROM topology_edges('service', $__timeTo()::TIMESTAMPTZ - INTERVAL 30 DAY, $__timeTo())
WHERE kind = 'call' AND $__timeFilter(first_time)
ORDER BY 1, 3
LIMIT 200
