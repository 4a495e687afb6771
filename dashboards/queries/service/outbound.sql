-- Whom does it call, how often, how well and over which path?
-- Units: calls a second; share failed; milliseconds; share over TLS.
WITH me AS (FROM entities_called('$service'))
SELECT source AS client, target AS server, path_model AS path, gateway, requests_per_s AS "requests/s",
       error_share AS failed, client_errors AS "4xx", denied, p50_ms AS p50, p95_ms AS p95, tls_share AS "TLS",
       protocols, confidence
FROM topology_edges('workload', $__timeFrom(), $__timeTo())
WHERE kind = 'call' AND source IN (FROM me)
ORDER BY requests DESC, target
LIMIT 200
