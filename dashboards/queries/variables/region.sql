-- Which regions of these clouds have clusters?
-- Units: names.
SELECT DISTINCT region AS __value, region AS __text
FROM v_clusters
WHERE region IS NOT NULL
  AND ('*' IN ($cloud) OR provider IN ($cloud))
ORDER BY 1
