-- Which sources fell silent: exporters, targets of scrapes, parts of the inventory?
-- Units: seconds of silence, up to the newest thing the lake holds of that kind.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), heard AS (
    SELECT observer_cluster, exporter, format, max(minute) AS last_time
    FROM v_sources_1m
    WHERE minute > $__timeTo()::TIMESTAMPTZ - INTERVAL 1 DAY AND minute <= $__timeTo()::TIMESTAMPTZ
    GROUP BY ALL
), sources AS (
    SELECT 'exporter' AS kind, observer_cluster AS cluster, exporter AS source, format AS tells, last_time,
           epoch((SELECT max(last_time) FROM heard) - last_time) AS silent_s
    FROM heard
    UNION ALL BY NAME
    SELECT 'target' AS kind, observer_cluster AS cluster, exporter AS source, format AS tells, last_time, silent_s
    FROM v_targets WHERE is_silent
    UNION ALL BY NAME
    SELECT 'inventory' AS kind, cluster, kind || coalesce(' ' || scope, '') AS source, resource AS tells,
           heard_time AS last_time, silent_s
    FROM v_inventory
)
SELECT kind, cluster, source, tells, silent_s AS silent, last_time AS "last heard"
FROM sources
WHERE silent_s >= 300 AND coalesce(cluster, '') IN (FROM picked)
ORDER BY silent_s DESC, kind, source
LIMIT 100
