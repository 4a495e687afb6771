-- How much traffic could not be named, and whose is it?
-- Units: bytes after sampling; share.
SELECT network, dst_ip, dst_resolution, sum(bytes_estimate) AS bytes, count(*) AS flows
FROM v_flows
WHERE dst_resolution <> 'resolved'
GROUP BY ALL
ORDER BY bytes DESC
