-- Over which paths is it called, and what does each cost beyond the service's own time?
-- Units: calls; milliseconds, means of calls that both proxies timed. Tax: what the client waited beyond the server.
WITH me AS (FROM entities_called('$service'))
SELECT coalesce(path_model, 'unknown') AS path, gateway, client_cluster AS "from", sum(requests) AS requests,
       sum(errors) / sum(requests) AS failed,
       histogram_quantile(histogram_merge(durations), 0.95) AS p95,
       sum(server_duration_ns) / 1e6 / nullif(sum(server_timed), 0) AS "server took",
       sum(on_the_way_ns) / 1e6 / nullif(sum(both_timed), 0) AS tax
FROM edges_between($__timeFrom(), $__timeTo())
WHERE server_entity IN (FROM me)
GROUP BY ALL
ORDER BY tax DESC NULLS LAST, requests DESC
