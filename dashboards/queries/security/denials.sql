-- Whom do policies deny, over time? The ten servers that deny most.
-- Units: calls a minute.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), refused AS (
    SELECT bucket_start AS "time", server_entity, sum(denied) * 60 / max(bucket_s) AS denied
    FROM edges_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
    GROUP BY 1, 2
), most AS (
    SELECT server_entity FROM refused GROUP BY server_entity HAVING sum(denied) > 0 ORDER BY sum(denied) DESC LIMIT 10
)
SELECT "time", server_entity AS server, denied
FROM refused
WHERE server_entity IN (FROM most)
ORDER BY 1, 2
