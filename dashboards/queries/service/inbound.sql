-- Who calls it, how often, how well and over which path?
-- Units: calls a second; share failed; milliseconds; share over TLS.
WITH me AS (FROM entities_called('$service')), span AS (
    SELECT sum(bucket_s) AS seconds
    FROM (SELECT DISTINCT bucket_start, bucket_s FROM edges_between($__timeFrom(), $__timeTo()))
)
SELECT coalesce(client_entity, 'unknown') AS client, server_entity AS server, path_model AS path, gateway,
       sum(requests) / any_value(seconds) AS "requests/s", sum(errors) / sum(requests) AS failed,
       sum(client_errors) AS "4xx", sum(denied) AS denied, histogram_quantile(histogram_merge(durations), 0.5) AS p50,
       histogram_quantile(histogram_merge(durations), 0.95) AS p95, sum(tls_requests) / sum(requests) AS "TLS",
       string_agg(DISTINCT protocol, ', ') AS protocols, min(confidence) AS confidence
FROM edges_between($__timeFrom(), $__timeTo())
CROSS JOIN span
WHERE server_entity IN (FROM me)
GROUP BY ALL
ORDER BY "requests/s" DESC, client
LIMIT 200
