-- Who calls it, and whom does it call?
-- Units: calls a second to each from those shown; share of them that failed. Arcs: shares answered, slow (of edges
-- whose 95th percentile is over 100 ms and ten times the median) and failed.
-- Begins with: service/around
, nodes AS (
    SELECT id, any_value(cluster) AS cluster, sum(requests) AS requests, sum(errors) AS errors, sum(per_s) AS per_s,
           sum(slow) AS slow
    FROM (
        SELECT target AS id, target_cluster AS cluster, requests, errors, per_s,
               CASE WHEN p95_ms > 100 AND p95_ms > 10 * p50_ms THEN requests - errors ELSE 0 END AS slow
        FROM edges
        UNION ALL SELECT source, source_cluster, NULL, NULL, NULL, NULL FROM edges
    )
    GROUP BY id
), judged AS (
    SELECT entity_kind, entity, arg_max(state, minute) AS state
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND entity_kind IN ('service', 'workload') AND entity IN (SELECT id FROM nodes)
    GROUP BY ALL
), health AS (
    SELECT entity, arg_max(state, entity_kind = 'service') AS state FROM judged GROUP BY entity
)
SELECT id, split_part(id, '/', -1) AS title, coalesce(cluster, 'unknown cluster') AS subtitle,
       coalesce(per_s, 0) AS mainstat, coalesce(errors / requests, 0) AS secondarystat,
       coalesce((requests - errors - slow) / requests, 0) AS arc__ok, coalesce(slow / requests, 0) AS arc__slow,
       coalesce(errors / requests, 0) AS arc__failed,
       CASE state WHEN 'healthy' THEN '#56a64b' WHEN 'degraded' THEN '#ff9830' WHEN 'failing' THEN '#e02f44'
           ELSE '#8e8e8e' END AS color,
       id IN (FROM me) AS highlighted, coalesce(state, 'not judged') AS detail__health
FROM nodes LEFT JOIN health ON health.entity = id
ORDER BY id
