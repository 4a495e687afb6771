-- What does a gateway cost, where the same pair of workloads is also seen without one?
-- Units: calls both ends timed; milliseconds, medians. The last hour of the time range: every call is looked at.
-- Pairs never seen without a gateway have what their path costs, and no tax. The 100 dearest.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), places AS (
    SELECT entity, any_value(cluster) AS cluster FROM v_endpoints GROUP BY entity
)
SELECT client_entity AS client, server_entity AS server, gateway AS via, timed_calls AS conversations,
       client_p50_ms AS "client waited", server_p50_ms AS "server took", overhead_p50_ms AS added,
       direct_overhead_p50_ms AS "added without", gateway_tax_ms AS tax
FROM gateway_tax_between(
    greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 1 HOUR), $__timeTo())
LEFT JOIN places c ON c.entity = client_entity
LEFT JOIN places s ON s.entity = server_entity
WHERE path_model = 'gateway' AND timed_calls > 0
    AND (coalesce(c.cluster, '') IN (FROM picked) OR coalesce(s.cluster, '') IN (FROM picked))
ORDER BY tax DESC NULLS LAST, added DESC, client, server
LIMIT 100
