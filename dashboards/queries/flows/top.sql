-- Who or what has most traffic, by the dimension chosen?
-- Units: octets in the time range, after sampling. What two exporters saw is counted once. The 20 largest.
-- Begins with: flows/chosen
SELECT coalesce(nullif(what, ''), 'unknown') AS what, sum(bytes) AS bytes
FROM flows
GROUP BY 1
ORDER BY bytes DESC NULLS LAST
LIMIT 20
