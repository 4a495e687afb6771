-- Over which hops do calls go, and how much is added by each?
-- Units: milliseconds, medians at each proxy. A gateway that passes connections on times those, not calls. Added: what
-- a proxy waited beyond the next that times calls. Of the latest 2,000 conversations of the time range.
WITH latest AS (
    SELECT edge_id, path_model FROM v_stitched
    WHERE $__timeFilter(start_time) AND coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
      AND server_entity IN (FROM entities_called('$target'))
    ORDER BY start_time DESC
    LIMIT 2000
), hops AS (
    SELECT path_model AS via, hop, role, exporter AS proxy, src_entity AS "from", dst_entity AS "to",
           count(DISTINCT edge_id) AS conversations, median(duration_ms) FILTER (role <> 'gateway') AS took,
           median(duration_ms) FILTER (role = 'gateway') AS connection, median(carried) AS carried,
           sum(bytes_received) AS "bytes in", sum(bytes_sent) AS "bytes out", count(*) FILTER (status >= 500) AS "5xx",
           count(downstream_tls) / count(*) AS "TLS in", count(upstream_tls) / count(*) AS "TLS out",
           any_value(match_method) AS "matched by"
    FROM v_legs JOIN latest USING (edge_id)
    WHERE start_time BETWEEN $__timeFrom()::TIMESTAMPTZ - INTERVAL 1 MINUTE AND $__timeTo()::TIMESTAMPTZ + INTERVAL 1 MINUTE
    GROUP BY ALL
)
SELECT via, hop, role, proxy, took, took - lead(took IGNORE NULLS) OVER (PARTITION BY via ORDER BY hop) AS added,
       connection, conversations, carried, "5xx", "from", "to", "TLS in", "TLS out", "bytes in", "bytes out", "matched by"
FROM hops
ORDER BY via, hop, conversations DESC
