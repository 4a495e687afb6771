-- Whom does that client call?
-- Units: names of entities.
SELECT DISTINCT server_entity AS __value, server_entity AS __text
FROM edges_between($__timeFrom(), $__timeTo())
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source')) AND server_entity IS NOT NULL
ORDER BY 1
LIMIT 5000
