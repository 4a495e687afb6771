-- What should a person look at?
-- Units: words and times. Open ones, and those that were open in the time range.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT severity, CASE WHEN closed_time IS NULL THEN 'open' ELSE 'closed' END AS state, first_seen AS since,
       replace(kind, '_', ' ') AS finding, entity, summary, action
FROM v_findings
WHERE first_seen <= $__timeTo()::TIMESTAMPTZ
  AND coalesce(closed_time, $__timeTo()::TIMESTAMPTZ) >= $__timeFrom()::TIMESTAMPTZ
  AND ('' IN (FROM picked) OR len(list_filter(clusters, lambda one: one IN ($cluster))) > 0
    OR (len(clusters) > 0 AND clusters[1] IN (FROM picked)))
ORDER BY closed_time IS NOT NULL, list_position(['error', 'warning', 'info'], severity), first_seen DESC
LIMIT 50
