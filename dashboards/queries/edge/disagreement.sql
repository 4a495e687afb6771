-- Where do the client's and the server's proxy not say the same?
-- Units: conversations; milliseconds; octets. Of the latest 2,000 conversations of the time range.
WITH latest AS (
    FROM v_stitched
    WHERE $__timeFilter(start_time) AND coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
      AND server_entity IN (FROM entities_called('$target'))
    ORDER BY start_time DESC
    LIMIT 2000
)
SELECT coalesce(path_model, 'unknown') AS via, match_method AS "matched by", count(*) AS conversations,
       count(*) FILTER (client_ms IS NOT NULL AND server_ms IS NOT NULL) AS "told by both",
       count(*) FILTER (server_ms IS NULL) AS "only by the client",
       count(*) FILTER (client_ms IS NULL) AS "only by the server",
       median(client_ms) AS "client waited", median(server_ms) AS "server took", median(tax_ms) AS tax,
       quantile_cont(tax_ms, 0.95) AS "tax p95", count(*) FILTER (bytes_difference <> 0) AS "octets differ",
       sum(bytes_difference) AS "octets more at client",
       count(*) FILTER ((client_tls IS NULL) <> (server_tls IS NULL)) AS "TLS differs",
       min(confidence) AS "least confidence"
FROM latest
GROUP BY ALL
ORDER BY conversations DESC
