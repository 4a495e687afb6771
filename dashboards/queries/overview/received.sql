-- How much of what exporters and agents counted as sent is here?
-- Units: share of units sent (packets, records or datagrams, as each source counts).
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT $__timeGroupAlias(minute, '$__interval'),
       1 - sum(greatest(sequence_units_lost, 0)) / sum(sequence_units_expected) AS received
FROM v_sources_1m
WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY 1
HAVING sum(sequence_units_expected) > 0
ORDER BY 1
