-- How many rows does the job write?
-- Units: rows a second.
SELECT $__timeGroup(minute, $__interval) AS "time",
       sum(flows) * 1000 / $__interval_ms AS flows, sum(requests) * 1000 / $__interval_ms AS requests
FROM v_pipeline
WHERE $__timeFilter(minute)
GROUP BY 1
ORDER BY 1
