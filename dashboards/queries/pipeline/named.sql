-- What share of addresses has a name? What is ambiguous is not named.
-- Units: share of the addresses of rows, of the last hour of the time range: every row is looked at.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT 1 - sum(unknown_sides + ambiguous_sides) / nullif(sum(sides), 0) AS named
FROM naming_between(
    greatest($__timeFrom()::TIMESTAMPTZ, $__timeTo()::TIMESTAMPTZ - INTERVAL 1 HOUR), $__timeTo())
WHERE coalesce(observer_cluster, '') IN (FROM picked)
