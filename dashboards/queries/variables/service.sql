-- Which services (as node graphs and edges name them) are in these namespaces?
-- Units: names of entities.
SELECT DISTINCT entity AS __value, entity AS __text
FROM v_endpoints
WHERE entity IS NOT NULL AND kind IN ('pod', 'vm')
  AND ('*' IN ($cloud) OR provider IN ($cloud))
  AND ('*' IN ($region) OR region IN ($region))
  AND ('*' IN ($network) OR network IN ($network))
  AND ('*' IN ($cluster) OR cluster IN ($cluster))
  AND ('*' IN ($namespace) OR namespace IN ($namespace))
ORDER BY 1
LIMIT 5000
