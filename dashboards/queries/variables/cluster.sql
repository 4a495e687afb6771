-- Which clusters are in these clouds, regions and networks?
-- Units: names.
SELECT DISTINCT cluster AS __value, cluster AS __text
FROM v_clusters
WHERE cluster IS NOT NULL
  AND ('*' IN ($cloud) OR provider IN ($cloud))
  AND ('*' IN ($region) OR region IN ($region))
  AND ('*' IN ($network) OR network IN ($network))
ORDER BY 1
