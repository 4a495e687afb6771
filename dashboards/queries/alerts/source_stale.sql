-- Which exporter or log spoke in the last day, and is silent now?
-- Units: seconds of silence, up to the newest record of any source.
WITH heard AS (
    SELECT coalesce(observer_cluster, '') AS cluster, exporter, format, max(minute) AS last_time
    FROM v_sources_1m
    WHERE $__timeFilter(minute)
    GROUP BY ALL
)
SELECT (SELECT max(last_time) FROM heard) AS "time", cluster, exporter, format,
       epoch((SELECT max(last_time) FROM heard) - last_time) AS silent
FROM heard
ORDER BY 1, 2, 3, 4
