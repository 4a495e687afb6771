-- How old is the newest message when the job commits it?
-- Units: milliseconds, the worst commit of each minute.
SELECT minute AS "time", lag_ms AS lag
FROM v_pipeline
WHERE $__timeFilter(minute)
ORDER BY 1
