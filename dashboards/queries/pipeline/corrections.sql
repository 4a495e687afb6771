-- How many rows were named again, when their inventory came late?
-- Units: rows.
SELECT $__timeGroup(corrected_time, $__interval) AS "time", from_resolution || ' to ' || to_resolution AS change, sum(rows) AS rows
FROM v_corrections
WHERE $__timeFilter(corrected_time)
GROUP BY 1, 2
ORDER BY 1, 2
