-- Which edges were seen for the first time in this time?
-- Units: times.
SELECT first_time AS "time", NULL::TIMESTAMPTZ AS timeend,
       'new: ' || source || ' to ' || target || coalesce(' over ' || gateway, '') AS text,
       kind AS tags
FROM v_topology_edges
WHERE $__timeFilter(first_time)
ORDER BY 1
LIMIT 200
