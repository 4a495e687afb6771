-- Which findings were opened in this time?
-- Units: times.
SELECT first_seen AS "time", closed_time AS timeend,
       severity || ': ' || entity || ': ' || summary AS text,
       kind || ',' || severity || ',' || state AS tags
FROM v_findings
WHERE $__timeFilter(first_seen)
ORDER BY 1
LIMIT 200
