-- Which proxies do not follow their control plane?
-- Units: milliseconds behind; times.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT proxy, proxy_cluster AS cluster, proxy_type AS type, control_plane AS "control plane", connected, state,
       array_to_string(behind, ', ') AS "behind in", staleness_ms AS "behind", error, proxy_version AS version,
       last_update_time AS "last update", last_seen_time AS "last seen"
FROM v_control_plane
WHERE proxy IS NOT NULL AND coalesce(observer_cluster, '') IN (FROM picked)
  AND (connected = false OR state IN ('stale', 'rejected', 'not_sent') OR error IS NOT NULL)
ORDER BY staleness_ms DESC NULLS LAST, proxy
LIMIT 100
