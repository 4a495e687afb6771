-- Which edges are least well, and which carry most?
-- Units: share of calls failed; calls a second; milliseconds; share of calls over TLS. At most 15 edges.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), buckets AS (
    SELECT coalesce(client_entity, 'unknown') AS client, server_entity AS server, coalesce(gateway, path_model) AS via,
           bucket_start, bucket_s, requests, errors, denied, tls_requests, durations
    FROM edges_between($__timeFrom(), $__timeTo())
    WHERE coalesce(client_cluster, '') IN (FROM picked) OR coalesce(server_cluster, '') IN (FROM picked)
), health AS (
    SELECT entity, arg_max(state, minute) AS judged, arg_max(array_to_string(reasons, '; '), minute) AS why,
           arg_max(coalesce(caused_by, ''), minute) AS cause
    FROM v_health_1m
    WHERE $__timeFilter(minute) AND minute > $__timeTo()::timestamptz - INTERVAL 1 HOUR
      AND entity_kind = 'edge'
    GROUP BY entity
), worst AS (
    SELECT coalesce(any_value(judged), 'unknown') AS state, client, server, via, sum(requests) AS requests,
           sum(errors) / sum(requests) AS failed, sum(denied) AS denied, sum(tls_requests) / sum(requests) AS tls,
           concat_ws('; because of ', nullif(any_value(why), ''), nullif(any_value(cause), '')) AS why
    FROM buckets LEFT JOIN health ON health.entity = client || ' -> ' || server
    GROUP BY ALL
    ORDER BY list_position(['failing', 'degraded'], state) NULLS LAST, failed DESC, requests DESC, client, server
    LIMIT 15
), timed AS (
    SELECT client, server, via, histogram_quantile(histogram_merge(durations), 0.95) AS p95
    FROM buckets
    WHERE client IN (SELECT client FROM worst) AND server IN (SELECT server FROM worst) AND durations IS NOT NULL
    GROUP BY ALL
), span AS (
    SELECT sum(bucket_s) AS seconds FROM (SELECT DISTINCT bucket_start, bucket_s FROM buckets)
)
SELECT state, client, server, via, requests / seconds AS "requests/s", failed, p95, tls AS "TLS", denied, why
FROM worst
CROSS JOIN span
LEFT JOIN timed USING (client, server, via)
ORDER BY list_position(['failing', 'degraded'], state) NULLS LAST, failed DESC, requests DESC, client, server
