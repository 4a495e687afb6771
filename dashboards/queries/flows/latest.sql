-- Which flows were these, and how were their addresses named?
-- Units: octets and packets, after sampling. The latest 500 of the last quarter of an hour of the time range; with an
-- exporter, address or port chosen, of its last hour.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT start_time AS time, src_entity AS source, dst_entity AS target, src_ip AS "from", src_port AS "from port",
       dst_ip AS "to", dst_port AS "to port",
       CASE protocol WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 1 THEN 'ICMP' WHEN 58 THEN 'ICMPv6' WHEN 132 THEN 'SCTP'
           ELSE 'IP protocol ' || protocol END AS protocol,
       bytes_estimate AS bytes, packets_estimate AS packets, sampling_factor AS sampling,
       epoch(end_time - start_time) AS seconds, src_resolution AS "source is", src_method AS "source by",
       dst_resolution AS "target is", dst_method AS "target by", exporter, observer_cluster AS "seen in", network
FROM v_flows
WHERE start_time BETWEEN greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ
            - CASE WHEN '*' IN ($exporter) AND '$address' = '' AND '$peer' = '' AND '$port' = ''
                THEN INTERVAL 15 MINUTE ELSE INTERVAL 1 HOUR END)
        AND $__timeTo()::TIMESTAMPTZ
    AND ('*' IN ($exporter) OR exporter IN ($exporter))
    AND (coalesce(src_cluster, '') IN (FROM picked) OR coalesce(dst_cluster, '') IN (FROM picked))
    AND ('*' IN ($namespace) OR src_namespace IN ($namespace) OR dst_namespace IN ($namespace))
    AND ('*' IN ($protocol) OR CASE protocol WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 1 THEN 'ICMP'
        WHEN 58 THEN 'ICMPv6' WHEN 132 THEN 'SCTP' ELSE 'IP protocol ' || protocol END IN ($protocol))
    AND ('$port' = '' OR TRY_CAST('$port' AS USMALLINT) IN (src_port, dst_port))
    AND ('$address' = '' OR in_cidr(src_ip_hi, src_ip_lo, '$address') OR in_cidr(dst_ip_hi, dst_ip_lo, '$address'))
    AND ('$peer' = '' OR in_cidr(src_ip_hi, src_ip_lo, '$peer') OR in_cidr(dst_ip_hi, dst_ip_lo, '$peer'))
ORDER BY start_time DESC
LIMIT 500
