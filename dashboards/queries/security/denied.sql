-- How many calls did a policy deny?
-- Units: calls, of the time range.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT coalesce(sum(denied), 0) AS denied
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
