-- Who showed which identity at which hop, and was it encrypted?
-- Units: records of the latest 2,000 conversations of the time range. Null: none was shown, or the proxy did not tell.
WITH latest AS (
    SELECT edge_id FROM v_stitched
    WHERE $__timeFilter(start_time) AND coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
      AND server_entity IN (FROM entities_called('$target'))
    ORDER BY start_time DESC
    LIMIT 2000
)
SELECT hop, role, exporter AS proxy, downstream_peer_identity AS "called by", downstream_tls AS "TLS in",
       upstream_peer_identity AS "called", upstream_tls AS "TLS out", count(*) AS records
FROM v_legs JOIN latest USING (edge_id)
WHERE start_time BETWEEN $__timeFrom()::TIMESTAMPTZ - INTERVAL 1 MINUTE AND $__timeTo()::TIMESTAMPTZ + INTERVAL 1 MINUTE
GROUP BY ALL
ORDER BY hop, records DESC
LIMIT 100
