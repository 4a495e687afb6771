-- Which clusters talk, how much do they answer, and how well?
-- Units: calls a second answered; share of them that failed; detail in words. Arcs: shares of calls answered,
-- slow (of edges whose 95th percentile is over 100 ms and ten times the median) and failed.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), edges AS (
    FROM topology_edges('cluster', $__timeFrom(), $__timeTo()) WHERE source IN (FROM picked) OR target IN (FROM picked)
), calls AS (
    SELECT target AS id, sum(requests) AS requests, sum(errors) AS errors, sum(requests_per_s) AS per_s,
           sum(requests - errors) FILTER (p95_ms > 100 AND p95_ms > 10 * p50_ms) AS slow, max(p95_ms) AS p95_ms
    FROM edges
    WHERE kind = 'call'
    GROUP BY target
), health AS (
    SELECT entity, arg_max(state, minute) AS state,
           arg_max(concat_ws('; ', array_to_string(reasons, '; '), 'because of ' || caused_by), minute) AS reasons
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND entity_kind = 'cluster'
    GROUP BY entity
)
SELECT node_id AS id, node_id AS title, coalesce(nullif(concat_ws(' ', n.provider, n.region), ''), n.network, '') AS subtitle,
       coalesce(per_s, 0) AS mainstat, coalesce(errors / requests, 0) AS secondarystat,
       coalesce((requests - errors - coalesce(slow, 0)) / requests, 0) AS arc__ok,
       coalesce(slow / requests, 0) AS arc__slow, coalesce(errors / requests, 0) AS arc__failed,
       CASE health.state WHEN 'healthy' THEN '#56a64b' WHEN 'degraded' THEN '#ff9830' WHEN 'failing' THEN '#e02f44'
           ELSE '#8e8e8e' END AS color,
       coalesce(health.state, 'not judged') AS detail__health, nullif(reasons, '') AS detail__reasons,
       round(p95_ms, 1) AS detail__worst_p95_ms, coalesce(c.network, n.network) AS detail__network, c.model AS detail__model, c.mesh AS detail__mesh,
       bytes_in AS detail__bytes_in, bytes_out AS detail__bytes_out
FROM topology_nodes('cluster', $__timeFrom(), $__timeTo()) n
LEFT JOIN v_clusters c ON c.cluster = node_id
LEFT JOIN calls ON calls.id = node_id
LEFT JOIN health ON health.entity = node_id
WHERE node_id IN (SELECT source FROM edges UNION ALL SELECT target FROM edges)
ORDER BY requests_in DESC NULLS LAST, id
