-- Which gateway is not well?
-- Units: 1 healthy, 2 degraded, 3 failing, 0 unknown.
SELECT max(minute) AS "time", entity AS gateway, coalesce(cluster, '') AS cluster,
       coalesce(list_position(['healthy', 'degraded', 'failing'], arg_max(state, minute)), 0) AS state
FROM v_health_1m
WHERE entity_kind = 'gateway' AND $__timeFilter(minute)
GROUP BY entity, cluster
ORDER BY 1, 2, 3
