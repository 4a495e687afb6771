-- Which workloads talk in plaintext, where proxies could encrypt?
-- Units: calls and connections in plaintext.
SELECT last_minute AS "time", client, server, array_to_string(plaintext_legs, ', ') AS legs,
       requests - tls_requests AS plaintext
FROM security_between($__timeFrom(), $__timeTo())
WHERE len(plaintext_legs) > 0
ORDER BY 1, 2, 3
