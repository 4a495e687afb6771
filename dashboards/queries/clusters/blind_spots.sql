-- What does the inventory know that nobody sees?
-- Units: words and times, now.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network]))
SELECT state, kind, entity, cluster, network, expected AS "known because", last_time AS "last seen",
       array_to_string(seen_by, ', ') AS "seen by"
FROM v_blind_spots
WHERE coalesce(cluster, '') IN (FROM picked)
ORDER BY list_position(['silent', 'never_seen', 'others_only'], state), kind, entity
LIMIT 200
