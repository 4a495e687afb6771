-- What was refused on the way to it and from it, by which policy?
-- Units: packets (L4) or requests (L7) refused, of all that was seen.
WITH me AS (FROM entities_called('$service'))
SELECT layer, client_entity AS client, server_entity AS server, server_port AS port, protocol, verdict, reason,
       array_to_string(policies, ', ') AS policies, traffic_direction AS direction, times, last_time AS "last seen"
FROM policy_verdicts_between($__timeFrom(), $__timeTo())
WHERE (client_entity IN (FROM me) OR server_entity IN (FROM me))
ORDER BY times DESC
LIMIT 50
