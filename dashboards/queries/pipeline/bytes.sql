-- How much comes from the log?
-- Units: bytes a second.
SELECT $__timeGroup(minute, $__interval) AS "time",
       sum(payload_bytes) * 1000 / $__interval_ms AS payloads
FROM v_pipeline
WHERE $__timeFilter(minute)
GROUP BY 1
ORDER BY 1
