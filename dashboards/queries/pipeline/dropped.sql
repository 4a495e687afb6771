-- What was lost between the network and the log?
-- Units: payloads, of the time range; duplicates are counted once and lost by nobody.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT coalesce(sum(payloads), 0) AS dropped
FROM v_drops
WHERE $__timeFilter(minute) AND reason <> 'duplicate' AND coalesce(observer_cluster, '') IN (FROM picked)
