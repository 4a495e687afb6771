-- Which statuses did it answer with, and what did its proxies say of them?
-- Units: requests that its own proxies logged, in the last hour of the time range.
WITH me AS (FROM entities_called('$service'))
SELECT coalesce(r.status::VARCHAR, 'none') AS status, r.grpc_status::VARCHAR AS grpc, f.flag, f.meaning, f.blame,
       count(*) AS requests
FROM v_requests r
LEFT JOIN v_response_flags f ON f.flag = r.response_flags[1]
WHERE r.start_time BETWEEN greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 1 HOUR)
      AND $__timeTo()::TIMESTAMPTZ
  AND r.reporter = 'destination' AND r.dst_entity IN (FROM me) AND r.is_health_check IS NOT TRUE
GROUP BY ALL
ORDER BY requests DESC, status
LIMIT 50
