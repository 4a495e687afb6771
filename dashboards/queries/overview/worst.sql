-- Which edges are least well, and which carry most?
-- Units: share of calls failed; calls a second; milliseconds; share of calls over TLS. At most 15 edges.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), edges AS (
    FROM topology_edges('workload', $__timeFrom(), $__timeTo())
    WHERE kind = 'call'
      AND (coalesce(source_cluster, '') IN (FROM picked) OR coalesce(target_cluster, '') IN (FROM picked))
), health AS (
    SELECT entity, arg_max(state, minute) AS judged, arg_max(array_to_string(reasons, '; '), minute) AS why,
           arg_max(coalesce(caused_by, ''), minute) AS cause
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND entity_kind = 'edge'
    GROUP BY entity
)
SELECT coalesce(judged, 'unknown') AS state, source AS client, target AS server, coalesce(gateway, path_model) AS via,
       requests_per_s AS "requests/s", error_share AS failed, p95_ms AS p95, tls_share AS "TLS", denied,
       concat_ws('; because of ', nullif(why, ''), nullif(cause, '')) AS why
FROM edges
LEFT JOIN health ON entity = source || ' -> ' || target
ORDER BY list_position(['failing', 'degraded'], judged) NULLS LAST, failed DESC, requests DESC, client, server
LIMIT 15
