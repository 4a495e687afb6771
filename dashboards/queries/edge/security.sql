-- Is this edge encrypted and identified on every leg, and does a policy cover it?
-- Units: conversations that did not fail; shares of them; legs; days.
SELECT client_cluster AS "from", server_cluster AS "to", coalesce(gateway, path_model) AS via, requests AS conversations,
       tls_share AS "TLS", identity_share AS identified, array_to_string(plaintext_legs, '; ') AS "in plaintext",
       array_to_string(untold_legs, '; ') AS "not told",
       array_to_string(client_trust_domains, ', ') AS "client's trust domain",
       array_to_string(server_trust_domains, ', ') AS "server's trust domain",
       crosses_trust_domains AS "crosses", certificate_days_left AS "certificate days",
       policy AS "denied by", denied, covered_by_policy AS "a policy covers it"
FROM security_between($__timeFrom(), $__timeTo())
WHERE client IN (FROM entities_called('$source')) AND server IN (FROM entities_called('$target'))
ORDER BY requests DESC
LIMIT 50
