-- What is different from the time just before, as long as this one?
-- Units: calls a second, share failed and 95th percentile in milliseconds, before and now. Edges of fewer than
-- five calls are not said to be better or worse.
WITH now AS (
    FROM edges_picked('$level', $__timeFrom(), $__timeTo(),
        [$cloud], [$region], [$cluster], [$network], [$namespace], [$service])
    WHERE '$show' IN (kind, 'both')
), before AS (
    FROM edges_picked('$level',
        $__timeFrom()::TIMESTAMPTZ - ($__timeTo()::TIMESTAMPTZ - $__timeFrom()::TIMESTAMPTZ), $__timeFrom(),
        [$cloud], [$region], [$cluster], [$network], [$namespace], [$service])
    WHERE '$show' IN (kind, 'both')
), pairs AS (
    SELECT kind, source, target,
           coalesce(list_sort(list(DISTINCT coalesce(gateway, path_model)) FILTER (path_model IS NOT NULL)), []) AS paths,
           sum(requests_per_s) AS per_s, sum(requests) AS requests, sum(errors) / sum(requests) AS failed,
           max(p95_ms) AS p95, sum(tls_requests) / sum(requests) AS tls, true AS is_there
    FROM now
    GROUP BY ALL
), earlier AS (
    SELECT kind, source, target,
           coalesce(list_sort(list(DISTINCT coalesce(gateway, path_model)) FILTER (path_model IS NOT NULL)), []) AS paths,
           sum(requests_per_s) AS per_s, sum(requests) AS requests, sum(errors) / sum(requests) AS failed,
           max(p95_ms) AS p95, sum(tls_requests) / sum(requests) AS tls, true AS is_there
    FROM before
    GROUP BY ALL
), compared AS (
    SELECT coalesce(n.source, b.source) AS source, coalesce(n.target, b.target) AS target, kind, n.per_s AS per_s_now,
           b.per_s AS per_s_before, n.failed AS failed_now, b.failed AS failed_before, n.p95 AS p95_now,
           b.p95 AS p95_before, n.paths AS paths_now, b.paths AS paths_before,
           CASE WHEN b.is_there IS NULL THEN 'appeared' WHEN n.is_there IS NULL THEN 'vanished'
               WHEN len(n.paths) > 0 AND len(b.paths) > 0 AND n.paths <> b.paths THEN 'moved'
               WHEN n.tls < b.tls THEN 'less TLS'
               WHEN n.requests < 5 OR b.requests < 5 THEN NULL
               WHEN n.failed > b.failed + 0.01 OR n.p95 > 2 * b.p95 AND n.p95 > b.p95 + 20 THEN 'degraded'
               WHEN n.failed < b.failed - 0.01 OR b.p95 > 2 * n.p95 AND b.p95 > n.p95 + 20 THEN 'recovered'
           END AS change
    FROM pairs n FULL JOIN earlier b USING (kind, source, target)
)
SELECT change, source, target, kind, array_to_string(paths_before, ', ') AS "path before",
       array_to_string(paths_now, ', ') AS "path now", per_s_before AS "requests/s before", per_s_now AS "requests/s now",
       failed_before AS "failed before", failed_now AS "failed now", p95_before AS "p95 before", p95_now AS "p95 now"
FROM compared
WHERE change IS NOT NULL
ORDER BY list_position(['degraded', 'less TLS', 'vanished', 'appeared', 'moved', 'recovered'], change), source, target
LIMIT 200
