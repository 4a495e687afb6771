-- What leaves for addresses that are nobody's here: named ranges outside, and unknown ones?
-- Units: octets after sampling, as the exporter that saw most tells; flow records.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT src_entity AS client, coalesce(src_cluster, src_network) AS "from", dst_entity AS "to",
       coalesce(dst_kind, 'unknown') AS kind, protocol, dst_port AS port,
       sum(bytes) AS bytes, sum(flows) AS flows, max(last_time) AS "last seen"
FROM legs_between($__timeFrom(), $__timeTo())
WHERE (dst_kind = 'external' OR dst_kind IS NULL) AND src_kind IS DISTINCT FROM 'external'
  AND src_kind IS NOT NULL AND dst_gateway IS NULL AND dst_port IS NOT NULL
  AND coalesce(src_cluster, '') IN (FROM picked)
GROUP BY ALL
ORDER BY bytes DESC NULLS LAST, client, "to", port
LIMIT 200
