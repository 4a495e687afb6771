-- Of which source is something missing: lost on the way, or not understood?
-- Units: share of what it sent in the last fifteen minutes that is here and understood.
SELECT max(minute) AS "time", coalesce(observer_cluster, '') AS cluster, exporter, format,
       least(coalesce(1 - greatest(sum(sequence_units_lost), 0) / nullif(sum(sequence_units_expected), 0), 1),
             sum(decoded_payloads) / sum(received_payloads)) AS complete
FROM v_sources_1m
WHERE $__timeFilter(minute)
GROUP BY observer_cluster, exporter, format
HAVING sum(received_payloads) > 0
ORDER BY 1, 2, 3, 4
