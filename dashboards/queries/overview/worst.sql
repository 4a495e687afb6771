-- Which edges are least well, and which carry most?
-- Units: share of calls failed; calls a second; milliseconds; share of calls over TLS. At most 15 edges.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), health AS (
    SELECT entity, arg_max(state, minute) AS state, arg_max(array_to_string(reasons, '; '), minute) AS why,
           arg_max(coalesce(caused_by, ''), minute) AS cause
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND entity_kind = 'edge'
    GROUP BY entity
)
SELECT coalesce(state, 'unknown') AS state, source AS client, target AS server, coalesce(gateway, path_model) AS via,
       requests_per_s AS "requests/s", error_share AS failed, p95_ms AS p95, tls_share AS "TLS", denied,
       concat_ws('; because of ', nullif(why, ''), nullif(cause, '')) AS why
FROM topology_edges('workload', $__timeFrom(), $__timeTo())
LEFT JOIN health ON health.entity = source || ' -> ' || target
WHERE kind = 'call'
  AND (coalesce(source_cluster, '') IN (FROM picked) OR coalesce(target_cluster, '') IN (FROM picked))
ORDER BY list_position(['failing', 'degraded'], state) NULLS LAST, error_share DESC NULLS LAST, requests DESC, client, server
LIMIT 15
