-- Why could something not be decoded?
-- Units: rejects, by the reason's fixed name.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT $__timeGroup(received_time, $__interval) AS "time", reason, count(*) AS rejects
FROM v_rejects
WHERE $__timeFilter(received_time) AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY 1, 2
ORDER BY 1, 2
