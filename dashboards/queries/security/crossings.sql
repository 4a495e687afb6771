-- How many pairs of workloads talk across trust domains?
-- Units: pairs of workloads.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT count(*) FILTER (crosses_trust_domains) AS crossing
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
