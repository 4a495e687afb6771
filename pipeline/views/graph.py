"""
The graph of a span at a level, of rollups: functions that dashboards ask.

    edges_*, legs_* --covering--> rows of the span --named--> source and target --> edges, nodes

At the level of gateways a call through one is two hops: client to gateway, as the
client's proxy saw it, and gateway to server, as the server's proxy saw it; a failed
call that no server's proxy timed is not known to have gone on.

Before: levels.py, rollups.py. After: topology/, dashboards/.
"""

from typing import Final

from pipeline.schema import Function, rollups
from pipeline.views.levels import LEVELS, elsewhere, kind, node
from pipeline.views.rollups import SINCE, SPAN, UNTIL, covering, quantiles

_PLACE: Final = {
    "provider": "cloud",
    "region": "region",
    "cluster": "cluster",
    "network": "network",
    "namespace": "namespace",
    "service": "host name",
}
_METHODS: Final = ", ".join(
    f"CASE WHEN sum(matched_{method}) > 0 THEN '{method}' END"
    for method in sorted(rollups.MATCH_METHODS)
)


def _at(end: str) -> str:
    return f"LEFT JOIN clusters {end}_at ON {end}_at.cluster = {end}_cluster"


def _place(end: str, at: str) -> str:
    """Columns of where an end is, under the name it has in the graph."""
    return ", ".join(
        f"coalesce({end}_{name}, {end}_at.{name}) AS {at}_{name}"
        if name in ("provider", "region")
        else f"{end}_{name} AS {at}_{name}"
        for name in _PLACE
    )


def calls_named(rows: str, level: str = "level", *, nodes: bool = False) -> str:
    """
    SQL of hops at a level, of SQL of rows of edges: ``source``, ``target``, their kinds, places.

    Parameters
    ----------
    level
        SQL of a level's name.
    nodes
        Whether rows tell the machine at either end.
    """
    through = f"{level} = 'gateway' AND gateway IS NOT NULL"
    called = f"""CASE WHEN {level} = 'service' AND service IS NOT NULL
        THEN concat_ws('/', server_cluster, service) END"""
    return f"""SELECT * EXCLUDE (client_source, server_target, {_listed("told_client", "told_server")}) REPLACE (
            CASE hop WHEN 2 THEN requests - unserved_errors ELSE requests END AS requests,
            CASE hop WHEN 2 THEN errors - unserved_errors ELSE errors END AS errors,
            CASE hop WHEN 2 THEN 0 ELSE tls_requests END AS tls_requests,
            CASE hop WHEN 2 THEN server_durations ELSE durations END AS durations),
        CASE hop WHEN 2 THEN 'gateway:' || gateway ELSE client_source END AS source,
        CASE hop WHEN 1 THEN 'gateway:' || gateway ELSE server_target END AS target,
        {_hop("source", "client", 2)}, {_hop("target", "server", 1)}
    FROM (
        SELECT calls.*, unnest(CASE WHEN {through} THEN [1, 2] ELSE [0] END) AS hop,
            {node(level, "client", "coalesce('unknown in ' || client_network, client_entity)")} AS client_source,
            coalesce({called}, {node(level, "server", elsewhere(level))}) AS server_target,
            CASE WHEN {called} IS NOT NULL AND server_kind IS DISTINCT FROM 'external' THEN 'service'
                ELSE {kind(level, "server")} END AS told_server_kind,
            {kind(level, "client")} AS told_client_kind,
            {_place("client", "told_client")}, {_place("server", "told_server")},
            CASE WHEN server_kind = 'external' THEN 'external' ELSE path_model END AS path
        FROM (
            SELECT *, NULL::VARCHAR AS client_gateway, NULL::VARCHAR AS server_gateway
                {_unknown(nodes, "client", "server")} FROM ({rows})
        ) calls {_at("client")} {_at("server")}
    )"""


def _listed(*ends: str) -> str:
    return ", ".join(f"{end}_{name}" for end in ends for name in ("kind", *_PLACE))


def _hop(at: str, end: str, gateway_hop: int) -> str:
    """Kind and place of one end of a hop; of a gateway, its cluster is the server's."""
    place = ", ".join(
        f"CASE hop WHEN {gateway_hop} THEN {f'server_{name}' if name == 'cluster' else 'NULL'}"
        f" ELSE told_{end}_{name} END AS {at}_{name}"
        for name in _PLACE
    )
    return (
        f"CASE hop WHEN {gateway_hop} THEN 'gateway' ELSE told_{end}_kind END AS {at}_kind, {place}"
    )


def _unknown(nodes: bool, *ends: str) -> str:
    """Columns of machines, where rows do not have them."""
    return "" if nodes else "".join(f", NULL::VARCHAR AS {end}_node" for end in ends)


def legs_named(rows: str, level: str = "level", *, nodes: bool = False) -> str:
    """SQL of legs at a level, of SQL of rows of legs, likewise."""
    through = "coalesce(dst_gateway, src_gateway)"
    return f"""SELECT legs.*, {node(level, "src", "src_entity")} AS source,
        {node(level, "dst", "dst_entity")} AS target,
        {kind(level, "src")} AS source_kind, {kind(level, "dst")} AS target_kind,
        {_place("src", "source")}, {_place("dst", "target")},
        CASE WHEN 'external' IN (src_kind, dst_kind) THEN 'external'
            WHEN src_cluster = dst_cluster AND NOT ({level} = 'gateway' AND {through} IS NOT NULL) THEN 'local'
            WHEN {through} IS NOT NULL THEN 'gateway' WHEN src_cluster = dst_cluster THEN 'local'
            WHEN src_cluster <> dst_cluster AND src_kind IN ('pod', 'vm') AND dst_kind IN ('pod', 'vm')
                THEN 'flat' END AS path,
        CASE WHEN path = 'gateway' THEN {through} END AS gateway
    FROM (SELECT * {_unknown(nodes, "src", "dst")} FROM ({rows})) legs
    {_at("src")} {_at("dst")}"""


_ID: Final = """left(md5(concat_ws(chr(0), kind, source, target, coalesce(path_model, ''),
        coalesce(gateway, ''))), 16)"""


def _one(name: str) -> str:
    return f"CASE WHEN min({name}) = max({name}) THEN min({name}) END AS {name}"


_PLACES: Final = ", ".join(_one(f"{end}_{name}") for end in ("source", "target") for name in _PLACE)

_CALLS: Final = f"""SELECT 'call' AS kind, source, target, path_model, gateway,
            {_PLACES},
            sum(requests)::UBIGINT AS requests, sum(errors)::UBIGINT AS errors,
            sum(client_errors)::UBIGINT AS client_errors, sum(denied)::UBIGINT AS denied,
            (coalesce(sum(bytes_received), 0) + coalesce(sum(bytes_sent), 0))::UBIGINT AS bytes,
            CASE WHEN bool_or(hop < 2) THEN sum(tls_requests)::UBIGINT END AS tls_requests,
            string_agg(DISTINCT protocol, ', ' ORDER BY protocol) AS protocols,
            concat_ws(', ', {_METHODS}) AS match_methods,
            min(confidence) AS confidence, NULL::UBIGINT AS flows, NULL::UBIGINT AS packets,
            min(first_time) AS first_time, max(last_time) AS last_time,
            flatten(list(durations)) AS durations
        FROM calls GROUP BY source, target, path_model, gateway"""

_SHARES: Final = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}

_EDGES: Final = f"""WITH calls AS MATERIALIZED (
        SELECT * EXCLUDE (path_model, path), path AS path_model
        FROM ({calls_named(covering(rollups.EDGES))})
    ), legs AS MATERIALIZED (
        SELECT *, path AS path_model FROM ({legs_named(covering(rollups.LEGS))})
    ), extent AS (
        SELECT greatest(1, epoch(least({UNTIL}, last) - greatest({SINCE}, first))) AS span_s
        FROM (SELECT min(bucket_start) AS first, max(bucket_start + length) AS last
            FROM (SELECT bucket_start, length FROM calls UNION ALL SELECT bucket_start, length FROM legs))
    ), of_calls AS ({quantiles(_CALLS, "durations", _SHARES)}), told AS (
        FROM of_calls
        UNION ALL BY NAME
        SELECT 'leg' AS kind, source, target, path_model, gateway,
            {_PLACES}, sum(bytes)::UBIGINT AS bytes,
            string_agg(DISTINCT protocol, ', ' ORDER BY protocol) AS protocols,
            sum(flows)::UBIGINT AS flows, sum(packets)::UBIGINT AS packets,
            sum(retransmitted_packets) / nullif(sum(retransmits_told_packets), 0) AS retransmit_share,
            sum(dropped_packets) / nullif(sum(drops_told_packets), 0) AS drop_share,
            sum(rtt_us) / nullif(sum(rtt_timed), 0) / 1e3 AS rtt_ms, min(min_rtt_us) / 1e3 AS min_rtt_ms,
            min(first_time) AS first_time, max(last_time) AS last_time
        FROM legs GROUP BY source, target, path_model, gateway
    )
    SELECT told.*, {_ID} AS edge_id, errors / requests AS error_share, requests / span_s AS requests_per_s,
        bytes / span_s AS bytes_per_s, tls_requests / requests AS tls_share
    FROM told CROSS JOIN extent"""

_GRAPH: Final = {
    "level": f"what a node is: {', '.join(LEVELS)}; rollups keep no nodes, so there a pod's is unknown"
}

TOPOLOGY_EDGES: Final = Function(
    "topology_edges",
    "What is connected to what in a span, at a level: calls (L7), and legs on the wire (L4)?",
    _GRAPH | SPAN,
    {
        "edge_id": "the same for the same edge, of any span",
        "kind": "call: who asked whom; leg: flows, one direction",
        "source": "node it comes from",
        "target": "node it goes to",
        **{
            f"{end}_{name}": f"{what} of the {end}; null if none or several"
            for end in ("source", "target")
            for name, what in _PLACE.items()
        },
        "path_model": "local: one cluster; flat: two, pod to pod; gateway: through one; external: an end is a named range outside; null if not known",
        "gateway": "gateway it goes through; null if none, or not known",
        "requests": "calls; null for legs",
        "errors": "calls the server side failed",
        "error_share": "of the calls",
        "client_errors": "calls with status 400 to 499, denials included",
        "denied": "calls an authorization policy denied",
        "requests_per_s": "calls a second, of the part of the span that is worked out",
        "p50_ms": "median duration at the client's proxy, 3 % off at most; from a gateway on, at the server's",
        "p95_ms": "95th percentile of it",
        "p99_ms": "99th percentile of it",
        "bytes": "body octets both ways; of a leg, octets after sampling, of one exporter a pair of addresses",
        "bytes_per_s": "of them, a second",
        "packets": "packets of a leg, likewise; null for calls",
        "flows": "flow records of a leg, likewise; null for calls",
        "retransmit_share": "share of a leg's packets that TCP sent again; null where nobody who knows tells",
        "drop_share": "share of its packets that exporters dropped; null where none tells",
        "rtt_ms": "mean round-trip time of its flows, as TCP or an exporter measured it; null where none tells",
        "min_rtt_ms": "least of them",
        "tls_requests": "calls over TLS; null where no proxy at this hop could tell",
        "tls_share": "of the calls",
        "protocols": "protocols, distinct, comma between",
        "match_methods": "how servers were found, distinct, comma between; null for legs",
        "confidence": "lowest confidence among them",
        "first_time": "first seen",
        "last_time": "last seen",
    },
    _EDGES,
)


def _ends(end: str, relation: str, **counts: str) -> str:
    places = ", ".join(f"{end}_{name} AS {name}" for name in _PLACE)
    told = ", ".join(f"{sql} AS {name}" for name, sql in counts.items())
    return f"SELECT {end} AS node_id, {end}_kind AS kind, {places}, {told}, first_time, last_time FROM {relation}"


TOPOLOGY_NODES: Final = Function(
    "topology_nodes",
    "What takes part in a span, at a level, where is it, and how much goes through it?",
    _GRAPH | SPAN,
    {
        "node_id": "`topology_edges.source` or ``target``",
        "kind": "the level, or the kind of endpoint; external: a range outside; unknown: nobody is known to have had the address",
        "provider": "cloud; null if none or several",
        "region": "likewise",
        "cluster": "likewise",
        "network": "likewise",
        "namespace": "likewise",
        "service": "host name it is called by, likewise",
        "requests_in": "calls to it",
        "errors_in": "of those, failed",
        "error_share": "of those",
        "requests_out": "calls it made",
        "bytes_in": "octets of flows to it",
        "bytes_out": "octets of flows from it",
        "first_time": "first seen",
        "last_time": "last seen",
    },
    f"""WITH calls AS MATERIALIZED ({calls_named(covering(rollups.EDGES))}),
    legs AS MATERIALIZED ({legs_named(covering(rollups.LEGS))}),
    ends AS (
        {_ends("target", "calls", requests_in="requests", errors_in="errors")}
        UNION ALL BY NAME {_ends("source", "calls", requests_out="requests")}
        UNION ALL BY NAME {_ends("target", "legs", bytes_in="bytes")}
        UNION ALL BY NAME {_ends("source", "legs", bytes_out="bytes")}
    )
    SELECT node_id, coalesce(min(kind), CASE WHEN starts_with(node_id, 'unknown') THEN 'unknown'
            WHEN starts_with(node_id, 'service') THEN 'service' ELSE 'external' END) AS kind,
        {", ".join(_one(name) for name in _PLACE)},
        coalesce(sum(requests_in), 0)::UBIGINT AS requests_in,
        coalesce(sum(errors_in), 0)::UBIGINT AS errors_in,
        sum(errors_in) / sum(requests_in) AS error_share,
        coalesce(sum(requests_out), 0)::UBIGINT AS requests_out,
        coalesce(sum(bytes_in), 0)::UBIGINT AS bytes_in, coalesce(sum(bytes_out), 0)::UBIGINT AS bytes_out,
        min(first_time) AS first_time, max(last_time) AS last_time
    FROM ends GROUP BY node_id""",
)


_PICKED: Final = {
    "clouds": "provider",
    "regions": "region",
    "picked": "cluster",
    "networks": "network",
    "namespaces": "namespace",
}


def _is_picked(end: str) -> str:
    places = " AND ".join(
        f"(list_contains({names}, '*') OR list_contains({names}, {end}_{name}))"
        for names, name in _PICKED.items()
    )
    return f"""({places} AND (list_contains(services, '*') OR list_contains(services, {end})
        OR {end}_service IN (SELECT service FROM v_endpoints WHERE list_contains(services, entity))))"""


EDGES_PICKED: Final = Function(
    "edges_picked",
    "Which edges of the graph of a span have an end where lists of names pick one?",
    _GRAPH
    | SPAN
    | {names: f"{name}s, a list; ``'*'`` among them for all" for names, name in _PICKED.items()}
    | {"services": "nodes, or entities of a service, likewise"},
    TOPOLOGY_EDGES.columns,
    f"""FROM topology_edges(level, from_time, to_time)
        WHERE {_is_picked("source")} OR {_is_picked("target")}""",
)
