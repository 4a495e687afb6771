-- Which cluster's calls to which fail?
-- Units: share of calls. A row of the matrix is who calls, a column is who is called.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT source AS "from", target AS "to", sum(errors) / sum(requests) AS failed
FROM topology_edges('cluster', $__timeFrom(), $__timeTo())
WHERE kind = 'call' AND (coalesce(source_cluster, '') IN (FROM picked) OR coalesce(target_cluster, '') IN (FROM picked))
GROUP BY ALL
ORDER BY 1, 2
