-- How many pairs of workloads talk in plaintext, where proxies could encrypt?
-- Units: pairs of workloads.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT count(*) FILTER (len(plaintext_legs) > 0) AS "in plaintext"
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
