-- Who calls it, and whom does it call?
-- Units: calls a second; 95th percentile in milliseconds. Thickness: logarithm of octets a second. Red and orange:
-- 25 % or 1 % failed, or slow. Dashed: calls without TLS. The 100 busiest edges.
WITH me AS (FROM entities_called('$service')), span AS (
    SELECT sum(bucket_s) AS seconds
    FROM (SELECT DISTINCT bucket_start, bucket_s FROM edges_between($__timeFrom(), $__timeTo()))
), edges AS (
    SELECT coalesce(client_entity, 'unknown') AS source, coalesce(server_entity, 'unknown') AS target,
           any_value(client_cluster) AS source_cluster,
           any_value(server_cluster) AS target_cluster, sum(requests) AS requests, sum(errors) AS errors,
           sum(requests) / any_value(seconds) AS per_s, sum(tls_requests) AS tls_requests,
           sum(bytes_received + bytes_sent) / any_value(seconds) AS bytes_per_s,
           histogram_quantile(histogram_merge(durations), 0.5) AS p50_ms,
           histogram_quantile(histogram_merge(durations), 0.95) AS p95_ms,
           string_agg(DISTINCT coalesce(gateway, path_model), ', ') AS paths
    FROM edges_between($__timeFrom(), $__timeTo())
    CROSS JOIN span
    WHERE (client_entity IN (FROM me) OR server_entity IN (FROM me)) AND client_entity IS DISTINCT FROM server_entity
    GROUP BY source, target
    ORDER BY requests DESC, source, target
    LIMIT 100
)
SELECT source || ' -> ' || target AS id, source, target, per_s AS mainstat, p95_ms AS secondarystat,
       1 + log2(1 + bytes_per_s / 1000) / 2 AS thickness,
       CASE WHEN errors >= 0.25 * requests THEN '#e02f44'
           WHEN errors >= 0.01 * requests OR p95_ms > 100 AND p95_ms > 10 * p50_ms THEN '#ff9830'
           ELSE '#56a64b' END AS color,
       CASE WHEN tls_requests < requests THEN '6 4' ELSE '' END AS strokedasharray,
       errors / requests AS detail__failed_share, tls_requests / requests AS detail__tls_share, paths AS detail__paths
FROM edges
ORDER BY id
