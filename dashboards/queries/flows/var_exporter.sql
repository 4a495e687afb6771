-- Which exporters told of flows in the time range?
-- Units: names.
SELECT DISTINCT exporter AS __value, exporter AS __text
FROM v_sources_1m
WHERE $__timeFilter(minute) AND format NOT LIKE 'envoy%' AND exporter IS NOT NULL
ORDER BY 1
LIMIT 5000
