-- Which two ranges would have to move apart?
-- Units: addresses in use in each; addresses in both.
SELECT cluster_a AS cluster, concat_ws(' ', network_a, range_a, kind_a, name_a) AS range, in_use_a AS "in use",
       cluster_b AS "other cluster", concat_ws(' ', network_b, range_b, kind_b, name_b) AS "other range",
       in_use_b AS "in use there", addresses AS "in both"
FROM v_flat_conflicts
WHERE '*' IN ($network) OR network_a IN ($network) OR network_b IN ($network)
ORDER BY addresses DESC, 1, 2, 4, 5
LIMIT 200
