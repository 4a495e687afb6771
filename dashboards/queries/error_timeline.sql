-- When did which service fail?
-- Units: calls a minute.
SELECT minute AS time, server_entity, sum(requests) AS requests, sum(errors) AS errors
FROM v_edges
GROUP BY ALL
ORDER BY time, server_entity
