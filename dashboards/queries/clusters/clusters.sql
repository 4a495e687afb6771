-- Which clusters are there, where, in which network and mesh, and what goes in and out?
-- Units: calls a second, within the cluster included; octets of flows in the time range.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), health AS (
    SELECT entity, arg_max(state, minute) AS state, arg_max(array_to_string(reasons, '; '), minute) AS why
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND entity_kind = 'cluster'
    GROUP BY entity
), edges AS (
    FROM topology_edges('cluster', $__timeFrom(), $__timeTo()) WHERE kind = 'call'
), served AS (
    SELECT target AS cluster, sum(requests_per_s) AS per_s, sum(errors) / sum(requests) AS failed FROM edges GROUP BY 1
), made AS (
    SELECT source AS cluster, sum(requests_per_s) AS per_s FROM edges GROUP BY 1
), known AS (
    SELECT cluster, count(DISTINCT entity) FILTER (kind IN ('pod', 'vm')) AS workloads,
           count(DISTINCT node) AS nodes, count(*) FILTER (kind IN ('pod', 'vm')) AS pods
    FROM v_endpoints
    WHERE coalesce(valid_to, $__timeTo()::TIMESTAMPTZ) >= $__timeTo()::TIMESTAMPTZ
    GROUP BY cluster
)
SELECT coalesce(state, 'unknown') AS state, c.cluster, c.provider AS cloud, c.region,
       array_to_string(c.zones, ', ') AS zones,
       c.network, c.model, c.mesh, c.trust_domain AS "trust domain", nodes, workloads, pods, served.per_s AS "served/s",
       served.failed, made.per_s AS "made/s", n.bytes_in AS "bytes in", n.bytes_out AS "bytes out", why
FROM v_clusters c
LEFT JOIN known ON known.cluster = c.cluster
LEFT JOIN served ON served.cluster = c.cluster LEFT JOIN made ON made.cluster = c.cluster
LEFT JOIN health ON health.entity = c.cluster
LEFT JOIN topology_nodes('cluster', $__timeFrom(), $__timeTo()) n ON n.node_id = c.cluster
WHERE c.cluster IN (FROM picked)
ORDER BY list_position(['failing', 'degraded'], state) NULLS LAST, c.cluster
