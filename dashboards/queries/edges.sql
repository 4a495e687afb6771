-- Which service edges carry the most calls, and how well do they go?
-- Units: calls; share of calls; milliseconds; bytes.
SELECT client_entity, server_entity, path_model, gateway,
       sum(requests) AS requests,
       sum(errors) / sum(requests) AS error_share,
       max(p95_ms) AS worst_minute_p95_ms,
       sum(bytes_sent) AS response_bytes
FROM v_edges
GROUP BY ALL
ORDER BY requests DESC
