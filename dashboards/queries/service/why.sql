-- Why is it not well, and is that its own doing?
-- Units: states and reasons, minute by minute, the latest first.
WITH me AS (FROM entities_called('$service'))
SELECT minute, entity_kind AS what, entity, state, array_to_string(reasons, '; ') AS reasons, caused_by AS "because of"
FROM v_health_1m
WHERE $__timeFilter(minute) AND state IN ('degraded', 'failing')
  AND (entity IN (FROM me) OR split_part(entity, ' -> ', 2) IN (FROM me) OR split_part(entity, ' -> ', 1) IN (FROM me))
ORDER BY minute DESC, list_position(['failing', 'degraded'], state), entity
LIMIT 100
