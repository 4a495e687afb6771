-- What do the edges of the graph say, path by path?
-- Units: calls; calls a second; share failed; milliseconds; octets a second; share over TLS. The 500 busiest.
SELECT source, target, kind, path_model AS path, gateway, requests, requests_per_s AS "requests/s",
       error_share AS failed, client_errors AS "4xx", denied, p50_ms AS p50, p95_ms AS p95, p99_ms AS p99,
       bytes_per_s AS "bytes/s", tls_share AS "TLS", protocols, match_methods AS "matched by", confidence,
       last_time AS "last seen"
FROM edges_picked('$level', $__timeFrom(), $__timeTo(),
    [$cloud], [$region], [$cluster], [$network], [$namespace], [$service])
WHERE '$show' IN (kind, 'both')
ORDER BY requests DESC NULLS LAST, bytes DESC NULLS LAST, source, target
LIMIT 500
