-- Of what the inventory knows, how much does anybody see?
-- Units: things; share of them that was observed in the last hour.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT cluster, kind, expected, observed, others_only AS "seen by others only", silent, never_seen AS "never seen",
       observed_share AS share
FROM v_coverage
WHERE coalesce(cluster, '') IN (FROM picked)
ORDER BY observed_share, expected DESC, cluster, kind
