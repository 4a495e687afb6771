-- What share of addresses could not be named, and why not?
-- Units: share of addresses of flows, requests and verdicts. Ambiguous: several had the address then. Unknown: nobody.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT $__timeGroupAlias(minute, '$__interval'), sum(unknown_sides) / sum(sides) AS unknown,
       sum(ambiguous_sides) / sum(sides) AS ambiguous
FROM naming_between($__timeFrom(), $__timeTo())
WHERE coalesce(observer_cluster, '') IN (FROM picked) AND ('*' IN ($exporter) OR exporter IN ($exporter))
GROUP BY 1
ORDER BY 1
