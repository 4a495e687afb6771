-- Where are the clouds' regions and data centres, and how well are calls answered there?
-- Units: degrees; calls a second answered; share failed. A region is at its city; of a data centre no place is
-- known: those stand in a row in the Atlantic.
WITH picked AS (FROM clusters_picked([$cloud], [$region], [$cluster], [$network])), edges AS (
    FROM topology_edges('region', $__timeFrom(), $__timeTo()) WHERE kind = 'call'
), calls AS (
    SELECT target AS id, sum(requests_per_s) AS per_s, sum(errors) / sum(requests) AS failed
    FROM edges
    GROUP BY target
), regions AS (
    SELECT coalesce(nullif(concat_ws('/', provider, region), ''), 'unknown region') AS id,
           string_agg(cluster, ', ' ORDER BY cluster) AS clusters,
           any_value(latitude) AS latitude, any_value(longitude) AS longitude
    FROM v_clusters
    WHERE cluster IN (FROM picked)
    GROUP BY 1
)
SELECT id, id AS title, clusters, coalesce(latitude, 24) AS latitude,
       coalesce(longitude, -48 + 16 * (row_number() OVER (PARTITION BY latitude IS NULL ORDER BY id) - 1)) AS longitude,
       coalesce(per_s, 0) AS requests_per_s, coalesce(failed, 0) AS failed,
       CASE WHEN failed >= 0.25 THEN '#e02f44' WHEN failed >= 0.01 THEN '#ff9830' WHEN failed IS NULL THEN '#8e8e8e'
           ELSE '#56a64b' END AS color,
       id || CASE WHEN latitude IS NULL THEN ' (place not known)' ELSE '' END AS label
FROM regions LEFT JOIN calls USING (id)
ORDER BY id
