-- How many records does each source give? The twelve that give most.
-- Units: records a second.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), rates AS (
    SELECT $__timeGroup(minute, $__interval) AS "time", exporter || ' ' || format AS source,
           sum(decoded_records) * 1000 / $__interval_ms AS records
    FROM v_sources_1m
    WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
    GROUP BY 1, 2
), most AS (SELECT source FROM rates GROUP BY source ORDER BY sum(records) DESC LIMIT 12)
SELECT "time", source, records
FROM rates
WHERE source IN (FROM most)
ORDER BY 1, 2
