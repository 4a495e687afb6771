-- What is wrong with the address space: which ranges overlap, which addresses have two owners?
-- Units: addresses in both; flow records and requests of the last day that can not be named because of it.
SELECT severity, replace(problem, '_', ' ') AS problem,
       concat_ws(' ', network, cluster, kind, range, name) AS what,
       concat_ws(' ', other_network, other_cluster, other_kind, other_range, other_name) AS "and",
       addresses, coalesce(flows, 0) + coalesce(requests, 0) AS records, detail, last_time AS "last seen"
FROM v_ipspace
WHERE problem NOT IN ('exhaustion', 'unowned')
  AND ('*' IN ($network) OR network IN ($network) OR other_network IN ($network))
ORDER BY list_position(['error', 'warning', 'info'], severity), records DESC, addresses DESC, what
LIMIT 200
