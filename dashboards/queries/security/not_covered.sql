-- Which edges does no policy cover, and of which is it not known?
-- Units: calls and connections.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT CASE WHEN covered_by_policy THEN 'covered' WHEN NOT covered_by_policy THEN 'not covered'
            ELSE 'nobody tells' END AS policy,
       client, server, path_model AS path, requests, denied, policy AS "denied by"
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
WHERE covered_by_policy IS NOT true
ORDER BY covered_by_policy NULLS LAST, requests DESC, client, server
LIMIT 200
