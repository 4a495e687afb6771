-- How much is encrypted on every leg, how much is between ends that proved who they are, and which edges are not?
-- Units: share of calls and connections; pairs of workloads. An edge of which nobody tells a policy is not counted.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT sum(tls_requests) / sum(requests) AS encrypted,
       sum(identity_share * requests) / sum(requests) AS "known at both ends",
       count(*) FILTER (len(plaintext_legs) > 0) AS "edges in plaintext",
       count(*) FILTER (NOT covered_by_policy) AS "edges no policy covers",
       count(*) FILTER (crosses_trust_domains) AS "across trust domains"
FROM security_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
