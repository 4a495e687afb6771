-- How long does it take to reach each target from each cluster?
-- Units: milliseconds, median of a minute's tries that were ok.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT $__timeGroupAlias(minute, '$__interval'), observer_cluster || ' -> ' || target AS metric, median(total_p50_ms) AS p50
FROM v_probe_health
WHERE $__timeFilter(minute) AND total_p50_ms IS NOT NULL AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY 1, 2
ORDER BY 1, 2
