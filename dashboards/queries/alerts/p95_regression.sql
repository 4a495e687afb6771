-- Which service became slow?
-- Units: 95th percentile of the last fifteen minutes, in times that of the hour before; of services with fifty or
-- more calls in either, and 20 ms or more.
WITH told AS (
    SELECT server_entity AS server, max(bucket_start) AS last_time,
           sum(requests) FILTER (bucket_start >= $__timeTo()::TIMESTAMPTZ - INTERVAL 15 MINUTE) AS calls,
           sum(requests) FILTER (bucket_start < $__timeTo()::TIMESTAMPTZ - INTERVAL 15 MINUTE) AS calls_before,
           histogram_quantile(histogram_merge(durations)
               FILTER (bucket_start >= $__timeTo()::TIMESTAMPTZ - INTERVAL 15 MINUTE), 0.95) AS p95_ms,
           histogram_quantile(histogram_merge(durations)
               FILTER (bucket_start < $__timeTo()::TIMESTAMPTZ - INTERVAL 15 MINUTE), 0.95) AS before_ms
    FROM edges_between($__timeFrom(), $__timeTo())
    GROUP BY server_entity
)
SELECT last_time AS "time", server, p95_ms / before_ms AS slower
FROM told
WHERE calls >= 50 AND calls_before >= 50 AND p95_ms >= 20 AND before_ms > 0
ORDER BY 1, 2
