-- Which networks (in which an address means one thing) are in these clouds and regions?
-- Units: names.
SELECT DISTINCT network AS __value, network AS __text
FROM v_clusters
WHERE network IS NOT NULL
  AND ('*' IN ($cloud) OR provider IN ($cloud))
  AND ('*' IN ($region) OR region IN ($region))
ORDER BY 1
