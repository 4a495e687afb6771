-- What share of the payloads could not be used, wholly or in part?
-- Units: share of payloads, of the time range.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT sum(rejected_payloads + partial_payloads) / nullif(sum(received_payloads), 0) AS "not understood"
FROM v_sources_1m
WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
