-- Which addresses talk, and nobody owns them?
-- Units: addresses seen; flow records and requests of the last day; octets after sampling.
SELECT network, range, addresses, flows, flow_bytes AS bytes, requests, detail,
       first_time AS "first seen", last_time AS "last seen"
FROM v_ipspace
WHERE problem = 'unowned' AND ('*' IN ($network) OR network IN ($network))
ORDER BY coalesce(flow_bytes, 0) DESC, coalesce(requests, 0) DESC, range
LIMIT 200
