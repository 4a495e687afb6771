-- How many sources spoke in the last day, and not in the last five minutes that anybody spoke in?
-- Units: exporters and logs.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), heard AS (
    SELECT observer_cluster, exporter, format, max(minute) AS last_time
    FROM v_sources_1m
    WHERE minute > $__timeTo()::TIMESTAMPTZ - INTERVAL 1 DAY AND minute <= $__timeTo()::TIMESTAMPTZ
    GROUP BY ALL
)
SELECT count(*) AS silent
FROM heard
WHERE last_time < (SELECT max(last_time) FROM heard) - INTERVAL 5 MINUTE
  AND coalesce(observer_cluster, '') IN (FROM picked)
