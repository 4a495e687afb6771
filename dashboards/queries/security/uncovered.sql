-- How many pairs of workloads does no policy cover? Where nobody tells, it is not known, and not counted.
-- Units: pairs of workloads.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT count(*) FILTER (NOT covered_by_policy) AS "not covered"
FROM (
    FROM security_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
)
