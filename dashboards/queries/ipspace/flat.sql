-- Which clusters could share one flat network, and what blocks the others?
-- Units: pairs of ranges in the way; addresses in both.
SELECT cluster_a AS cluster, cluster_b AS "with", state, network_a AS "its network", network_b AS "the other's",
       conflicts, addresses, blocking AS "in the way"
FROM v_flat_readiness
WHERE '*' IN ($network) OR network_a IN ($network) OR network_b IN ($network)
ORDER BY list_position(['conflicting', 'blocked', 'unknown', 'ready', 'flat'], state), conflicts DESC, 1, 2
LIMIT 200
