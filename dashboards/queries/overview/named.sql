-- How much of the traffic is between ends that are known?
-- Units: share of flow records of which both addresses had one known owner then.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time,
       coalesce(sum(flows) FILTER (src_kind IS NOT NULL AND dst_kind IS NOT NULL), 0) / sum(flows) AS named
FROM legs_between($__timeFrom(), $__timeTo())
WHERE coalesce(src_cluster, '') IN (FROM picked) OR coalesce(dst_cluster, '') IN (FROM picked)
GROUP BY 1
ORDER BY 1
