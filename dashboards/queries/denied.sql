-- Who is denied what, and by which policy?
-- Units: calls.
SELECT client_entity, server_entity, method, path, policy, count(*) AS denied
FROM v_calls
WHERE denied
GROUP BY ALL
ORDER BY denied DESC
