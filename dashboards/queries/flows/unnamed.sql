-- Of how much traffic in each network is an end not known?
-- Units: share of flow records of which an address had no owner, or several.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, coalesce(src_network, dst_network, 'unknown') AS metric,
       coalesce(sum(flows) FILTER (src_kind IS NULL OR dst_kind IS NULL), 0) / sum(flows) AS unnamed
FROM legs_between($__timeFrom(), $__timeTo())
WHERE coalesce(src_cluster, '') IN (FROM picked) OR coalesce(dst_cluster, '') IN (FROM picked)
GROUP BY 1, 2
ORDER BY 1, 2
