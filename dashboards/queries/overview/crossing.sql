-- How much goes over the wire between clusters?
-- Units: octets a second after sampling. Of what both sides of a gateway saw, the larger.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), crossing AS (
    SELECT bucket_start, src_cluster, dst_cluster, bytes / bucket_s AS rate,
           coalesce(src_gateway, dst_gateway) IS NOT NULL AS is_near_side,
           'gateway' IN (src_kind, dst_kind) AS is_far_side
    FROM legs_between($__timeFrom(), $__timeTo())
    WHERE src_cluster <> dst_cluster
      AND (src_cluster IN (FROM picked) OR dst_cluster IN (FROM picked))
), pairs AS (
    SELECT bucket_start,
           coalesce(sum(rate) FILTER (NOT is_near_side AND NOT is_far_side), 0)
           + greatest(coalesce(sum(rate) FILTER (is_near_side), 0),
                      coalesce(sum(rate) FILTER (is_far_side AND NOT is_near_side), 0)) AS rate
    FROM crossing
    GROUP BY bucket_start, src_cluster, dst_cluster
)
SELECT bucket_start AS time, sum(rate) AS "between clusters"
FROM pairs
GROUP BY 1
ORDER BY 1
