-- What talks, at the level chosen, how much does it answer, and how well?
-- Units: calls a second answered; share of them that failed; detail in words. Arcs: shares of calls answered,
-- slow (of edges whose 95th percentile is over 100 ms and ten times the median) and failed. The 150 busiest.
WITH picked AS (
    SELECT node_id FROM topology_nodes('$level', $__timeFrom(), $__timeTo())
    WHERE ('*' IN ($cloud) OR provider IN ($cloud)) AND ('*' IN ($region) OR region IN ($region))
      AND ('*' IN ($network) OR network IN ($network)) AND ('*' IN ($cluster) OR cluster IN ($cluster))
      AND ('*' IN ($namespace) OR namespace IN ($namespace))
      AND ('*' IN ($service) OR node_id IN ($service)
        OR service IN (SELECT service FROM v_endpoints WHERE entity IN ($service)))
), edges AS (
    FROM topology_edges('$level', $__timeFrom(), $__timeTo()) WHERE (source IN (FROM picked) OR target IN (FROM picked)) AND '$show' IN (kind, 'both')
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
), health AS (
    SELECT entity, arg_max(state, minute) AS state,
           arg_max(array_to_string(reasons, '; '), minute) AS reasons
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND '$level' IN (entity_kind, replace(entity_kind, 'service', 'workload'))
    GROUP BY entity
)
SELECT node_id AS id, split_part(node_id, '/', -1) AS title, coalesce(nullif(concat_ws(' ', namespace, cluster), ''), concat_ws(' ', provider, region)) AS subtitle,
       coalesce(per_s, 0) AS mainstat, coalesce(errors / requests, 0) AS secondarystat,
       coalesce((requests - errors - coalesce(slow, 0)) / requests, 0) AS arc__ok,
       coalesce(slow / requests, 0) AS arc__slow, coalesce(errors / requests, 0) AS arc__failed,
       CASE health.state WHEN 'healthy' THEN '#56a64b' WHEN 'degraded' THEN '#ff9830' WHEN 'failing' THEN '#e02f44'
           ELSE '#8e8e8e' END AS color,
       coalesce(health.state, 'not judged') AS detail__health, nullif(reasons, '') AS detail__reasons,
       round(p95_ms, 1) AS detail__worst_p95_ms, kind AS detail__kind,
       provider AS detail__cloud, region AS detail__region, network AS detail__network,
       bytes_in AS detail__bytes_in, bytes_out AS detail__bytes_out
FROM topology_nodes('$level', $__timeFrom(), $__timeTo())
LEFT JOIN calls ON calls.id = node_id
LEFT JOIN health ON health.entity = replace(node_id, 'gateway:', '')
WHERE node_id IN (FROM shown)
ORDER BY requests_in + requests_out DESC, bytes_in + bytes_out DESC, id
