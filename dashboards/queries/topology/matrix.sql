-- Which cluster calls which?
-- Units: calls a second. A row of the matrix is who calls, a column is who is called.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT source AS "from", target AS "to", sum(requests_per_s) AS "requests/s"
FROM topology_edges('cluster', $__timeFrom(), $__timeTo())
WHERE kind = 'call' AND (coalesce(source_cluster, '') IN (FROM picked) OR coalesce(target_cluster, '') IN (FROM picked))
GROUP BY ALL
ORDER BY 1, 2
