-- Which edge's calls fail?
-- Units: share of the calls of the last ten minutes; of edges with twenty or more.
SELECT max(bucket_start) AS "time", client_entity AS client, server_entity AS server,
       sum(errors) / sum(requests) AS failed
FROM edges_between($__timeFrom(), $__timeTo())
GROUP BY client_entity, server_entity
HAVING sum(requests) >= 20
ORDER BY 1, 2, 3
