-- Why is anything lost before the log?
-- Units: payloads a minute.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT minute AS "time", reason, sum(payloads) AS payloads
FROM v_drops
WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY 1, 2
ORDER BY 1, 2
