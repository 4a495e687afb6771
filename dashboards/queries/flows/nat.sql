-- Which addresses were translated into which?
-- Units: flow records and octets, of the last hour of the time range. The 200 largest.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT exporter, network, src_ip AS "from", src_entity AS source, post_nat_src_ip AS "from, after",
       post_nat_src_entity AS "source, after", dst_ip AS "to", dst_entity AS target, post_nat_dst_ip AS "to, after",
       post_nat_dst_entity AS "target, after", count(*) AS flows, sum(bytes_estimate) AS bytes,
       max(start_time) AS "last seen"
FROM v_flows
WHERE (post_nat_src_ip IS NOT NULL OR post_nat_dst_ip IS NOT NULL)
    AND start_time BETWEEN greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 1 HOUR)
        AND $__timeTo()::TIMESTAMPTZ
    AND ('*' IN ($exporter) OR exporter IN ($exporter))
    AND (coalesce(src_cluster, '') IN (FROM picked) OR coalesce(dst_cluster, '') IN (FROM picked))
    AND ('*' IN ($namespace) OR src_namespace IN ($namespace) OR dst_namespace IN ($namespace))
    AND ('*' IN ($protocol) OR CASE protocol WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 1 THEN 'ICMP'
        WHEN 58 THEN 'ICMPv6' WHEN 132 THEN 'SCTP' ELSE 'IP protocol ' || protocol END IN ($protocol))
    AND ('$port' = '' OR TRY_CAST('$port' AS USMALLINT) IN (src_port, dst_port))
    AND ('$address' = '' OR in_cidr(src_ip_hi, src_ip_lo, '$address') OR in_cidr(dst_ip_hi, dst_ip_lo, '$address'))
    AND ('$peer' = '' OR in_cidr(src_ip_hi, src_ip_lo, '$peer') OR in_cidr(dst_ip_hi, dst_ip_lo, '$peer'))
GROUP BY ALL
ORDER BY bytes DESC
LIMIT 200
