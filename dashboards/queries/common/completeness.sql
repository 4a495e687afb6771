-- Of what each source sent, how much is here, is understood, and can be named?
-- Units: shares, of all that was ever received; lost of what the source counted as sent.
SELECT observer_cluster AS "cluster", agent, exporter, format,
       received_payloads AS received,
       decoded_payloads / nullif(received_payloads, 0) AS understood,
       loss_share AS lost,
       rejected_payloads / nullif(received_payloads, 0) AS rejected,
       unknown_share AS unknown,
       ambiguous_share AS ambiguous,
       last_time AS "last record"
FROM v_completeness
ORDER BY coalesce(loss_share, 0) DESC, understood, unknown DESC
LIMIT 200
