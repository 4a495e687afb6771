-- How many certificates are expired, or expire soon?
-- Units: certificates of proxies, and of what probes were shown.
SELECT count(*) AS certificates
FROM (
    SELECT observer_cluster, state FROM v_certificates
    UNION ALL
    SELECT observer_cluster, state FROM v_probe_certificates
)
WHERE state <> 'ok' AND ('*' IN ($cluster) OR observer_cluster IN ($cluster))
