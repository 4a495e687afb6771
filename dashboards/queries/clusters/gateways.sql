-- Which gateways are there, what goes through each, and what does that cost?
-- Units: calls a second; share failed, and failed before any server was reached; milliseconds. Tax: mean of what
-- clients waited beyond servers.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), known AS (
    SELECT name AS gateway, cluster, to_network, string_agg(DISTINCT network, ', ' ORDER BY network) AS seen_from,
           string_agg(DISTINCT ip || ':' || port, ', ') AS addresses
    FROM v_gateways
    GROUP BY ALL
), calls AS (
    SELECT gateway, sum(requests) AS requests, sum(errors) AS errors, sum(unserved_errors) AS unserved,
           histogram_quantile(histogram_merge(durations), 0.95) AS p95,
           sum(on_the_way_ns) / 1e6 / nullif(sum(both_timed), 0) AS tax, max(bucket_start) AS last_time
    FROM edges_between($__timeFrom(), $__timeTo())
    WHERE gateway IS NOT NULL
    GROUP BY gateway
), rates AS (
    SELECT gateway, sum(requests_per_s) AS per_s
    FROM topology_edges('cluster', $__timeFrom(), $__timeTo())
    WHERE kind = 'call' AND gateway IS NOT NULL
    GROUP BY gateway
), health AS (
    SELECT entity, arg_max(state, minute) AS state, arg_max(array_to_string(reasons, '; '), minute) AS why
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND entity_kind = 'gateway'
    GROUP BY entity
)
SELECT coalesce(state, 'unknown') AS state, gateway, cluster, to_network AS "leads into", seen_from AS "seen from",
       addresses,
       per_s AS "requests/s", errors / requests AS failed, unserved / requests AS "not passed on", p95, tax, why
FROM known LEFT JOIN calls USING (gateway) LEFT JOIN rates USING (gateway) LEFT JOIN health ON health.entity = gateway
WHERE coalesce(cluster, '') IN (FROM picked)
ORDER BY list_position(['failing', 'degraded'], state) NULLS LAST, requests DESC NULLS LAST, gateway
