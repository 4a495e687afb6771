-- How old is the newest message when the job commits it?
-- Units: milliseconds, the worst commit of the last minute with one.
SELECT lag_ms AS "lag"
FROM v_pipeline
WHERE $__timeFilter(minute)
ORDER BY minute DESC
LIMIT 1
