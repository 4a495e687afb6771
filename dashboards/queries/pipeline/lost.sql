-- What share of what the exporters counted as sent never came?
-- Units: share, of the time range.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT greatest(sum(sequence_units_lost), 0) / nullif(sum(sequence_units_expected), 0) AS lost
FROM v_sources_1m
WHERE $__timeFilter(minute) AND coalesce(observer_cluster, '') IN (FROM picked)
