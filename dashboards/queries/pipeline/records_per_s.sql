-- How many rows does the job write?
-- Units: rows a second.
SELECT $__timeGroup(minute, '1m') AS time,
       sum(flows) / 60 AS flows, sum(requests) / 60 AS requests, sum(rejects) / 60 AS rejects
FROM v_pipeline
WHERE $__timeFilter(minute)
GROUP BY 1
ORDER BY 1
