-- Which calls to it failed most recently, and how long did each side wait?
-- Units: milliseconds. The latest 50 of the time range.
WITH me AS (FROM entities_called('$service'))
SELECT start_time AS time, client_entity AS client, method, path, status, grpc_status AS grpc, client_ms AS "client waited",
       server_ms AS "server took", path_model AS via, match_method AS "matched by", attempts, request_id
FROM v_stitched
WHERE $__timeFilter(start_time) AND error AND server_entity IN (FROM me)
ORDER BY start_time DESC
LIMIT 50
