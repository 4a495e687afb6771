-- Who was denied or dropped, by which policy or for which reason?
-- Units: packets (each retry is one more) or requests, in the time range.
SELECT client_entity AS client, server_entity AS server, server_port AS port, protocol, verdict,
       policies, reason, traffic_direction AS direction, layer, times, last_time AS "last time"
FROM policy_verdicts_between($__timeFrom(), $__timeTo())
ORDER BY times DESC, client, server
LIMIT 200
