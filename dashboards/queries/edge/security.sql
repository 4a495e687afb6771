-- Is this edge encrypted and identified end to end, and does a policy cover it?
-- Units: shares of calls; legs.
SELECT client_cluster AS "from", server_cluster AS "to", coalesce(gateway, path_model) AS via, requests, tls_share AS "TLS",
       identity_share AS identified, plaintext_legs AS "plaintext legs", trust_domains AS "trust domains",
       crosses_trust_domain AS "crosses trust domains", policy, denied, covered_by_policy AS covered
FROM v_security_edges
WHERE coalesce(client_entity, 'unknown') IN (FROM entities_called('$source'))
  AND server_entity IN (FROM entities_called('$target'))
ORDER BY requests DESC
LIMIT 50
