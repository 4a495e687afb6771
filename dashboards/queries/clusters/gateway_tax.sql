-- What do clients wait beyond the server's own time, by path?
-- Units: milliseconds, means of calls that both ends timed. Flat and local are there to compare.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT bucket_start AS time, coalesce('via ' || gateway, path_model, 'unknown') AS metric,
       sum(on_the_way_ns) / 1e6 / nullif(sum(both_timed), 0) AS tax
FROM edges_between($__timeFrom(), $__timeTo())
WHERE both_timed > 0
  AND (coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked))
GROUP BY 1, 2
ORDER BY 1, 2
