-- Who talks across trust domains, or with one that is not the cluster's?
-- Units: calls and connections.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT client, server, client_trust_domains AS "client's domains", server_trust_domains AS "server's domains",
       unexpected_trust_domains AS unexpected, path_model AS path, requests, identity_share AS identified
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
WHERE crosses_trust_domains OR len(unexpected_trust_domains) > 0
ORDER BY len(unexpected_trust_domains) DESC, requests DESC, client, server
LIMIT 200
