"""
Who called whom: each call once.

A call is one row however many proxies logged it. What has no request id (TCP) is the client's proxy's to tell; the
server's tells of clients that told of none, of that protocol, around that time.

Before: facts.py. After: wire.py, rollups.py.
"""

from typing import Final

from pipeline.schema import View
from pipeline.views import blame, outages

_PROXY_FORMATS: Final = ("envoy_als", "envoy_otlp", "envoy_json", "envoy_text")
"""Channels by which one proxy may tell the same request twice, the most exact first."""

TOLD_TWICE: Final = f"""SELECT cluster FROM vantages WHERE format IN {_PROXY_FORMATS}
        GROUP BY cluster HAVING count(DISTINCT format) > 1"""
"""SQL of clusters whose proxies may."""
READ: Final = """start_time, vantage_id, reporter, log_type, is_health_check, protocol, method, authority, path,
        status, grpc_status, response_flags, upstream_failure, authz, policy, request_id, duration_ms,
        bytes_received, bytes_sent, attempts, service, src_endpoint_id, dst_endpoint_id, upstream_tls,
        downstream_tls, upstream_peer_identity, downstream_peer_identity, upstream_local_ip_hi,
        upstream_local_ip_lo, upstream_remote_ip_hi, upstream_remote_ip_lo, upstream_remote_port"""
"""Columns of `schema.REQUESTS` that calls are made of."""

_SAME: Final = """observer_cluster, observer_network, reporter, request_id, authority, method, path, status,
        epoch_ms(start_time)"""

GATEWAYS: Final = View(
    "v_gateways",
    "Which addresses lead into another network, as each network that observes sees them?",
    {
        "network": "network it is seen from",
        "ip": "address, text",
        "port": "port",
        "name": "name of the gateway",
        "cluster": "cluster whose gateway it is",
        "to_network": "network it leads into",
        "source": "who says so; of several, the network's own word on its addresses, then the latest",
        "gateway_ip_hi": "address, high half",
        "gateway_ip_lo": "address, low half",
    },
    """SELECT seen.network, ip_text(gateway_ip_hi, gateway_ip_lo) AS ip, port,
        coalesce(name, cluster || ' gateway') AS name, cluster, to_network, source,
        gateway_ip_hi, gateway_ip_lo
    FROM gateways g JOIN (SELECT DISTINCT network FROM vantages) seen
        ON g.network IN (seen.network, 'internet')
    QUALIFY row_number() OVER (PARTITION BY seen.network, gateway_ip_hi, gateway_ip_lo, port
        ORDER BY g.network = seen.network DESC, valid_to IS NULL DESC, valid_from DESC NULLS LAST) = 1""",
)

_FOUND: Final = "coalesce(s.dst_endpoint_id, direct.endpoint_id, t.server_endpoint_id)"
_NOTHING: Final = """(SELECT NULL::TIMESTAMPTZ AS start_time, NULL::UBIGINT AS client_endpoint_id,
        NULL::VARCHAR AS protocol, NULL::UBIGINT AS server_endpoint_id, NULL::DOUBLE AS server_ms,
        NULL::DOUBLE AS confidence WHERE false)"""

_PLACE: Final = ("kind", "provider", "region", "namespace", "service", "node")


def _place(end: str, *found: str, network: str = "NULL") -> str:
    """Columns of where an end is, of the first of joins of ``known`` that knows it."""
    *others, last = found
    return ", ".join(
        f"CASE {' '.join(f'WHEN {one}.entity IS NOT NULL THEN {one}.{name}' for one in others)}"
        f" WHEN {last}.entity IS NOT NULL THEN {last}.{name} ELSE {otherwise} END AS {end}_{name}"
        for name, otherwise in (*((name, "NULL") for name in _PLACE), ("network", network))
    )


_PLACES: Final = ", ".join(
    f"{end}_{name}" for end in ("client", "server") for name in (*_PLACE, "network")
)
_ONE_WORKLOAD: Final = ", ".join(
    f"min({name}) AS {name}" for name in ("entity", "network", *_PLACE)
)

MARGIN: Final = "INTERVAL 20 SECOND"
"""
How far apart what proxies say of one call is looked for, a part of a minute: a server's
proxy begins after its client's by the network and the attempts before (Envoy tries for
15 s if nothing else is set), or before it by its clock.
"""

_AROUND: Final = ", ".join(
    f"time_bucket({MARGIN}, start_time) {shift}".strip()
    for shift in (f"- {MARGIN}", "", f"+ {MARGIN}")
)


_ONCE: Final = f"""
        SELECT * FROM traffic WHERE observer_cluster NOT IN (FROM told_twice)
        UNION ALL
        SELECT * EXCLUDE (nth) FROM (
            SELECT *, row_number() OVER (PARTITION BY {_SAME}, format) AS nth
            FROM traffic WHERE observer_cluster IN (FROM told_twice))
        QUALIFY row_number() OVER (PARTITION BY {_SAME}, nth
            ORDER BY list_position({[*_PROXY_FORMATS]}, format) NULLS FIRST) = 1
    """


def calls_sql(
    requests: str = "requests",
    begun: str = "IS NOT NULL",
    stitched: str = _NOTHING,
    *,
    twice: bool = True,
) -> str:
    """
    SQL of the columns of ``v_calls`` but those that blame, of calls that began at some time.

    A call is of the time at which its client's proxy, else its server's, began: of two
    spans that meet it is in one, whichever rows of the other are read beside.

    Parameters
    ----------
    requests
        Relation with the columns of `schema.REQUESTS`: what began then, and within
        `MARGIN` of it.
    begun
        Condition that follows ``start_time``; spans begin and end at whole `MARGIN`s.
    stitched
        Relation with those columns of `schema.EDGES`: conversations without a request id
        whose hops were joined by connections, for servers that nothing else tells.
    twice
        False if `TOLD_TWICE` has no rows: then nothing is looked for twice.
    """
    once = _ONCE if twice else "FROM traffic"
    return f"""WITH known AS MATERIALIZED (
        SELECT endpoint_id, network, kind, cluster, namespace, service, node, entity,
            provider, region FROM v_endpoints
    ), traffic AS (
        SELECT r.* REPLACE (coalesce(r.service, named.service) AS service), v.cluster AS observer_cluster,
            v.network AS observer_network, v.format
        FROM {requests} r LEFT JOIN vantages v USING (vantage_id)
        LEFT JOIN (SELECT DISTINCT service FROM known) named
            ON named.service = CASE WHEN r.service IS NULL THEN split_part(r.authority, ':', 1) END
        WHERE reporter IN ('source', 'destination') AND is_health_check IS NOT TRUE
            AND coalesce(log_type, 'end') = 'end'
    ), told_twice AS ({TOLD_TWICE}
    ), once AS ({once}
    ), server_side AS (
        SELECT request_id, authority, method, path, arg_max(dst_endpoint_id, start_time) AS dst_endpoint_id,
            arg_max(duration_ms, start_time) AS server_duration_ms,
            arg_max(response_flags, start_time) AS server_flags, max(policy) AS policy, max(authz) AS authz,
            max(downstream_peer_identity) AS downstream_peer_identity
        FROM once WHERE reporter = 'destination' AND request_id IS NOT NULL GROUP BY ALL
    ), client_side AS (
        SELECT DISTINCT request_id, authority, method, path FROM once
        WHERE reporter = 'source' AND request_id IS NOT NULL
    ), connecting AS (
        SELECT DISTINCT src_endpoint_id, protocol, unnest([{_AROUND}]) AS around
        FROM once WHERE reporter = 'source' AND request_id IS NULL
    ), service_in_cluster AS (
        SELECT service, cluster, {_ONE_WORKLOAD} FROM known
        WHERE kind IN ('pod', 'vm') AND service IS NOT NULL GROUP BY ALL HAVING count(DISTINCT entity) = 1
    ), service_anywhere AS (
        SELECT service, min(cluster) AS cluster, {_ONE_WORKLOAD} FROM known
        WHERE kind IN ('pod', 'vm') AND service IS NOT NULL GROUP BY ALL HAVING count(DISTINCT entity) = 1
    ), client_calls AS (
        SELECT c.*, coalesce(s.server_duration_ms, t.server_ms) AS server_duration_ms,
            {_place("client", "client", network="c.observer_network")},
            {_place("server", "found", "there", "anywhere", network="g.to_network")},
            c.upstream_peer_identity IS NOT NULL OR s.downstream_peer_identity IS NOT NULL AS identified,
            coalesce(client.entity, c.observer_network || '/' || ip_text(c.upstream_local_ip_hi, c.upstream_local_ip_lo)) AS client_entity,
            coalesce(client.cluster, c.observer_cluster) AS client_cluster,
            s.request_id IS NOT NULL OR t.server_ms IS NOT NULL AS server_seen, s.server_flags, c.response_flags AS client_flags, g.name AS gateway, coalesce(s.policy, c.policy) AS policy_found, coalesce(s.authz, c.authz) AS authz_found,
            coalesce(found.entity, there.entity, anywhere.entity, 'service:' || c.service) AS server_entity,
            coalesce(found.cluster, g.cluster, anywhere.cluster) AS server_cluster,
            CASE WHEN s.dst_endpoint_id IS NOT NULL THEN 'request_id'
                WHEN direct.endpoint_id IS NOT NULL THEN 'address'
                WHEN t.server_endpoint_id IS NOT NULL THEN 'stitched'
                WHEN there.entity IS NOT NULL THEN 'service_in_cluster'
                WHEN c.service IS NOT NULL THEN 'service' END AS match_method,
            CASE WHEN coalesce(s.dst_endpoint_id, direct.endpoint_id) IS NOT NULL THEN 1.0
                WHEN t.server_endpoint_id IS NOT NULL THEN t.confidence WHEN there.entity IS NOT NULL THEN 0.8
                WHEN anywhere.entity IS NOT NULL THEN 0.5 ELSE 0.0 END AS confidence
        FROM once c
        LEFT JOIN known client ON client.endpoint_id = c.src_endpoint_id
        LEFT JOIN server_side s ON s.request_id = c.request_id AND s.authority = c.authority
            AND s.method = c.method AND s.path = c.path
        LEFT JOIN v_gateways g ON g.network = c.observer_network AND g.gateway_ip_hi = c.upstream_remote_ip_hi
            AND g.gateway_ip_lo = c.upstream_remote_ip_lo AND g.port = c.upstream_remote_port
        LEFT JOIN known direct ON direct.endpoint_id = CASE WHEN g.name IS NULL THEN c.dst_endpoint_id END
            AND direct.kind IN ('pod', 'vm', 'external')
        LEFT JOIN (SELECT start_time AS begun, client_endpoint_id, protocol,
                min(server_endpoint_id) AS server_endpoint_id, min(server_ms) AS server_ms,
                min(confidence) AS confidence
            FROM {stitched} GROUP BY ALL HAVING count(*) = 1) t
            ON t.begun = CASE WHEN c.request_id IS NULL THEN c.start_time END
            AND t.client_endpoint_id = c.src_endpoint_id AND t.protocol = c.protocol
        LEFT JOIN known found ON found.endpoint_id = {_FOUND}
        LEFT JOIN service_in_cluster there ON there.service = c.service AND there.cluster = g.cluster
        LEFT JOIN service_anywhere anywhere ON anywhere.service = CASE WHEN g.name IS NULL THEN c.service END
        WHERE c.reporter = 'source' AND c.start_time {begun}
    ), unsent AS (
        SELECT d.* FROM once d ANTI JOIN client_side s ON s.request_id = d.request_id
            AND s.authority = d.authority AND s.method = d.method AND s.path = d.path
        WHERE d.reporter = 'destination' AND d.start_time {begun}
    ), server_calls AS (
        SELECT d.*, client.entity AS client_entity, client.cluster AS client_cluster,
            {_place("client", "client")}, {_place("server", "server", network="d.observer_network")},
            d.downstream_peer_identity IS NOT NULL AS identified,
            coalesce(server.entity, 'service:' || d.service) AS server_entity,
            coalesce(server.cluster, d.observer_cluster) AS server_cluster
        FROM unsent d
        LEFT JOIN known client ON client.endpoint_id = d.src_endpoint_id AND client.kind IN ('pod', 'vm')
        LEFT JOIN known server ON server.endpoint_id = d.dst_endpoint_id
        LEFT JOIN connecting c ON c.src_endpoint_id = CASE WHEN d.request_id IS NULL THEN d.src_endpoint_id END
            AND c.protocol = d.protocol AND c.around = time_bucket({MARGIN}, d.start_time)
        LEFT JOIN known passed ON passed.endpoint_id = CASE WHEN d.request_id IS NULL THEN d.src_endpoint_id END
            AND passed.kind = 'gateway'
        WHERE c.src_endpoint_id IS NULL AND passed.endpoint_id IS NULL
    ), calls AS (
        SELECT start_time, client_entity, client_cluster, server_entity, server_cluster, {_PLACES},
            service, identified, gateway, match_method, confidence, protocol, method, path, status, grpc_status,
            policy_found AS policy, authz_found AS authz, server_seen, client_flags,
            coalesce(server_flags, []) AS server_flags, upstream_failure, duration_ms, server_duration_ms,
            bytes_received, bytes_sent, attempts, upstream_tls AS tls, request_id
        FROM client_calls
        UNION ALL BY NAME
        SELECT start_time, client_entity, client_cluster, server_entity, server_cluster, {_PLACES},
            service, identified, NULL AS gateway, 'destination_only' AS match_method, 0.0 AS confidence, protocol,
            method, path, status, grpc_status, policy, CASE WHEN {blame.TURNED_AWAY} THEN 'denied' ELSE authz END AS authz,
            true AS server_seen, response_flags AS server_flags, upstream_failure, NULL AS duration_ms,
            duration_ms AS server_duration_ms, bytes_received, bytes_sent, attempts,
            downstream_tls AS tls, request_id
        FROM server_calls
    ), judged AS (
        SELECT *, CASE WHEN len(server_flags) > 0 OR client_flags IS NULL THEN server_flags ELSE client_flags END
                AS response_flags,
            coalesce(authz = 'denied', false) AS denied,
            CASE WHEN gateway IS NOT NULL THEN 'gateway' WHEN client_cluster = server_cluster THEN 'local'
                WHEN match_method = 'address' OR match_method = 'request_id' THEN 'flat' END AS path_model
        FROM calls
    ), outcomes AS (SELECT *, NOT denied AND ({blame.FAILED}) AS failed FROM judged)
    SELECT *, failed AND NOT ({blame.BROKE_OFF}) AS error FROM outcomes"""


_BLAMED: Final = outages.blamed_sql(
    calls_sql(), "told", "start_time", outages.unaware_sql("requests")
)
"""Whose fault a failure is takes other calls of the lake: what else came through a gateway."""


CALLS: Final = View(
    "v_calls",
    "Who called whom, once per call, whichever proxies logged it?",
    {
        "start_time": "when the client's proxy (else the server's) began",
        "client_entity": "calling workload, `v_endpoints.entity`; else network/address; null if not seen",
        "client_cluster": "its cluster",
        "client_network": "its network",
        "server_entity": "serving workload; else service:<host name>",
        "server_cluster": "its cluster; null if not known",
        "service": "host name of the service called, as the proxy names it, else the authority if that is a known service",
        "path_model": "local: one cluster; flat: two clusters, pod to pod; gateway: through an east-west gateway; null if not known",
        "gateway": "gateway it went through, name",
        "match_method": "how the server was found: request_id, address, stitched (by its connections: in rollups), service_in_cluster, service; destination_only when only the server's proxy logged it",
        "confidence": "1 for an exact match, 0.8 where the cluster is known and one workload there has the service, 0.5 where one workload anywhere has it, else 0",
        "protocol": "HTTP/1.1, HTTP/2, TCP...",
        "method": "HTTP method",
        "path": "path",
        "status": "status the client got; null if none",
        "response_flags": "flags at the proxy that is nearest to the failure: the server's if it logged any, else the client's",
        "policy": "authorization policy that denied it",
        "grpc_status": "gRPC status code; null if not gRPC",
        "error": "true if the server side failed: status 500 and above, a gRPC code that says so, or no response; a client that broke off is none",
        "denied": "true if a policy denied it",
        **blame.COLUMNS,
        "duration_ms": "as the client's proxy saw it",
        "server_duration_ms": "as the server's proxy saw it; the difference is network, gateways and proxies",
        "bytes_received": "request body octets",
        "bytes_sent": "response body octets",
        "attempts": "times it was sent",
        "tls": "TLS version on the way out of the client's proxy",
        "request_id": "x-request-id",
    },
    _BLAMED,
)

RATES: Final = {
    "requests": "calls",
    "errors": "calls the server side failed: status 500 and above, or no response",
    "client_errors": "calls with status 400 to 499, denials included",
    "denied": "calls an authorization policy denied",
    "p50_ms": "median duration at the client's proxy",
    "p95_ms": "95th percentile of it",
    "bytes_received": "request body octets",
    "bytes_sent": "response body octets",
    "tls_requests": "calls over TLS, and those that the client's proxy answered itself",
}

EDGE_KEY: Final = {
    name: CALLS.columns[name]
    for name in (
        "client_entity",
        "client_cluster",
        "server_entity",
        "server_cluster",
        "service",
        "path_model",
        "gateway",
    )
}
