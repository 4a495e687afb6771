-- Which addresses do not mean one thing in one address space?
-- Units: addresses in both.
SELECT $__timeTo()::TIMESTAMPTZ AS "time", replace(problem, '_', ' ') AS problem,
       concat_ws(' ', network, cluster, kind, range, name) AS one,
       concat_ws(' ', other_network, other_cluster, other_kind, other_range, other_name) AS other,
       max(addresses) AS addresses
FROM v_ipspace
WHERE severity = 'error' AND problem IN ('declared_overlap', 'observed_conflict')
GROUP BY ALL
ORDER BY 1, 2, 3, 4
