-- How many addresses do not mean one thing?
-- Units: addresses, in overlaps and conflicts within what should be one address space.
SELECT coalesce(sum(addresses), 0) AS contending
FROM v_ipspace
WHERE severity = 'error' AND problem IN ('declared_overlap', 'observed_conflict')
  AND ('*' IN ($network) OR network IN ($network) OR other_network IN ($network))
