"""
How safe is each pair of workloads: encrypted and identified end to end, and covered by policy?

A leg is encrypted if either end says so. A gateway that passes TLS through tells of
none, in or out: what leaves it is as encrypted as what was sent to it. A leg of which
neither end tells is *plaintext* where a proxy of its cluster tells of TLS elsewhere, else
not known; so is what a server's proxy got from a client nobody knows, or from a gateway
that passes on what came from nobody known. That no policy covers a server is said where a
datapath says so, and is not known elsewhere.

Before: stitched.py. After: health.py.
"""

from datetime import datetime
from typing import Final

from pipeline.schema import Function, View
from pipeline.schema.literals import literal, within
from pipeline.views.rollups import SINCE, SPAN, UNTIL


def security_sql(
    start: datetime, end: datetime, edges: str, legs: str, facts: str = "", *, verdicts: bool = True
) -> str:
    """
    SQL of the rows of ``security_1m`` of one minute, but what was denied; gateways are ``exporters``.

    Parameters
    ----------
    edges, legs
        Relations of the minute's rows of those tables; of edges that are all alike one is
        enough, with how many they are as ``alike``.
    facts
        What to write before the names of tables that are not copied: ``lake.crosspane.``.
    verdicts
        Whether there are any: a table without rows takes long to read, too.
    """
    by_datapath = f"""UNION ALL
        SELECT src_endpoint_id, dst_endpoint_id, count(*) FILTER (policy_match <> 'none' OR len(allowed_by) > 0),
            count(*) FILTER (policy_match = 'none' AND coalesce(len(allowed_by), 0) = 0)
        FROM {facts}verdicts WHERE {within("event_time", start, end)}
            AND event_type = 'policy_verdict' AND verdict = 'FORWARDED' GROUP BY ALL"""
    return f"""WITH verdict AS MATERIALIZED (
        SELECT src_endpoint_id, dst_endpoint_id, count(*) AS allowed, 0 AS unmatched
        FROM {facts}requests WHERE {within("start_time", start, end)} AND authz = 'allowed'
            AND reporter = 'destination' GROUP BY ALL
        {by_datapath if verdicts else ""}
    ), named AS MATERIALIZED (
        SELECT endpoint_id, entity FROM v_endpoints WHERE endpoint_id IN (
            SELECT unnest([client_endpoint_id, server_endpoint_id]) FROM {edges}
            UNION ALL SELECT unnest([src_endpoint_id, dst_endpoint_id]) FROM verdict)
    ), hops AS (
        SELECT edge_id, hop, any_value(role) AS role, any_value(cluster) AS cluster,
            any_value(exporter) AS exporter, bool_or(downstream_tls IS NOT NULL) AS tls_in,
            bool_or(upstream_tls IS NOT NULL) AS tls_out,
            min(downstream_peer_identity) AS caller, min(upstream_peer_identity) AS called
        FROM {legs} JOIN vantages USING (vantage_id) WHERE edge_id IS NOT NULL GROUP BY edge_id, hop
    ), sent AS (
        SELECT *, last_value(CASE WHEN role <> 'gateway' OR tls_in OR tls_out THEN tls_out END IGNORE NULLS)
            OVER (PARTITION BY edge_id ORDER BY hop ROWS UNBOUNDED PRECEDING) AS tls_sent
        FROM hops
    ), ordered AS (
        SELECT *, concat_ws(' ', role, cluster) AS here, row_number() OVER path AS nth,
            lead(concat_ws(' ', role, cluster)) OVER path AS there,
            lead(tls_in) OVER path AS tls_there, lead(caller) OVER path AS caller_there
        FROM sent WINDOW path AS (PARTITION BY edge_id ORDER BY hop)
    ), segments AS (
        SELECT edge_id, nth, CASE WHEN tls_sent IS NULL THEN role ELSE here END
                || ' -> ' || coalesce(there, 'server') AS leg,
            coalesce(tls_sent, false) OR coalesce(tls_there, false) AS tls,
            called IS NOT NULL OR caller_there IS NOT NULL AS identified, caller_there AS caller, called
        FROM ordered WHERE there IS NOT NULL OR role <> 'server'
        UNION ALL
        SELECT edge_id, 0, 'client -> ' || here, tls_in, caller IS NOT NULL, caller, NULL
        FROM ordered WHERE nth = 1 AND role <> 'client'
    ), told AS (
        SELECT edge_id, bool_and(tls) AS encrypted, list(leg) FILTER (NOT tls) AS open_legs,
            arg_min(identified, nth) AND arg_max(identified, nth) AS identified,
            {_trust_domain("arg_min(caller, nth) FILTER (caller IS NOT NULL)")} AS client_domain,
            {_trust_domain("arg_max(called, nth) FILTER (called IS NOT NULL)")} AS server_domain
        FROM segments GROUP BY edge_id
    ), through AS (
        SELECT edge_id, list(DISTINCT exporter) AS exporters FROM hops WHERE role = 'gateway' GROUP BY edge_id
    ), conversations AS (
        SELECT coalesce(client.entity, 'unknown in ' || client_cluster, 'unknown') AS client_entity,
            client_cluster, coalesce(server.entity, 'service:' || service, 'unknown in ' || server_cluster,
                'unknown') AS server_entity, server_cluster, path_model, alike, told.*, exporters
        FROM {edges} edge JOIN told USING (edge_id) LEFT JOIN through USING (edge_id)
        LEFT JOIN named client ON client.endpoint_id = edge.client_endpoint_id
        LEFT JOIN named server ON server.endpoint_id = edge.server_endpoint_id
        WHERE edge.error IS NOT TRUE
    ), policy AS (
        SELECT client.entity AS client_entity, server.entity AS server_entity,
            sum(allowed)::UBIGINT AS allowed, sum(unmatched)::UBIGINT AS unmatched
        FROM verdict JOIN named client ON client.endpoint_id = src_endpoint_id
        JOIN named server ON server.endpoint_id = dst_endpoint_id GROUP BY ALL
    )
    SELECT {literal(start)} AS minute, client_entity, client_cluster, server_entity, server_cluster, path_model,
        sum(alike)::UBIGINT AS conversations, coalesce(sum(alike) FILTER (encrypted), 0)::UBIGINT AS encrypted,
        coalesce(sum(alike) FILTER (identified AND encrypted), 0)::UBIGINT AS identified,
        {_distinct("flatten(list(open_legs))")} AS open_legs,
        {_distinct("flatten(list(exporters))")} AS exporters,
        {_distinct("list(client_domain)")} AS client_trust_domains,
        {_distinct("list(server_domain)")} AS server_trust_domains,
        coalesce(any_value(allowed), 0)::UBIGINT AS allowed, coalesce(any_value(unmatched), 0)::UBIGINT AS unmatched
    FROM conversations LEFT JOIN policy USING (client_entity, server_entity)
    GROUP BY client_entity, client_cluster, server_entity, server_cluster, path_model"""


def _trust_domain(identity: str) -> str:
    return f"nullif(regexp_extract({identity}, '^spiffe://([^/]+)', 1), '')"


def _distinct(values: str) -> str:
    return f"coalesce(list_sort(list_distinct({values})), [])"


_COLUMNS: Final = {
    "client": "calling workload: `v_stitched.client_entity`, else unknown in its cluster",
    "server": "serving workload: `v_stitched.server_entity`, else the service called",
    "client_cluster": "cluster of the client",
    "server_cluster": "cluster of the server",
    "path_model": "local, flat or gateway; null if not known",
    "gateway": "gateways it went through, by name; null if none",
    "requests": "requests and connections that did not fail, each once",
    "tls_requests": "of those, encrypted on every leg, gateways' included",
    "tls_share": "share of them",
    "identity_share": "share of them encrypted, with the SPIFFE ID of a peer told on the first leg and the last",
    "plaintext_legs": "legs without TLS, where proxies of the sending cluster (of a client nobody knows: of the server's) tell of TLS elsewhere: role and cluster -> role and cluster",
    "untold_legs": "legs without TLS, where nobody there tells of TLS at all: not known",
    "client_trust_domains": "trust domains of clients as their peers saw them, else that of the client's cluster",
    "server_trust_domains": "trust domains of servers as their peers saw them, else that of the server's cluster",
    "crosses_trust_domains": "true if they differ; null where one is not known",
    "unexpected_trust_domains": "trust domains that were seen and are not their cluster's, where that is known",
    "certificate_expiry": "when the first certificate of a proxy of either end expires; null if none is told",
    "certificate_days_left": "days from the last of these minutes till then",
    "denied": "calls a policy denied",
    "policy": "policies that denied them, where they are named",
    "covered_by_policy": "true if a policy allowed or denied some of it, or the server's proxies count decisions; false if a datapath told that no policy matched; null if nobody tells",
    "first_minute": "first minute with such calls",
    "last_minute": "last minute with such calls",
}


def _security(rows: str) -> str:
    return f"""WITH rows AS MATERIALIZED ({rows}), telling AS (
        SELECT DISTINCT client_cluster AS cluster FROM rows WHERE encrypted > 0
    ), edges AS (
        SELECT client_entity AS client, server_entity AS server, client_cluster, server_cluster, path_model, gateway,
            sum(conversations)::BIGINT AS requests, sum(encrypted)::BIGINT AS tls_requests,
            sum(encrypted) / sum(conversations) AS tls_share,
            sum(identified) / sum(conversations) AS identity_share,
            {_distinct("flatten(list(open_legs))")} AS open_legs,
            {_distinct("flatten(list(rows.client_trust_domains))")} AS client_seen,
            {_distinct("flatten(list(rows.server_trust_domains))")} AS server_seen,
            sum(denied)::BIGINT AS denied, {_distinct("flatten(list(denied_by))")} AS policy,
            sum(allowed) AS allowed, sum(unmatched) AS unmatched,
            min(minute) AS first_minute, max(minute) AS last_minute
        FROM rows GROUP BY client_entity, server_entity, client_cluster, server_cluster, path_model, gateway
    ), proxies AS (
        SELECT entity, cluster, pod FROM v_endpoints WHERE pod IS NOT NULL
        GROUP BY entity, cluster, pod
    ), expiry AS (
        SELECT entity, min(expiry_time) AS expiry FROM v_certificates
        JOIN proxies ON cluster = observer_cluster AND pod = exporter GROUP BY entity
    ), deciding AS (
        SELECT DISTINCT entity FROM v_authz JOIN proxies ON cluster = observer_cluster AND pod = exporter
        WHERE direction IS DISTINCT FROM 'outbound' AND coalesce(allowed, 0) + coalesce(denied, 0) > 0
    ), judged AS (
        SELECT edges.*, CASE WHEN len(client_seen) > 0 THEN client_seen
                WHEN ours.trust_domain IS NOT NULL THEN [ours.trust_domain] ELSE [] END AS client_trust_domains,
            CASE WHEN len(server_seen) > 0 THEN server_seen
                WHEN theirs.trust_domain IS NOT NULL THEN [theirs.trust_domain] ELSE [] END AS server_trust_domains,
            list_filter(client_seen, lambda one: one <> ours.trust_domain)
                || list_filter(server_seen, lambda one: one <> theirs.trust_domain) AS unexpected_trust_domains,
            least(client_expiry.expiry, server_expiry.expiry) AS certificate_expiry,
            deciding.entity IS NOT NULL AS decides,
            (SELECT coalesce(list(cluster), []) FROM telling) AS telling
        FROM edges LEFT JOIN clusters ours ON ours.cluster = client_cluster
        LEFT JOIN clusters theirs ON theirs.cluster = server_cluster
        LEFT JOIN expiry client_expiry ON client_expiry.entity = client
        LEFT JOIN expiry server_expiry ON server_expiry.entity = server
        LEFT JOIN deciding ON deciding.entity = server
    )
    SELECT * REPLACE (nullif(array_to_string(policy, ', '), '') AS policy),
        list_filter(open_legs, lambda leg: {_TELLS}) AS plaintext_legs,
        list_filter(open_legs, lambda leg: NOT {_TELLS}) AS untold_legs,
        CASE WHEN len(client_trust_domains) > 0 AND len(server_trust_domains) > 0
            THEN client_trust_domains <> server_trust_domains END AS crosses_trust_domains,
        (epoch_ms(certificate_expiry) - epoch_ms(last_minute)) / 86_400_000 AS certificate_days_left,
        CASE WHEN allowed > 0 OR denied > 0 OR decides THEN true WHEN unmatched > 0 THEN false END
            AS covered_by_policy
    FROM judged"""


_SENDER, _RECEIVER = (f"split_part(leg, ' -> ', {end})" for end in (1, 2))
_TELLS: Final = f"""(coalesce(list_contains(telling, split_part({_SENDER}, ' ', 2)), false)
            OR {_SENDER} = 'client' AND coalesce(list_contains(telling, client_cluster), false)
            OR ({_SENDER} = 'gateway' OR {_SENDER} = 'client' AND client_cluster IS NULL)
                AND starts_with({_RECEIVER}, 'server ')
                AND coalesce(list_contains(telling, split_part({_RECEIVER}, ' ', 2)), false))"""
"""Of an open leg: whether proxies of the sender's cluster, or else the server's, tell of TLS."""

SECURITY_BETWEEN: Final = Function(
    "security_between",
    "How safely did each pair of workloads talk in a span: encrypted, identified, within trust domains, by policy?",
    SPAN,
    _COLUMNS,
    _security(f"FROM security_1m WHERE minute >= {SINCE} AND minute < {UNTIL}"),
)

SECURITY_EDGES: Final = View(
    "v_security_edges",
    "How safely does each pair of workloads talk: encrypted, identified, within trust domains, by policy?",
    _COLUMNS,
    _security("FROM security_1m"),
)

PLAINTEXT_BETWEEN: Final = Function(
    "plaintext_between",
    "Which pairs of workloads talked in plaintext on some leg in a span? What graphs ask: `security_between`, and no more of it.",
    SPAN,
    {name: _COLUMNS[name] for name in ("client", "server", "client_cluster", "server_cluster")}
    | {"plaintext_legs": _COLUMNS["plaintext_legs"]},
    f"""WITH rows AS MATERIALIZED (
        SELECT client_entity AS client, server_entity AS server, client_cluster, server_cluster, encrypted, open_legs
        FROM security_1m WHERE minute >= {SINCE} AND minute < {UNTIL}
    ), open AS (
        SELECT DISTINCT client, server, client_cluster, server_cluster, unnest(open_legs) AS leg,
            (SELECT coalesce(list(DISTINCT client_cluster) FILTER (encrypted > 0), []) FROM rows) AS telling
        FROM rows
    )
    SELECT client, server, client_cluster, server_cluster, list_sort(list(leg)) AS plaintext_legs
    FROM open WHERE {_TELLS} GROUP BY ALL""",
)
