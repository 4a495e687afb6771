-- Which clusters talk, how much do they answer, and how well?
-- Units: calls a second answered; share of them that failed; detail in words. Arcs: shares of calls answered,
-- slow (of edges whose 95th percentile is over 100 ms and ten times the median) and failed.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), edges AS MATERIALIZED (
    FROM topology_edges('cluster', $__timeFrom(), $__timeTo()) WHERE source IN (FROM picked) OR target IN (FROM picked)
), nodes AS (
    SELECT id, sum(requests) AS requests, sum(errors) AS errors, sum(per_s) AS per_s, sum(slow) AS slow,
           max(p95_ms) AS p95_ms, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
    FROM (
        SELECT target AS id, requests, errors, requests_per_s AS per_s, p95_ms,
               CASE WHEN p95_ms > 100 AND p95_ms > 10 * p50_ms THEN requests - errors END AS slow,
               CASE kind WHEN 'leg' THEN bytes END AS bytes_in, NULL AS bytes_out
        FROM edges
        UNION ALL
        SELECT source, NULL, NULL, NULL, NULL, NULL, NULL, CASE kind WHEN 'leg' THEN bytes END FROM edges
    )
    GROUP BY id
), health AS (
    SELECT entity, arg_max(state, minute) AS state,
           arg_max(concat_ws('; ', array_to_string(reasons, '; '), 'because of ' || caused_by), minute) AS reasons
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND entity_kind = 'cluster'
    GROUP BY entity
)
SELECT id, id AS title, concat_ws(' ', provider, region) AS subtitle,
       coalesce(per_s, 0) AS mainstat, coalesce(errors / requests, 0) AS secondarystat,
       coalesce((requests - errors - coalesce(slow, 0)) / requests, 0) AS arc__ok,
       coalesce(slow / requests, 0) AS arc__slow, coalesce(errors / requests, 0) AS arc__failed,
       CASE health.state WHEN 'healthy' THEN '#56a64b' WHEN 'degraded' THEN '#ff9830' WHEN 'failing' THEN '#e02f44'
           ELSE '#8e8e8e' END AS color,
       coalesce(health.state, 'not judged') AS detail__health, nullif(reasons, '') AS detail__reasons,
       round(p95_ms, 1) AS detail__worst_p95_ms,
       coalesce(network, regexp_extract(id, '^(?:unknown|outside clusters) in (.*)$', 1)) AS detail__network,
       model AS detail__model, mesh AS detail__mesh, bytes_in AS detail__bytes_in, bytes_out AS detail__bytes_out
FROM nodes
LEFT JOIN v_clusters ON cluster = id
LEFT JOIN health ON health.entity = id
ORDER BY requests DESC NULLS LAST, id
