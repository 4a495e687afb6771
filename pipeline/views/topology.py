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

_NOTHING: Final = """(SELECT NULL::TIMESTAMPTZ AS start_time, NULL::UBIGINT AS client_endpoint_id,
        NULL::VARCHAR AS protocol, NULL::UBIGINT AS server_endpoint_id, NULL::DOUBLE AS server_ms,
        NULL::DOUBLE AS confidence WHERE false)"""

_PLACE: Final = ("kind", "provider", "region", "namespace", "service", "node")


def _place(end: str, *found: str, network: str) -> str:
    """Columns of where an end is, of the first of joins of ``known`` that knows it."""
    *others, last = found
    return ", ".join(
        f"CASE {' '.join(f'WHEN {one}.entity IS NOT NULL THEN {one}.{name}' for one in others)}"
        f" WHEN {last}.entity IS NOT NULL THEN {last}.{name} ELSE {otherwise} END AS {end}_{name}"
        for name, otherwise in (*((name, "NULL") for name in _PLACE), ("network", network))
    )


_ONE_WORKLOAD: Final = ", ".join(
    f"min({name}) AS {name}" for name in ("entity", "network", *_PLACE)
)

MARGIN_S: Final = 15
MARGIN: Final = f"INTERVAL {MARGIN_S} SECOND"
"""
How far apart what proxies say of one call is looked for, a part of a minute: a server's
proxy begins after its client's by the network and the attempts before (Envoy tries for
15 s if nothing else is set), or before it by its clock.
"""


def begin_of(seconds: int) -> str:
    """SQL of when a stretch of so many seconds began that ``start_time`` is in: `time_bucket`, ten times as fast."""
    length_us = f"{seconds}_000_000"
    return f"make_timestamptz(epoch_us(start_time) // {length_us} * {length_us})"


_ONCE: Final = f"""
        SELECT * FROM traffic WHERE observer_cluster NOT IN (FROM told_twice)
        UNION ALL
        SELECT * EXCLUDE (nth) FROM (
            SELECT *, row_number() OVER (PARTITION BY {_SAME}, format) AS nth
            FROM traffic WHERE observer_cluster IN (FROM told_twice))
        QUALIFY row_number() OVER (PARTITION BY {_SAME}, nth
            ORDER BY list_position({[*_PROXY_FORMATS]}, format) NULLS FIRST) = 1
    """


_ITS_OWN: Final = """start_time, protocol, service, method, path, status, grpc_status, upstream_failure,
            bytes_received, bytes_sent, attempts, request_id, observer_cluster, observer_network"""
"""Columns that a call has of the row that tells of it: the client's, else the server's."""

_WAY: Final = """by_client, observer_cluster, observer_network, client_endpoint_id, client_ip_hi, client_ip_lo,
        remote_ip_hi, remote_ip_lo, remote_port, remote_endpoint_id, served_endpoint_id,
        stitched_endpoint_id, stitched_confidence"""
WAY: Final = f"{_WAY}, service, protocol"
"""Columns that tell who a call is between and how it went there: `named_sql` makes names of them."""
_ENDS: Final = "client_endpoint_id, remote_endpoint_id, served_endpoint_id, stitched_endpoint_id"
"""Of these, the ids of endpoints."""


def paired_sql(
    requests: str = "requests",
    begun: str = "IS NOT NULL",
    stitched: str = _NOTHING,
    *,
    twice: bool = True,
    by_id: str | None = None,
) -> str:
    """
    SQL of calls that began at some time, by `WAY`, and how they went.

    A call is of the time at which its client's proxy, else its server's, began: of two
    spans that meet it is in one, whichever rows of the other are read beside.

    What two proxies say is of one call if id, authority, method and path are the same: one
    number is made of them. If more servers tell of it than it was sent to, others have its id as well:
    who served it is known where all are one, and how long that took is not. Of a million calls some two have the same in one of 40 million
    minutes; and who can make ids so that they have can take the id of another's call at once.

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
    by_id
        Relation of calls that began then and ``requests`` have no records of, as
        `stitch.by_id.client_side` tells of them.
    """
    once = _ONCE if twice else "FROM traffic"
    part = f"epoch_us(start_time) // {MARGIN_S}_000_000"
    paired = ""
    if by_id is not None:
        paired = f"""
        UNION ALL BY NAME
        SELECT * EXCLUDE (host, named) REPLACE (coalesce(service, named) AS service)
        FROM {by_id} LEFT JOIN hosts ON named = CASE WHEN service IS NULL THEN host END"""
    return f"""WITH hosts AS (SELECT DISTINCT service AS named FROM v_endpoints
    ), traffic AS (
        SELECT r.* REPLACE (coalesce(r.service, named) AS service), v.cluster AS observer_cluster,
            v.network AS observer_network, v.format,
            CASE WHEN request_id IS NOT NULL AND authority IS NOT NULL AND method IS NOT NULL AND path IS NOT NULL
                THEN hash(request_id, authority, method, path) END AS call
        FROM {requests} r LEFT JOIN vantages v USING (vantage_id)
        LEFT JOIN hosts ON named = CASE WHEN r.service IS NULL THEN split_part(r.authority, ':', 1) END
        WHERE reporter IN ('source', 'destination') AND is_health_check IS NOT TRUE
            AND coalesce(log_type, 'end') = 'end'
    ), told_twice AS ({TOLD_TWICE}
    ), once AS MATERIALIZED (
        SELECT {_ITS_OWN}, reporter, call, request_id IS NULL AS is_connection, response_flags, authz, policy,
            duration_ms, src_endpoint_id, dst_endpoint_id,
            upstream_local_ip_hi AS client_ip_hi, upstream_local_ip_lo AS client_ip_lo,
            upstream_remote_ip_hi AS remote_ip_hi, upstream_remote_ip_lo AS remote_ip_lo,
            upstream_remote_port AS remote_port,
            CASE reporter WHEN 'source' THEN upstream_tls ELSE downstream_tls END AS tls,
            CASE reporter WHEN 'source' THEN upstream_peer_identity ELSE downstream_peer_identity END IS NOT NULL
                AS identified
        FROM ({once})
    ), server_side AS (
        SELECT call, count(*) AS times, arg_max(dst_endpoint_id, start_time) AS last_endpoint_id,
            min(dst_endpoint_id) = max(dst_endpoint_id) AS in_one_place,
            arg_max(duration_ms, start_time) AS last_ms, arg_max(response_flags, start_time) AS last_flags,
            max(policy) AS served_policy, max(authz) AS last_authz, min(authz) AS least_authz,
            max(identified) AS served_identified
        FROM once WHERE reporter = 'destination' GROUP BY call
    ), joined AS (
        SELECT start_time AS begun, client_endpoint_id, protocol AS spoken, min(server_endpoint_id) AS stitched_endpoint_id,
            min(server_ms) AS stitched_ms, min(confidence) AS stitched_confidence
        FROM {stitched} GROUP BY ALL HAVING count(*) = 1
    ), connecting AS (
        SELECT DISTINCT src_endpoint_id, protocol, unnest([part - 1, part, part + 1]) AS part
        FROM (SELECT *, {part} AS part FROM once WHERE reporter = 'source' AND is_connection)
    ), unsent AS (
        SELECT told.* REPLACE (CASE WHEN client.kind IN ('pod', 'vm') THEN src_endpoint_id END AS src_endpoint_id)
        FROM once told ANTI JOIN (SELECT call FROM once WHERE reporter = 'source') sent ON sent.call = told.call
        ANTI JOIN connecting c ON c.src_endpoint_id = CASE WHEN is_connection THEN told.src_endpoint_id END
            AND c.protocol = told.protocol AND c.part = {part}
        LEFT JOIN v_endpoints client ON client.endpoint_id = told.src_endpoint_id
        WHERE reporter = 'destination' AND start_time {begun}
            AND (is_connection AND client.kind = 'gateway') IS NOT TRUE
    ), client_side AS (
        SELECT told.*, s.* EXCLUDE (call) FROM once told LEFT JOIN server_side s ON s.call = told.call
        WHERE reporter = 'source' AND start_time {begun}{paired}
    ), calls AS (
        SELECT {_ITS_OWN}, tls, true AS by_client, src_endpoint_id AS client_endpoint_id, client_ip_hi, client_ip_lo, remote_ip_hi, remote_ip_lo, remote_port,
            dst_endpoint_id AS remote_endpoint_id, stitched_endpoint_id, stitched_confidence,
            times <= greatest(attempts, 1) AS is_its_own,
            CASE WHEN is_its_own OR in_one_place THEN last_endpoint_id END AS served_endpoint_id,
            CASE WHEN is_its_own OR last_authz = least_authz THEN last_authz END AS served_authz,
            identified OR coalesce(served_identified, false) AS identified,
            coalesce(served_policy, policy) AS policy, coalesce(served_authz, authz) AS authz,
            times IS NOT NULL OR stitched_ms IS NOT NULL AS server_seen, response_flags AS client_flags,
            CASE WHEN is_its_own THEN last_flags ELSE [] END AS server_flags, duration_ms,
            coalesce(CASE WHEN is_its_own THEN last_ms END, stitched_ms) AS server_duration_ms
        FROM client_side LEFT JOIN joined ON begun = CASE WHEN is_connection THEN start_time END
            AND joined.client_endpoint_id = src_endpoint_id AND spoken = protocol
        UNION ALL BY NAME
        SELECT {_ITS_OWN}, tls, false AS by_client, src_endpoint_id AS client_endpoint_id, dst_endpoint_id AS served_endpoint_id, identified, policy,
            CASE WHEN {blame.TURNED_AWAY} THEN 'denied' ELSE authz END AS authz, true AS server_seen,
            response_flags AS server_flags, duration_ms AS server_duration_ms
        FROM unsent
    ), judged AS (
        SELECT *, CASE WHEN len(server_flags) > 0 OR client_flags IS NULL THEN server_flags ELSE client_flags END
                AS response_flags,
            coalesce(authz = 'denied', false) AS denied
        FROM calls
    ), outcomes AS (SELECT *, NOT denied AND ({blame.FAILED}) AS failed FROM judged)
    SELECT *, CASE WHEN failed = false THEN false ELSE failed AND NOT ({blame.BROKE_OFF}) END AS error FROM outcomes"""


def met_sql(rows: str) -> str:
    """SQL of those of all endpoints that `named_sql` asks for: an end of a row, or of its service."""
    return f"""FROM v_endpoints WHERE endpoint_id IN (SELECT unnest([{_ENDS}]) FROM {rows})
        OR service IN (SELECT service FROM {rows})"""


def named_sql(rows: str, endpoints: str = "v_endpoints") -> str:
    """
    SQL of the same rows with names of either end, and how the server was found, in place of `WAY`.

    Parameters
    ----------
    rows
        SQL of calls (`paired_sql`), or of what was added up of those of one `WAY`.
    endpoints
        Relation of those rows of ``v_endpoints`` that may be asked for, at least.
    """
    return f"""WITH known AS MATERIALIZED (
        SELECT endpoint_id, network, kind, cluster, namespace, service, node, entity,
            provider, region FROM {endpoints}
    ), service_in_cluster AS (
        SELECT service, cluster, {_ONE_WORKLOAD} FROM known
        WHERE kind IN ('pod', 'vm') AND service IS NOT NULL GROUP BY ALL HAVING count(DISTINCT entity) = 1
    ), service_anywhere AS (
        SELECT service, min(cluster) AS cluster, {_ONE_WORKLOAD} FROM known
        WHERE kind IN ('pod', 'vm') AND service IS NOT NULL GROUP BY ALL HAVING count(DISTINCT entity) = 1
    ), named AS (
        SELECT w.* EXCLUDE ({_WAY}),
            {_place("client", "client", network="CASE WHEN by_client THEN observer_network END")},
            {_place("server", "found", "there", "anywhere", network="CASE WHEN by_client THEN g.to_network ELSE observer_network END")},
            coalesce(client.entity, CASE WHEN by_client THEN observer_network || '/' || ip_text(client_ip_hi, client_ip_lo) END)
                AS client_entity,
            coalesce(client.cluster, CASE WHEN by_client THEN observer_cluster END) AS client_cluster,
            coalesce(found.entity, there.entity, anywhere.entity, 'service:' || w.service) AS server_entity,
            coalesce(found.cluster, g.cluster, anywhere.cluster, CASE WHEN NOT by_client THEN observer_cluster END)
                AS server_cluster,
            g.name AS gateway,
            CASE WHEN NOT by_client THEN 'destination_only' WHEN served_endpoint_id IS NOT NULL THEN 'request_id'
                WHEN direct.endpoint_id IS NOT NULL THEN 'address'
                WHEN stitched_endpoint_id IS NOT NULL THEN 'stitched'
                WHEN there.entity IS NOT NULL THEN 'service_in_cluster'
                WHEN w.service IS NOT NULL THEN 'service' END AS match_method,
            CASE match_method WHEN 'request_id' THEN 1.0 WHEN 'address' THEN 1.0
                WHEN 'stitched' THEN stitched_confidence WHEN 'service_in_cluster' THEN 0.8
                WHEN 'service' THEN CASE WHEN anywhere.entity IS NOT NULL THEN 0.5 ELSE 0.0 END ELSE 0.0 END AS confidence
        FROM ({rows}) w
        LEFT JOIN known client ON client.endpoint_id = client_endpoint_id
        LEFT JOIN v_gateways g ON g.network = observer_network AND g.gateway_ip_hi = remote_ip_hi
            AND g.gateway_ip_lo = remote_ip_lo AND g.port = remote_port
        LEFT JOIN known direct ON direct.endpoint_id = CASE WHEN g.name IS NULL THEN remote_endpoint_id END
            AND direct.kind IN ('pod', 'vm', 'external')
        LEFT JOIN known found
            ON found.endpoint_id = coalesce(served_endpoint_id, direct.endpoint_id, stitched_endpoint_id)
        LEFT JOIN service_in_cluster there ON there.service = w.service AND there.cluster = g.cluster
        LEFT JOIN service_anywhere anywhere
            ON anywhere.service = CASE WHEN by_client AND g.name IS NULL THEN w.service END
    )
    SELECT *, CASE WHEN gateway IS NOT NULL THEN 'gateway' WHEN client_cluster = server_cluster THEN 'local'
            WHEN match_method = 'address' OR match_method = 'request_id' THEN 'flat' END AS path_model
    FROM named"""


_BLAMED: Final = outages.blamed_sql(
    named_sql(paired_sql()), "told", "start_time", outages.unaware_sql("requests")
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
