-- Who calls it, and whom does it call?
-- Units: calls a second; 95th percentile in milliseconds. Thickness: logarithm of octets a second. Red and orange:
-- 25 % or 1 % failed, or slow. Dashed: calls without TLS. The 100 busiest paths.
WITH me AS (FROM entities_called('$service')), edges AS (
    SELECT * FROM topology_edges('workload', $__timeFrom(), $__timeTo())
    WHERE kind = 'call' AND source <> target AND (source IN (FROM me) OR target IN (FROM me))
    ORDER BY requests DESC, source, target
    LIMIT 100
)
SELECT source || ' -> ' || target AS id, source, target, sum(requests_per_s) AS mainstat, max(p95_ms) AS secondarystat,
       1 + log2(1 + sum(bytes_per_s) / 1000) / 2 AS thickness,
       CASE WHEN sum(errors) >= 0.25 * sum(requests) THEN '#e02f44'
           WHEN sum(errors) >= 0.01 * sum(requests) OR bool_or(p95_ms > 100 AND p95_ms > 10 * p50_ms) THEN '#ff9830'
           ELSE '#56a64b' END AS color,
       CASE WHEN sum(tls_requests) < sum(requests) THEN '6 4' ELSE '' END AS strokedasharray,
       sum(errors) / sum(requests) AS detail__failed_share, sum(tls_requests) / sum(requests) AS detail__tls_share,
       string_agg(DISTINCT coalesce(gateway, path_model), ', ') AS detail__paths
FROM edges
GROUP BY source, target
ORDER BY id
