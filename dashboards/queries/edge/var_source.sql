-- Who calls anybody?
-- Units: names of entities.
SELECT DISTINCT coalesce(client_entity, 'unknown') AS __value, coalesce(client_entity, 'unknown') AS __text
FROM edges_between($__timeFrom(), $__timeTo())
ORDER BY 1
LIMIT 5000
