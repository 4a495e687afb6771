-- Which regions talk to each other, and how well?
-- Units: calls a second; logarithm of octets a second; share failed.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), regions AS (
    SELECT DISTINCT coalesce(nullif(concat_ws('/', provider, region), ''), 'unknown region') AS id
    FROM v_clusters
    WHERE cluster IN (FROM picked)
)
SELECT source || ' -> ' || target AS id, source, target, coalesce(sum(requests_per_s), 0) AS requests_per_s,
       coalesce(sum(errors) / sum(requests), 0) AS failed,
       log2(1 + max(bytes_per_s)) AS thickness, max(bytes_per_s) AS bytes_per_s,
       CASE WHEN sum(requests) IS NULL THEN '#8e8e8e' WHEN sum(errors) >= 0.25 * sum(requests) THEN '#e02f44'
           WHEN sum(errors) >= 0.01 * sum(requests) OR bool_or(p95_ms > 100 AND p95_ms > 10 * p50_ms) THEN '#ff9830'
           ELSE '#56a64b' END AS color,
       CASE WHEN sum(tls_requests) < sum(requests) THEN '6 4' ELSE '' END AS strokedasharray,
       string_agg(DISTINCT coalesce(gateway, path_model), ', ') FILTER (kind = 'call') AS via
FROM topology_edges('region', $__timeFrom(), $__timeTo())
WHERE source <> target AND source IN (FROM regions) AND target IN (FROM regions)
GROUP BY source, target
ORDER BY 1
