-- Which certificate expires when, and is it late?
-- Units: days.
SELECT state, days_left AS "days left", cluster, shown_by AS "shown by", certificate, service, expiry AS "expires",
       told_by AS "told by"
FROM (
    SELECT state, days_left, observer_cluster AS cluster, exporter AS shown_by,
           coalesce(certificate, 'the first to expire') AS certificate, coalesce(service, listener) AS service,
           expiry_time AS expiry, 'proxy' AS told_by
    FROM v_certificates
    UNION ALL
    SELECT state, days_left, observer_cluster, address, certificate_subject, server_name, certificate_not_after, 'probe'
    FROM v_probe_certificates
)
WHERE '*' IN ($cluster) OR cluster IN ($cluster)
ORDER BY days_left, "shown by", certificate
LIMIT 200
