-- What was deployed, reconfigured or taken away, as the inventory tells, and which workloads got new addresses?
-- Units: times, to the minute; objects and addresses.
WITH told AS (
    SELECT date_trunc('minute', happened_time) AS minute, coalesce(cluster, scope, kind) AS place,
           resource || ' ' || change AS what, kind
    FROM v_inventory_changes
    WHERE $__timeFilter(happened_time)
    UNION ALL
    SELECT date_trunc('minute', valid_from), coalesce(cluster, network),
           'new addresses of ' || coalesce(entity, kind), 'addresses'
    FROM v_endpoints
    WHERE $__timeFilter(valid_from)
), counted AS (
    SELECT minute, place, kind, count(*) || ' ' || what AS what FROM told GROUP BY minute, place, kind, what
)
SELECT minute AS "time", NULL::TIMESTAMPTZ AS timeend,
       place || ': ' || array_to_string(list_sort(list(what))[1:8], ', ')
           || CASE WHEN count(*) > 8 THEN ' and ' || count(*) - 8 || ' more' ELSE '' END AS text,
       array_to_string(list_sort(list(DISTINCT kind)), ',') AS tags
FROM counted
GROUP BY minute, place
ORDER BY 1, place
LIMIT 200
