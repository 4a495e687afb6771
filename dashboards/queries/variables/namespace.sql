-- Which namespaces have these clusters?
-- Units: names.
SELECT DISTINCT namespace AS __value, namespace AS __text
FROM v_endpoints
WHERE namespace IS NOT NULL
  AND ('*' IN ($cloud) OR provider IN ($cloud))
  AND ('*' IN ($region) OR region IN ($region))
  AND ('*' IN ($network) OR network IN ($network))
  AND ('*' IN ($cluster) OR cluster IN ($cluster))
ORDER BY 1
