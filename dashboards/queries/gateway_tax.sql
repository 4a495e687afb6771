-- How much slower is a call seen by the client than by the server, by path?
-- Units: milliseconds, medians. Calls both proxies logged.
SELECT path_model, client_cluster, server_cluster, count(*) AS calls,
       median(duration_ms) AS client_ms,
       median(server_duration_ms) AS server_ms,
       median(duration_ms - server_duration_ms) AS between_ms
FROM v_calls
WHERE server_duration_ms IS NOT NULL AND duration_ms IS NOT NULL
GROUP BY ALL
ORDER BY between_ms DESC
