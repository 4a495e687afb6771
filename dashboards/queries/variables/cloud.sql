-- Which clouds are there?
-- Units: names.
SELECT DISTINCT provider AS __value, provider AS __text
FROM v_clusters
WHERE provider IS NOT NULL
ORDER BY 1
