-- How many pairs of clusters are in one flat address space, or could be?
-- Units: pairs of clusters.
SELECT count(*) FILTER (state = 'flat') AS "flat", count(*) FILTER (state = 'ready') AS "could be flat",
       count(*) FILTER (state IN ('blocked', 'conflicting')) AS "in the way"
FROM v_flat_readiness
WHERE '*' IN ($network) OR network_a IN ($network) OR network_b IN ($network)
