-- Of what each cluster has, how much does anybody observe?
-- Units: share of what the inventory knows that was observed in the last hour.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT coalesce(cluster, 'no cluster') || ': ' || kind || 's (' || observed || ' of ' || expected || ')' AS what,
       observed_share AS observed
FROM v_coverage
WHERE coalesce(cluster, '') IN (FROM picked)
ORDER BY observed_share, what
LIMIT 40
