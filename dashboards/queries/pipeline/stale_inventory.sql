-- For how long has the quietest part of the inventory not been heard of?
-- Units: seconds.
SELECT max(silent_s) AS "inventory"
FROM v_inventory
WHERE '*' IN ($cluster) OR cluster IN ($cluster)
