-- Who calls anybody?
-- Units: names of entities.
SELECT DISTINCT source AS __value, source AS __text
FROM topology_edges('workload', $__timeFrom(), $__timeTo())
WHERE kind = 'call'
ORDER BY 1
LIMIT 5000
