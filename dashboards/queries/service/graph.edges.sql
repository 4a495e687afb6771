-- Who calls it, and whom does it call?
-- Units: calls a second; 95th percentile in milliseconds. Thickness: logarithm of octets a second. Red and orange:
-- 25 % or 1 % failed, or slow. Dashed: calls without TLS. The 100 busiest edges.
-- Begins with: service/around
SELECT source || ' -> ' || target AS id, source, target, per_s AS mainstat, p95_ms AS secondarystat,
       1 + log2(1 + bytes_per_s / 1000) / 2 AS thickness,
       CASE WHEN errors >= 0.25 * requests THEN '#e02f44'
           WHEN errors >= 0.01 * requests OR p95_ms > 100 AND p95_ms > 10 * p50_ms THEN '#ff9830'
           ELSE '#56a64b' END AS color,
       CASE WHEN tls_requests < requests THEN '6 4' ELSE '' END AS strokedasharray,
       errors / requests AS detail__failed_share, tls_requests / requests AS detail__tls_share, paths AS detail__paths
FROM edges
ORDER BY id
