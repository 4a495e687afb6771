-- What talks, at the level chosen, how much does it answer, and how well?
-- Units: calls a second answered; share of them that failed; detail in words. Arcs: shares of calls answered,
-- slow (of edges whose 95th percentile is over 100 ms and ten times the median) and failed. The 150 busiest.
WITH nodes AS MATERIALIZED (
    FROM topology_nodes('$level', $__timeFrom(), $__timeTo())
), edges AS MATERIALIZED (
    FROM edges_picked('$level', $__timeFrom(), $__timeTo(),
        [$cloud], [$region], [$cluster], [$network], [$namespace], [$service])
    WHERE '$show' IN (kind, 'both')
), shown AS (
    SELECT id FROM (SELECT source AS id, requests, bytes FROM edges UNION ALL SELECT target, requests, bytes FROM edges)
    GROUP BY id
    ORDER BY sum(requests) DESC NULLS LAST, sum(bytes) DESC NULLS LAST, id
    LIMIT 150
), calls AS (
    SELECT target AS id, sum(requests) AS requests, sum(errors) AS errors, sum(requests_per_s) AS per_s,
           sum(requests - errors) FILTER (p95_ms > 100 AND p95_ms > 10 * p50_ms) AS slow, max(p95_ms) AS p95_ms
    FROM edges
    WHERE kind = 'call'
    GROUP BY target
), called AS (
    SELECT DISTINCT entity, concat_ws('/', cluster, service) AS node FROM v_endpoints
    WHERE '$level' = 'service' AND service IS NOT NULL
), judged AS (
    SELECT entity_kind, entity, arg_max(state, minute) AS state,
           arg_max(concat_ws('; ', array_to_string(reasons, '; '), 'because of ' || caused_by), minute) AS reasons
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND CASE '$level' WHEN 'cluster' THEN entity_kind = 'cluster'
        WHEN 'gateway' THEN entity_kind IN ('cluster', 'gateway') ELSE entity_kind IN ('service', 'workload') END
    GROUP BY ALL
), health AS (
    SELECT coalesce(node, CASE entity_kind WHEN 'gateway' THEN 'gateway:' || entity ELSE entity END) AS id,
           arg_max(state, severity) AS state, arg_max(reasons, severity) AS reasons
    FROM (
        SELECT *, CASE entity_kind WHEN 'workload' THEN 0 ELSE 10 END
            + list_position(['unknown', 'healthy', 'degraded', 'failing'], state) AS severity
        FROM judged LEFT JOIN called USING (entity)
    )
    GROUP BY 1
)
SELECT node_id AS id, CASE '$level' WHEN 'service' THEN split_part(split_part(node_id, '/', -1), '.', 1)
           ELSE split_part(node_id, '/', -1) END AS title,
       coalesce(CASE WHEN cluster <> node_id THEN concat_ws(' ', namespace, cluster) END,
           concat_ws(' ', provider, region)) AS subtitle,
       coalesce(per_s, 0) AS mainstat, coalesce(errors / requests, 0) AS secondarystat,
       coalesce((requests - errors - coalesce(slow, 0)) / requests, 0) AS arc__ok,
       coalesce(slow / requests, 0) AS arc__slow, coalesce(errors / requests, 0) AS arc__failed,
       CASE health.state WHEN 'healthy' THEN '#56a64b' WHEN 'degraded' THEN '#ff9830' WHEN 'failing' THEN '#e02f44'
           ELSE '#8e8e8e' END AS color,
       coalesce(health.state, 'not judged') AS detail__health, nullif(reasons, '') AS detail__reasons,
       round(p95_ms, 1) AS detail__worst_p95_ms, kind AS detail__kind,
       provider AS detail__cloud, region AS detail__region, network AS detail__network,
       bytes_in AS detail__bytes_in, bytes_out AS detail__bytes_out
FROM nodes
LEFT JOIN calls ON calls.id = node_id
LEFT JOIN health ON health.id = node_id
WHERE node_id IN (FROM shown)
ORDER BY requests_in + requests_out DESC, bytes_in + bytes_out DESC, id
