-- How much traffic is that?
-- Units: octets, packets and flow records a second, after sampling. What two exporters saw is counted once.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), rolled_up AS (
    SELECT bucket_start, bucket_s, src_entity, dst_entity, src_cluster, dst_cluster, src_network, dst_network,
           src_namespace, dst_namespace, src_provider, dst_provider, protocol,
           coalesce(dst_port, src_port) AS port, bytes, packets, flows
    FROM legs_between($__timeFrom(), $__timeTo())
    WHERE '*' IN ($exporter) AND '$address' = '' AND '$peer' = ''
), seen AS (
    SELECT time_bucket(INTERVAL 1 MINUTE, start_time) AS bucket_start, 60.0 AS bucket_s, src_entity, dst_entity,
           src_cluster, dst_cluster, src_network, dst_network, src_namespace, dst_namespace, src_provider, dst_provider,
           CASE protocol WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 1 THEN 'ICMP' WHEN 58 THEN 'ICMPv6'
               WHEN 132 THEN 'SCTP' ELSE 'IP protocol ' || protocol END AS protocol,
           least(src_port, dst_port) AS port, network, src_ip_hi, src_ip_lo, dst_ip_hi, dst_ip_lo,
           exporter, sum(bytes_estimate) AS bytes, sum(packets_estimate) AS packets, count(*) AS flows
    FROM v_flows
    WHERE NOT ('*' IN ($exporter) AND '$address' = '' AND '$peer' = '') AND $__timeFilter(start_time)
      AND ('*' IN ($exporter) OR exporter IN ($exporter))
      AND ('$address' = '' OR in_cidr(src_ip_hi, src_ip_lo, '$address') OR in_cidr(dst_ip_hi, dst_ip_lo, '$address'))
      AND ('$peer' = '' OR in_cidr(src_ip_hi, src_ip_lo, '$peer') OR in_cidr(dst_ip_hi, dst_ip_lo, '$peer'))
    GROUP BY ALL
), sized AS (
    SELECT *, hash(bucket_start, network, src_ip_hi, src_ip_lo, dst_ip_hi, dst_ip_lo, protocol) AS pair,
           sum(bytes) OVER (PARTITION BY pair, exporter) AS all_of_it
    FROM seen
), once AS (
    FROM sized QUALIFY exporter = first_value(exporter) OVER (PARTITION BY pair ORDER BY all_of_it DESC, exporter)
), flows AS (
    SELECT *, CASE '$dimension' WHEN 'source' THEN src_entity WHEN 'target' THEN dst_entity
               WHEN 'pair' THEN src_entity || ' -> ' || dst_entity WHEN 'source cluster' THEN src_cluster
               WHEN 'target cluster' THEN dst_cluster WHEN 'clusters' THEN concat_ws(' -> ', src_cluster, dst_cluster)
               WHEN 'networks' THEN concat_ws(' -> ', src_network, dst_network)
               WHEN 'namespaces' THEN concat_ws(' -> ', src_namespace, dst_namespace)
               WHEN 'clouds' THEN concat_ws(' -> ', src_provider, dst_provider) WHEN 'protocol' THEN protocol
               WHEN 'port' THEN concat_ws(' ', protocol, port) END AS what
    FROM (FROM rolled_up UNION ALL BY NAME FROM once)
    WHERE (coalesce(src_cluster, '') IN (FROM picked) OR coalesce(dst_cluster, '') IN (FROM picked))
      AND ('*' IN ($namespace) OR src_namespace IN ($namespace) OR dst_namespace IN ($namespace))
      AND ('*' IN ($protocol) OR protocol IN ($protocol))
      AND ('$port' = '' OR port = TRY_CAST('$port' AS USMALLINT))
)
SELECT bucket_start AS time, sum(bytes / bucket_s) AS bytes, sum(packets / bucket_s) AS packets,
       sum(flows / bucket_s) AS flows
FROM flows
GROUP BY 1
ORDER BY 1
