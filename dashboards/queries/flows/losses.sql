-- What share of packets was sent again, and what share was dropped, where somebody tells?
-- Units: share of the packets of flows whose exporter tells; silence is not told as none.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, coalesce(src_cluster, 'unknown') || ' -> ' || coalesce(dst_cluster, 'unknown') AS metric,
       sum(retransmitted_packets) / nullif(sum(retransmits_told_packets), 0) AS retransmitted,
       sum(dropped_packets) / nullif(sum(drops_told_packets), 0) AS dropped
FROM legs_between($__timeFrom(), $__timeTo())
WHERE (retransmits_told_packets > 0 OR drops_told_packets > 0)
    AND (coalesce(src_cluster, '') IN (FROM picked) OR coalesce(dst_cluster, '') IN (FROM picked))
    AND ('*' IN ($namespace) OR src_namespace IN ($namespace) OR dst_namespace IN ($namespace))
GROUP BY 1, 2
ORDER BY 1, 2
