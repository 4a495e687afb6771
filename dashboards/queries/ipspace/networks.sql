-- Which networks are there, and how much of each is in use?
-- Units: clusters; ranges; addresses (blocks are not counted); share of the fullest range.
SELECT network, count(DISTINCT cluster) AS clusters, count(*) AS ranges,
       sum(capacity) FILTER (unit = 'address') AS addresses, sum(in_use) FILTER (unit = 'address') AS "in use",
       max(used_share) AS fullest
FROM v_ip_forecast
WHERE '*' IN ($network) OR network IN ($network)
GROUP BY network
ORDER BY network
