-- Of what each source sent, how much is here and is understood?
-- Units: payloads; shares of them, of the time range; lost of what the source counted as sent.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT observer_cluster AS cluster, agent, exporter, format,
       sum(received_payloads) AS received,
       sum(decoded_payloads) / nullif(sum(received_payloads), 0) AS understood,
       sum(rejected_payloads) / nullif(sum(received_payloads), 0) AS rejected,
       greatest(sum(sequence_units_lost), 0) / nullif(sum(sequence_units_expected), 0) AS lost,
       max(minute) AS "last record"
FROM v_sources_1m
WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
GROUP BY observer_cluster, agent, exporter, format
ORDER BY coalesce(lost, 0) DESC, understood, received DESC
LIMIT 100
