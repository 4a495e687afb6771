-- Whose fault are the calls that failed or were denied, and by what evidence?
-- Units: calls.
SELECT blame, blamed_entity, client_entity, server_entity, blame_reason, count(*) AS calls
FROM v_calls
WHERE blame IS NOT NULL
GROUP BY ALL
ORDER BY calls DESC
