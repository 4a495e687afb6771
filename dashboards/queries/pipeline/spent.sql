-- Where does the job's time go?
-- Units: milliseconds a minute.
SELECT minute AS "time", poll_ms AS waiting, decode_ms AS decoding, enrich_ms AS naming, write_ms AS writing
FROM v_pipeline
WHERE $__timeFilter(minute)
ORDER BY 1
