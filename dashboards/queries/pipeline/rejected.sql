-- What was the last thing that could not be decoded, of each source and reason?
-- Units: rejects, of the time range; bytes.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT observer_cluster AS cluster, exporter, format, reason, count(*) AS rejects,
       arg_max(detail, received_time) AS "the last one", max(raw_length) AS largest, max(received_time) AS "last time"
FROM v_rejects
WHERE $__timeFilter(received_time) AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY ALL
ORDER BY rejects DESC, reason
LIMIT 100
