-- Over which hops do calls go, and how much is added by each?
-- Units: milliseconds, medians at each proxy; of a gateway that passes connections on, its connection's. Added: the
-- median less that of the next hop that times calls. Of the latest 2,000 conversations of the time range.
WITH latest AS (
    SELECT edge_id, path_model FROM v_stitched
    WHERE $__timeFilter(start_time) AND coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
      AND server_entity IN (FROM entities_called('$target'))
    ORDER BY start_time DESC
    LIMIT 2000
), hops AS (
    SELECT path_model AS via, hop, role, exporter AS proxy, observer_cluster AS cluster, src_entity AS "from",
           dst_entity AS "to", count(DISTINCT edge_id) AS conversations, median(duration_ms) AS took,
           median(carried) AS carried, sum(bytes_received) AS "bytes in", sum(bytes_sent) AS "bytes out",
           count(*) FILTER (status >= 500) AS "5xx", count(downstream_tls) / count(*) AS "TLS in",
           count(upstream_tls) / count(*) AS "TLS out", any_value(match_method) AS "matched by"
    FROM v_legs JOIN latest USING (edge_id)
    WHERE start_time BETWEEN $__timeFrom()::TIMESTAMPTZ - INTERVAL 1 MINUTE AND $__timeTo()::TIMESTAMPTZ + INTERVAL 1 MINUTE
    GROUP BY ALL
)
SELECT via, hop, role, proxy, cluster, "from", "to", conversations, took,
       CASE WHEN role <> 'gateway' THEN took - lead(CASE WHEN role <> 'gateway' THEN took END IGNORE NULLS)
           OVER (PARTITION BY via ORDER BY hop) END AS added,
       carried, "bytes in", "bytes out", "5xx", "TLS in", "TLS out", "matched by"
FROM hops
ORDER BY via, hop, conversations DESC
