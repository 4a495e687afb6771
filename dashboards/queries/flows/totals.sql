-- How much traffic is that?
-- Units: octets, packets and flow records a second, after sampling. What two exporters saw is counted once.
-- Begins with: flows/chosen
SELECT bucket_start AS time, sum(bytes / bucket_s) AS bytes, sum(packets / bucket_s) AS packets,
       sum(flows / bucket_s) AS flows
FROM flows
GROUP BY 1
ORDER BY 1
