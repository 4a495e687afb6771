-- How much traffic can not be named because of the address space?
-- Units: flow records and requests of the last day.
SELECT coalesce(sum(flows), 0) + coalesce(sum(requests), 0) AS records
FROM v_ipspace
WHERE problem IN ('ambiguous_traffic', 'unowned') AND ('*' IN ($network) OR network IN ($network))
