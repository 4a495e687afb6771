-- Whom does that client call?
-- Units: names of entities.
SELECT DISTINCT target AS __value, target AS __text
FROM topology_edges('workload', $__timeFrom(), $__timeTo())
WHERE kind = 'call' AND source = '$source'
ORDER BY 1
LIMIT 5000
