-- Which sources lose most on the way to us? The eight that lose most.
-- Units: share of what the exporter counted as sent.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), lost AS (
    SELECT $__timeGroup(minute, $__interval) AS "time", exporter,
           sum(sequence_units_lost) AS units, sum(sequence_units_expected) AS expected
    FROM v_sources_1m
    WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
    GROUP BY 1, 2
    HAVING sum(sequence_units_expected) > 0
), most AS (SELECT exporter FROM lost GROUP BY exporter ORDER BY sum(units) DESC LIMIT 8)
SELECT "time", exporter, greatest(units, 0) / expected AS lost
FROM lost
WHERE exporter IN (FROM most)
ORDER BY 1, 2
