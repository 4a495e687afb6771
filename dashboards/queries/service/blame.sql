-- Whose fault are failed and denied calls to it, by what proxies on both sides say?
-- Units: requests logged, in the last hour of the time range, of clients' and the service's proxies.
WITH me AS (FROM entities_called('$service'))
SELECT CASE WHEN r.authz = 'denied' THEN 'policy' WHEN f.blame IS NOT NULL THEN f.blame
           WHEN r.response_code_details = 'via_upstream' THEN 'server' ELSE 'unknown' END AS blame, f.flag,
       coalesce(f.meaning, CASE r.response_code_details WHEN 'via_upstream' THEN 'the application answered so' END)
           AS meaning,
       r.reporter AS "says", r.src_entity AS client,
       coalesce(r.policy, r.upstream_failure, r.response_code_details) AS detail, count(*) AS requests
FROM v_requests r
LEFT JOIN v_response_flags f ON f.flag = r.response_flags[1]
WHERE r.start_time BETWEEN greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 1 HOUR)
      AND $__timeTo()::TIMESTAMPTZ
  AND (r.status >= 500 OR r.status IS NULL AND len(r.response_flags) > 0
    OR r.authz = 'denied' OR r.upstream_failure IS NOT NULL)
  AND (r.dst_entity IN (FROM me)
    OR r.reporter = 'source' AND r.service IN (SELECT service FROM v_endpoints WHERE entity IN (FROM me)))
GROUP BY ALL
ORDER BY requests DESC
LIMIT 50
