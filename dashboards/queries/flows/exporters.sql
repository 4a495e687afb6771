-- Which exporters tell of traffic, how much, and how much of it was lost on the way?
-- Units: records; share of the units each counted as sent; times.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT observer_cluster AS "cluster", network, agent, exporter, format, sum(decoded_records) AS records,
       sum(greatest(sequence_units_lost, 0)) / nullif(sum(sequence_units_expected), 0) AS lost,
       sum(rejected_payloads) AS rejected, max(minute) AS "last heard"
FROM v_sources_1m
WHERE $__timeFilter(minute) AND format IN ('netflow5', 'netflow9', 'ipfix', 'sflow', 'conntrack', 'aws', 'gcp', 'azure')
  AND coalesce(observer_cluster, '') IN (FROM picked) AND ('*' IN ($exporter) OR exporter IN ($exporter))
GROUP BY ALL
ORDER BY records DESC, exporter
LIMIT 200
