-- Whom does each control plane serve, and which clusters does it know?
-- Units: proxies; services and endpoints it knows of; milliseconds behind.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT coalesce(control_plane, 'unknown') AS "control plane", observer_cluster AS "told from",
       remote_cluster AS "reads cluster",
       any_value(cluster_state) FILTER (cluster_state IS NOT NULL) AS "that cluster is",
       count(DISTINCT proxy) AS proxies, count(DISTINCT proxy) FILTER (connected) AS connected,
       count(DISTINCT proxy) FILTER (state IN ('stale', 'rejected')) AS "not in sync", max(staleness_ms) AS behind,
       max(services) AS services, max(endpoints) AS endpoints, max(endpoints_healthy) AS healthy,
       max(last_seen_time) AS "last seen"
FROM v_control_plane
WHERE coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT 200
