-- Who was denied or dropped, by which policy or for which reason?
-- Units: packets (each retry is one more) or requests, since first seen.
SELECT client_entity AS client, server_entity AS server, server_port AS port, protocol, verdict,
       policies, reason, traffic_direction AS direction, layer, times, last_time AS "last time"
FROM v_policy_verdicts
WHERE last_time >= $__timeFrom()::TIMESTAMPTZ AND first_time <= $__timeTo()::TIMESTAMPTZ
ORDER BY times DESC, client, server
LIMIT 200
