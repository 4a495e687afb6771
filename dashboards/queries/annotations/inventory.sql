-- Which endpoints came, of which workload, and when: a deployment, a scale-out, a move?
-- Units: times, to the minute; addresses.
SELECT date_trunc('minute', valid_from) AS "time", NULL::TIMESTAMPTZ AS timeend,
       coalesce(entity, kind) || ': ' || count(*) || ' new addresses' AS text,
       kind || coalesce(',' || cluster, '') AS tags
FROM v_endpoints
WHERE $__timeFilter(valid_from)
GROUP BY 1, coalesce(entity, kind), kind, cluster
ORDER BY 1
LIMIT 200
