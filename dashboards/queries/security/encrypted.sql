-- How much is encrypted on every leg, gateways' included?
-- Units: share of calls and connections.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT sum(tls_requests) / sum(requests) AS encrypted
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
