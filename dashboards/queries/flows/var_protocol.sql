-- Which protocols went over the wire in the time range?
-- Units: names.
SELECT DISTINCT protocol AS __value, protocol AS __text
FROM legs_between($__timeFrom(), $__timeTo())
WHERE protocol IS NOT NULL
ORDER BY 1
