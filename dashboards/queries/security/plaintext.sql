-- Which edges are not encrypted from end to end, and on which leg?
-- Units: calls and connections; shares of them.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT client, server, path_model AS path, gateway, requests, tls_share AS encrypted, identity_share AS identified,
       plaintext_legs AS "in plaintext", untold_legs AS "nobody tells", last_minute AS "last seen"
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
WHERE tls_share < 1
ORDER BY len(plaintext_legs) > 0 DESC, requests DESC, client, server
LIMIT 200
