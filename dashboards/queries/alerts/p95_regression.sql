-- Which service became slow?
-- Units: 95th percentile of the last fifteen minutes, in times that of the hour before; of services with fifty or
-- more calls in either, and 20 ms or more.
WITH told AS (
    SELECT server_entity AS server, bucket_start >= $__timeTo()::TIMESTAMPTZ - INTERVAL 15 MINUTE AS is_late,
           max(bucket_start) AS last_time, sum(requests) AS calls,
           histogram_quantile(histogram_merge(durations), 0.95) AS p95_ms
    FROM edges_between($__timeFrom(), $__timeTo())
    GROUP BY 1, 2
)
SELECT late.last_time AS "time", server, late.p95_ms / early.p95_ms AS slower
FROM told late JOIN told early USING (server)
WHERE late.is_late AND NOT early.is_late
  AND late.calls >= 50 AND early.calls >= 50 AND late.p95_ms >= 20 AND early.p95_ms > 0
ORDER BY 1, 2
