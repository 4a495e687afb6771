-- What share of addresses has a name? What is ambiguous is not named.
-- Units: share of the addresses of rows, of the time range.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT 1 - sum(unknown_sides + ambiguous_sides) / nullif(sum(sides), 0) AS named
FROM naming_between($__timeFrom(), $__timeTo())
WHERE coalesce(observer_cluster, '') IN (FROM picked)
