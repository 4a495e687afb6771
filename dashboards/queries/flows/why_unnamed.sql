-- Why could addresses not be named?
-- Units: share of addresses looked up, in the last hour of the time range. Ambiguous: several had it; unknown: nobody.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT sum(ambiguous_sides) / sum(sides) AS ambiguous, sum(unknown_sides) / sum(sides) AS unknown
FROM naming_between(greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 1 HOUR), $__timeTo())
WHERE coalesce(observer_cluster, '') IN (FROM picked) AND ('*' IN ($exporter) OR exporter IN ($exporter))
