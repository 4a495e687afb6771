-- Whom do policies deny more often than usual?
-- Units: calls denied in the last ten minutes, in times those of ten minutes of the hour before (one, if there were
-- none); of servers that denied ten or more.
WITH told AS (
    SELECT server_entity AS server, max(bucket_start) AS last_time,
           sum(denied) FILTER (bucket_start >= $__timeTo()::TIMESTAMPTZ - INTERVAL 10 MINUTE) AS denied,
           sum(denied) FILTER (bucket_start < $__timeTo()::TIMESTAMPTZ - INTERVAL 10 MINUTE) / 6 AS usual
    FROM edges_between($__timeFrom(), $__timeTo())
    GROUP BY server_entity
)
SELECT last_time AS "time", server, denied / greatest(coalesce(usual, 0), 1) AS more
FROM told
WHERE denied >= 10
ORDER BY 1, 2
