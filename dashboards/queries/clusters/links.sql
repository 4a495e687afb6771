-- What goes over each link between clouds and regions, and how well?
-- Units: calls a second; share failed; milliseconds; octets a second on the wire, of what both sides of a gateway saw
-- the larger.
SELECT source AS "from", target AS "to", sum(requests_per_s) AS "requests/s", sum(errors) / sum(requests) AS failed,
       max(p95_ms) AS p95,
       coalesce(sum(bytes_per_s) FILTER (kind = 'leg' AND path_model IN ('local', 'flat', 'external')), 0)
       + greatest(coalesce(sum(bytes_per_s) FILTER (kind = 'leg' AND path_model = 'gateway'), 0),
                  coalesce(sum(bytes_per_s) FILTER (kind = 'leg' AND path_model IS NULL), 0)) AS "bytes/s",
       sum(tls_requests) / sum(requests) AS "TLS",
       coalesce(string_agg(DISTINCT coalesce(gateway, path_model), ', ') FILTER (kind = 'call'),
                string_agg(DISTINCT coalesce(gateway, path_model), ', ')) AS via
FROM topology_edges('region', $__timeFrom(), $__timeTo())
WHERE source <> target
  AND ('*' IN ($cloud) OR split_part(source, '/', 1) IN ($cloud) OR split_part(target, '/', 1) IN ($cloud))
  AND ('*' IN ($region) OR split_part(source, '/', 2) IN ($region) OR split_part(target, '/', 2) IN ($region))
GROUP BY source, target
ORDER BY "bytes/s" DESC, "requests/s" DESC NULLS LAST, 1, 2
LIMIT 200
