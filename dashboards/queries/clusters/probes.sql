-- From which cluster is which target reached, and how fast?
-- Units: share of tries lost; milliseconds of tries that were ok; days until the certificate ends.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT observer_cluster AS "from", target, kind, address, sum(attempts) AS tries, sum(losses) / sum(attempts) AS lost,
       arg_max(last_outcome, minute) AS "last outcome", arg_max(last_error, minute) AS "last error",
       median(total_p50_ms) AS p50, max(total_p95_ms) AS "worst p95", median(connect_p50_ms) AS connect,
       arg_max(certificate_days_left, minute) AS "certificate days", max(minute) AS "last minute"
FROM v_probe_health
WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY 1, 2, 3, 4
ORDER BY lost DESC, 1, 2
LIMIT 200
