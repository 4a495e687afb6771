-- Who calls whom, at the level chosen, how often, how well and over which path?
-- Units: calls a second; 95th percentile in milliseconds, the worst of its paths. Thickness: logarithm of octets
-- a second. Red and orange: 25 % or 1 % failed, or slow; grey: only seen on the wire. Dashed: some leg without TLS.
WITH edges AS MATERIALIZED (
    FROM edges_picked('$level', $__timeFrom(), $__timeTo(),
        [$cloud], [$region], [$cluster], [$network], [$namespace], [$service])
    WHERE '$show' IN (kind, 'both')
), shown AS (
    SELECT id FROM (SELECT source AS id, requests, bytes FROM edges UNION ALL SELECT target, requests, bytes FROM edges)
    GROUP BY id
    ORDER BY sum(requests) DESC NULLS LAST, sum(bytes) DESC NULLS LAST, id
    LIMIT 150
), plaintext AS (
    SELECT CASE '$level' WHEN 'workload' THEN client || ' -> ' || server
               WHEN 'cluster' THEN client_cluster || ' -> ' || server_cluster END AS id
    FROM plaintext_between($__timeFrom(), $__timeTo())
    WHERE '$level' IN ('workload', 'cluster')
), pairs AS (
    SELECT source, target, sum(requests) AS requests, sum(errors) AS errors, sum(denied) AS denied,
           sum(requests_per_s) AS per_s, max(p95_ms) AS p95_ms,
           coalesce(bool_or(p95_ms > 100 AND p95_ms > 10 * p50_ms), false) AS is_slow,
           sum(tls_requests) / sum(requests) FILTER (tls_requests IS NOT NULL) AS tls_share,
           string_agg(DISTINCT path_model, ', ' ORDER BY path_model) AS paths,
           string_agg(DISTINCT gateway, ', ' ORDER BY gateway) FILTER (kind = 'call') AS gateways,
           string_agg(DISTINCT protocols, ', ' ORDER BY protocols) AS protocols,
           coalesce(sum(bytes_per_s) FILTER (kind = 'call'), 0) AS call_bytes,
           coalesce(sum(bytes_per_s) FILTER (kind = 'leg' AND path_model IN ('local', 'flat', 'external')), 0)
           + greatest(coalesce(sum(bytes_per_s) FILTER (kind = 'leg' AND path_model = 'gateway'), 0),
                      coalesce(sum(bytes_per_s) FILTER (kind = 'leg' AND path_model IS NULL), 0)) AS wire_bytes
    FROM edges
    WHERE source <> target AND source IN (FROM shown) AND target IN (FROM shown)
    GROUP BY source, target
)
SELECT source || ' -> ' || target AS id, source, target,
       coalesce(per_s, 0) AS mainstat, p95_ms AS secondarystat,
       1 + log2(1 + greatest(call_bytes, wire_bytes) / 1000) / 2 AS thickness,
       CASE WHEN requests IS NULL THEN '#8e8e8e' WHEN errors >= 0.25 * requests THEN '#e02f44'
           WHEN errors >= 0.01 * requests OR is_slow THEN '#ff9830' ELSE '#56a64b' END AS color,
       CASE WHEN tls_share < 1 OR source || ' -> ' || target IN (FROM plaintext) THEN '6 4' ELSE '' END AS strokedasharray,
       coalesce(errors / requests, 0) AS detail__failed_share, denied AS detail__denied, tls_share AS detail__tls_share,
       paths AS detail__paths, gateways AS detail__gateways, protocols AS detail__protocols,
       greatest(call_bytes, wire_bytes) AS detail__bytes_per_s
FROM pairs
ORDER BY requests DESC NULLS LAST, id
