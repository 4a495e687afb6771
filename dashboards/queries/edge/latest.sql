-- Which conversations went over this edge last?
-- Units: milliseconds; octets both ways. The latest 100 of the time range.
SELECT start_time AS time, method, path, status, grpc_status AS grpc, error,
       coalesce(array_to_string(gateways, ', '), path_model) AS via, hops, client_ms AS "client waited",
       server_ms AS "server took", tax_ms AS tax, client_bytes AS bytes, client_tls AS "TLS out",
       server_tls AS "TLS in", attempts, match_method AS "matched by", confidence, request_id
FROM v_stitched
WHERE $__timeFilter(start_time) AND coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
ORDER BY start_time DESC
LIMIT 100
