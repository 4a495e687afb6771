-- How are the durations of its calls spread?
-- Units: calls, by how long they took for the client: up to so many milliseconds, the last column all beyond.
WITH me AS (FROM entities_called('$service')), calls AS (
    SELECT bucket_start AS time, bucket_ms(one.bucket) AS ms, one.calls AS calls
    FROM (
        SELECT bucket_start, unnest(durations) AS one
        FROM edges_between($__timeFrom(), $__timeTo())
        WHERE server_entity IN (FROM me)
    )
)
SELECT time,
       coalesce(sum(calls) FILTER (ms <= 1), 0) AS "1",
       coalesce(sum(calls) FILTER (ms > 1 AND ms <= 2), 0) AS "2",
       coalesce(sum(calls) FILTER (ms > 2 AND ms <= 5), 0) AS "5",
       coalesce(sum(calls) FILTER (ms > 5 AND ms <= 10), 0) AS "10",
       coalesce(sum(calls) FILTER (ms > 10 AND ms <= 20), 0) AS "20",
       coalesce(sum(calls) FILTER (ms > 20 AND ms <= 50), 0) AS "50",
       coalesce(sum(calls) FILTER (ms > 50 AND ms <= 100), 0) AS "100",
       coalesce(sum(calls) FILTER (ms > 100 AND ms <= 200), 0) AS "200",
       coalesce(sum(calls) FILTER (ms > 200 AND ms <= 500), 0) AS "500",
       coalesce(sum(calls) FILTER (ms > 500 AND ms <= 1000), 0) AS "1000",
       coalesce(sum(calls) FILTER (ms > 1000 AND ms <= 5000), 0) AS "5000",
       coalesce(sum(calls) FILTER (ms > 5000), 0) AS "Infinity"
FROM calls
GROUP BY time
ORDER BY time
