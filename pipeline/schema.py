"""
Every table, defined once: DDL, frames, and docs/reference/schema.md come from here.

Addresses are two 64-bit numbers of the 16-byte (v4-mapped) form, high and low
half, so that they compare, join and compress as numbers; views show text.
Times are TIMESTAMPTZ in microseconds, UTC. Names, workloads and clusters are
not repeated in fact rows: a fact holds the 64-bit id of a row of `endpoints`,
`prefixes` or `vantages`, and views join them.

Before: config.py. After: run.py. Views: views.py.
"""

from typing import Final, NamedTuple

import polars as pl

from pipeline.accounting import COUNTERS


class Column(NamedTuple):
    """One column: its name with the unit in it, type in frames and in the lake, meaning."""

    name: str
    dtype: pl.DataType
    meaning: str
    source: str = ""


class Table(NamedTuple):
    """One table of the lake."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pl.Schema:
        """Columns as a frame has them."""
        return pl.Schema({column.name: column.dtype for column in self.columns})


TIME: Final = pl.Datetime("us", "UTC")
_U8, _U16, _U32, _U64 = pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()
_I32, _I64, _F64, _TEXT = pl.Int32(), pl.Int64(), pl.Float64(), pl.String()

_SQL: Final[dict[pl.DataType, str]] = {
    _U8: "UTINYINT",
    _U16: "USMALLINT",
    _U32: "UINTEGER",
    _U64: "UBIGINT",
    _I32: "INTEGER",
    _I64: "BIGINT",
    _F64: "DOUBLE",
    _TEXT: "VARCHAR",
    pl.Binary(): "BLOB",
    pl.Boolean(): "BOOLEAN",
    TIME: "TIMESTAMPTZ",
    pl.List(pl.UInt64): "UBIGINT[]",
    pl.List(pl.String): "VARCHAR[]",
}

RESOLUTION: Final = pl.Enum(["resolved", "ambiguous", "unknown"])
_SQL[RESOLUTION] = "VARCHAR"


def sql_type(column: Column) -> str:
    """
    Type of a column in the lake.

    >>> sql_type(Column("bytes", pl.UInt64(), ""))
    'UBIGINT'
    """
    return _SQL[column.dtype]


def create(table: Table) -> str:
    """DDL of one table."""
    columns = ", ".join(f"{column.name} {sql_type(column)}" for column in table.columns)
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})"


class View(NamedTuple):
    """One view: its name, the question it answers, column to meaning, and the query."""

    name: str
    meaning: str
    columns: dict[str, str]
    sql: str


def create_view(view: View) -> str:
    """DDL of one view, its columns in documented order."""
    columns = ", ".join(view.columns)
    return f"CREATE OR REPLACE VIEW {view.name} AS SELECT {columns} FROM ({view.sql})"


def _address(name: str, meaning: str, source: str) -> tuple[Column, Column]:
    return (
        Column(f"{name}_ip_hi", _U64, f"{meaning}: high 64 bits of 16 bytes", source),
        Column(
            f"{name}_ip_lo", _U64, f"{meaning}: low 64 bits; v4-mapped is 0xffff<<32 | v4", source
        ),
    )


def _side(side: str) -> tuple[Column, ...]:
    return (
        Column(
            f"{side}_endpoint_id",
            _U64,
            f"`endpoints` row of the {side} address; null unless resolved",
        ),
        Column(
            f"{side}_prefix_id",
            _U64,
            f"`prefixes` row, longest match for the {side} address; null if none",
        ),
        Column(
            f"{side}_resolution",
            RESOLUTION,
            "resolved: one endpoint then had the address in this network; ambiguous: several had; unknown: none is known",
        ),
        Column(
            f"{side}_candidate_ids",
            pl.List(pl.UInt64),
            "`endpoints` rows that contend, when ambiguous",
        ),
    )


# --- flows -------------------------------------------------------------------

_FLOW: Final = (
    *_address("src", "source address", "8/27 sourceIPv4/6Address"),
    *_address("dst", "destination address", "12/28 destinationIPv4/6Address"),
    Column(
        "src_port", _U16, "source port; null if the protocol has none or it was not exported", "7"
    ),
    Column("dst_port", _U16, "destination port", "11"),
    Column("protocol", _U8, "IP protocol number", "4 protocolIdentifier"),
    Column("tcp_flags", _U16, "TCP flags, OR over the flow", "6 tcpControlBits"),
    Column("tos", _U8, "IP class of service", "5"),
    Column("icmp_type_code", _U16, "ICMP type << 8 | code", "32, 139; 176-179"),
    Column("direction", _U8, "0 ingress, 1 egress at the observation point", "61 flowDirection"),
    Column("ingress_interface", _U32, "ifIndex", "10"),
    Column("egress_interface", _U32, "ifIndex", "14"),
    Column("src_asn", _U32, "BGP origin AS of the source, as exported; null if 0", "16"),
    Column("dst_asn", _U32, "BGP origin AS of the destination, as exported; null if 0", "17"),
    Column("vlan_id", _U16, "VLAN of the packet", "58, 243"),
    *_address("post_nat_src", "source address after translation", "225, 281"),
    *_address("post_nat_dst", "destination address after translation", "226, 282"),
    Column("post_nat_src_port", _U16, "source port after translation", "227"),
    Column("post_nat_dst_port", _U16, "destination port after translation", "228"),
    Column(
        "end_reason",
        _U8,
        "why the flow ended: 1 idle, 2 active, 3 end seen, 4 forced, 5 lack of resources",
        "136 flowEndReason",
    ),
    Column("event", _U8, "firewall or NAT event, as exported", "233 firewallEvent, 230 natEvent"),
    Column(
        "biflow_direction",
        _U8,
        "239 biflowDirection; the row of the reverse half has 128 added; null if no biflow",
        "RFC 5103",
    ),
    Column("bytes", _U64, "octets observed, as exported", "1, 85, 231"),
    Column("packets", _U64, "packets observed, as exported", "2, 86, 298"),
    Column(
        "sampling_factor",
        _F64,
        "what to multiply observed counts by; 1 if unsampled or unknown",
        "34, 50, 305/306, 309/310, v5 header",
    ),
    Column(
        "sampling_source",
        _U8,
        "where the factor is from: 0 nothing said, 1 header, 2 record, 3 options",
    ),
)

DECODED_FLOWS: Final = pl.Schema(
    {
        "vantage": pl.Int32(),  # index into Decoded.vantages
        "received_ns": pl.Int64(),
        "start_ns": pl.Int64(),  # UTC nanoseconds; null where the exporter gave no time
        "end_ns": pl.Int64(),
        **{column.name: column.dtype for column in _FLOW},
    }
)

FLOWS: Final = Table(
    "flows",
    "One row per flow record and direction, as one vantage saw it.",
    (
        Column("received_time", TIME, "when the agent had the datagram"),
        Column(
            "start_time", TIME, "first packet; the time of receipt where the exporter gave none"
        ),
        Column("end_time", TIME, "last packet"),
        Column(
            "vantage_id",
            _U64,
            "`vantages` row: who saw it, and in which network the addresses mean something",
        ),
        *_FLOW,
        *_side("src"),
        *_side("dst"),
    ),
)

# --- requests ----------------------------------------------------------------

REPORTER: Final = pl.Enum(["source", "destination", "gateway", "unknown"])
_SQL[REPORTER] = "VARCHAR"

_REQUEST: Final = (
    Column(
        "reporter",
        REPORTER,
        "which proxy of the path wrote it: the client's (source), the server's (destination), an east-west gateway, or not told",
        "cluster name, SNI, traffic_direction",
    ),
    Column("protocol", _TEXT, "HTTP/1.1, HTTP/2, HTTP/3, or TCP", "%PROTOCOL%"),
    Column("method", _TEXT, "HTTP method", "%REQ(:METHOD)%"),
    Column("authority", _TEXT, "host the client asked for", "%REQ(:AUTHORITY)%"),
    Column("path", _TEXT, "path without its query string", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    Column(
        "status",
        _U16,
        "HTTP status; null for TCP, and for 0: no response was sent",
        "%RESPONSE_CODE%",
    ),
    Column(
        "response_flags",
        pl.List(pl.String),
        "why the proxy, not the application, answered or cut; empty if it did not",
        "%RESPONSE_FLAGS%",
    ),
    Column("response_code_details", _TEXT, "what set the status", "%RESPONSE_CODE_DETAILS%"),
    Column(
        "termination_details", _TEXT, "why the connection ended", "%CONNECTION_TERMINATION_DETAILS%"
    ),
    Column(
        "upstream_failure",
        _TEXT,
        "transport failure towards the upstream",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
    Column(
        "policy",
        _TEXT,
        "authorization policy that denied it; null if none did",
        "rbac_access_denied_matched_policy[...]",
    ),
    Column("duration_ms", _F64, "from the first byte in to the last byte out", "%DURATION%"),
    Column("upstream_ms", _F64, "of that, the upstream's", "X-ENVOY-UPSTREAM-SERVICE-TIME"),
    Column("bytes_received", _U64, "body octets from the client side", "%BYTES_RECEIVED%"),
    Column("bytes_sent", _U64, "body octets to the client side", "%BYTES_SENT%"),
    Column(
        "attempts",
        _U32,
        "times the request was sent upstream, the first included; null if not told",
        "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    ),
    Column(
        "request_id",
        _TEXT,
        "x-request-id, the same at every proxy of the path",
        "%REQ(X-REQUEST-ID)%",
    ),
    Column(
        "sni", _TEXT, "server name of the TLS connection that came in", "%REQUESTED_SERVER_NAME%"
    ),
    Column("route", _TEXT, "route name", "%ROUTE_NAME%"),
    Column(
        "upstream_cluster", _TEXT, "the proxy's name for where it sent it", "%UPSTREAM_CLUSTER_RAW%"
    ),
    Column(
        "service",
        _TEXT,
        "host name of the service called, from the upstream cluster or SNI; null if neither names one",
        "outbound|port|subset|host",
    ),
    Column("service_port", _U16, "port of that service", "outbound|port|subset|host"),
    Column(
        "service_subset", _TEXT, "subset of that service; null if none", "outbound|port|subset|host"
    ),
    *_address(
        "downstream_remote", "client end of the connection in", "%DOWNSTREAM_REMOTE_ADDRESS%"
    ),
    Column("downstream_remote_port", _U16, "its port; null for 0", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    *_address("downstream_local", "proxy end of the connection in", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    Column("downstream_local_port", _U16, "its port", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    *_address("upstream_local", "proxy end of the connection out", "%UPSTREAM_LOCAL_ADDRESS%"),
    Column("upstream_local_port", _U16, "its port", "%UPSTREAM_LOCAL_ADDRESS%"),
    *_address("upstream_remote", "server end of the connection out", "%UPSTREAM_HOST%"),
    Column("upstream_remote_port", _U16, "its port", "%UPSTREAM_HOST%"),
    Column(
        "downstream_peer_identity",
        _TEXT,
        "SPIFFE ID of the client, by its certificate",
        "%DOWNSTREAM_PEER_URI_SAN%",
    ),
    Column(
        "downstream_local_identity",
        _TEXT,
        "SPIFFE ID this proxy showed the client",
        "%DOWNSTREAM_LOCAL_URI_SAN%",
    ),
    Column(
        "upstream_peer_identity",
        _TEXT,
        "SPIFFE ID of the server, by its certificate",
        "%UPSTREAM_PEER_URI_SAN%",
    ),
    Column(
        "downstream_tls",
        _TEXT,
        "TLS version of the connection in; null if plaintext or not told",
        "%DOWNSTREAM_TLS_VERSION%",
    ),
    Column("upstream_tls", _TEXT, "TLS version of the connection out", "%UPSTREAM_TLS_VERSION%"),
)

DECODED_REQUESTS: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        "start_ns": pl.Int64(),  # never null: a line without a start time is a reject
        **{column.name: column.dtype for column in _REQUEST},
    }
)

REQUESTS: Final = Table(
    "requests",
    "One row per HTTP request or TCP connection, as one proxy logged it.",
    (
        Column("received_time", TIME, "when the agent read the line"),
        Column("start_time", TIME, "when the proxy began", "%START_TIME%"),
        Column("vantage_id", _U64, "`vantages` row: which proxy, in which network"),
        *_REQUEST,
        *_side("src"),
        *_side("dst"),
    ),
)

# --- who, where, and when ----------------------------------------------------

_VALID: Final = (
    Column("valid_from", TIME, "from when it held, inclusive; null: always"),
    Column("valid_to", TIME, "until when it held, exclusive; null: still"),
)

NETWORKS: Final = Table(
    "networks",
    "IP routing domains: within one, an address means one thing at a time.",
    (
        Column("network", _TEXT, "name"),
        Column(
            "model",
            _TEXT,
            "flat: clusters share it and addresses are unique; gateway: one cluster's own, addresses may recur elsewhere",
        ),
    ),
)

CLUSTERS: Final = Table(
    "clusters",
    "One API server's worth of nodes, or a group of VMs.",
    (
        Column("cluster", _TEXT, "name"),
        Column("provider", _TEXT, "aws, gcp, azure, onprem..."),
        Column("region", _TEXT, "provider's region"),
        Column("zones", pl.List(pl.String), "provider's zones"),
        Column("network", _TEXT, "`networks` row its pods are in"),
        Column("mesh", _TEXT, "service mesh"),
        Column("trust_domain", _TEXT, "SPIFFE trust domain"),
    ),
)

ENDPOINTS: Final = Table(
    "endpoints",
    "What an address was, in a network, during [valid_from, valid_to).",
    (
        Column("endpoint_id", _U64, "hash of network, address, start and names"),
        Column("network", _TEXT, "`networks` row"),
        *_address("endpoint", "address", ""),
        Column("kind", _TEXT, "pod, node, vm, gateway, load_balancer, service, external"),
        Column("cluster", _TEXT, "`clusters` row; null if outside every cluster"),
        Column("namespace", _TEXT, "Kubernetes namespace"),
        Column("workload", _TEXT, "owner: Deployment, StatefulSet..."),
        Column("service", _TEXT, "host name it is called by"),
        Column("pod", _TEXT, "pod name"),
        Column("node", _TEXT, "node it runs on"),
        Column("zone", _TEXT, "zone of that node"),
        Column("identity", _TEXT, "SPIFFE ID"),
        *_VALID,
    ),
)

PREFIXES: Final = Table(
    "prefixes",
    "Address ranges with an owner.",
    (
        Column("prefix_id", _U64, "hash of network, range and names"),
        Column("network", _TEXT, "`networks` row"),
        *_address("prefix", "first address", ""),
        Column("prefix_length", _U8, "bits of the 16-byte form: a v4 /24 is 120"),
        Column("kind", _TEXT, "pod, service, node, subnet, external"),
        Column("cluster", _TEXT, "`clusters` row; null if none"),
        Column("name", _TEXT, "what people call it"),
    ),
)

GATEWAYS: Final = Table(
    "gateways",
    "Addresses that lead into another network, as seen from this one.",
    (
        Column("network", _TEXT, "`networks` row it is seen from"),
        *_address("gateway", "address", ""),
        Column("port", _U16, "port"),
        Column("cluster", _TEXT, "cluster whose gateway it is"),
        Column("to_network", _TEXT, "network it leads into"),
        Column("name", _TEXT, "name"),
    ),
)

VANTAGES: Final = Table(
    "vantages",
    "Who saw: one exporting process as one agent heard it.",
    (
        Column("vantage_id", _U64, "hash of the columns below"),
        Column("cluster", _TEXT, "cluster of the agent"),
        Column("network", _TEXT, "network in which the addresses it reports mean something"),
        Column("agent", _TEXT, "agent that took it"),
        Column("exporter", _TEXT, "exporter's address, or the proxy"),
        Column(
            "format",
            _TEXT,
            "netflow5, netflow9, ipfix, envoy_json; unknown where the payload told nothing",
        ),
        Column("observation_domain", _U32, "IPFIX observation domain, v9 source id, v5 engine"),
    ),
)

# --- the pipeline itself -----------------------------------------------------

REJECTS: Final = Table(
    "rejects",
    "What was not decoded, and why, with the bytes.",
    (
        Column("received_time", TIME, "when the agent had it"),
        Column("vantage_id", _U64, "`vantages` row; null where not even that is known"),
        Column("topic", _TEXT, "log topic"),
        Column("partition", _I32, "log partition"),
        Column("log_offset", _I64, "offset of the message it came in"),
        Column("reason", _TEXT, "one of a fixed list"),
        Column("detail", _TEXT, "for people"),
        Column("raw", pl.Binary(), "the bytes, cut"),
        Column("raw_length", _U32, "how many there were"),
    ),
)

ACCOUNTING: Final = Table(
    "accounting",
    "Additive counts of what was received, decoded, rejected and lost.",
    (
        Column("minute", TIME, "minute of receipt"),
        Column("vantage_id", _U64, "`vantages` row"),
        *(Column(name, _I64, meaning) for name, meaning in COUNTERS.items()),
    ),
)

AGENT_DROPS: Final = Table(
    "agent_drops",
    "Payloads lost before the log, as the agents say, and repeated messages that were left out.",
    (
        Column("minute", TIME, "minute of the message's first payload"),
        Column("topic", _TEXT, "log topic"),
        Column("agent", _TEXT, "agent"),
        Column("cluster", _TEXT, "cluster of the agent"),
        Column(
            "reason",
            _TEXT,
            "why: kernel, queue_full, spool_full...; sequence_gap: the agent's numbers jump; duplicate: sent twice, counted once; log_gap: expired before the job read it (in messages)",
        ),
        Column("payloads", _I64, "how many"),
    ),
)

COMMITS: Final = Table(
    "commits",
    "One row per transaction of the job: how far, how much, how long.",
    (
        Column("committed_time", TIME, "when"),
        Column("messages", _I64, "log messages"),
        Column("payloads", _I64, "payloads in them"),
        Column("payload_bytes", _I64, "their bytes"),
        Column("flows", _I64, "flow rows written"),
        Column("requests", _I64, "request rows written"),
        Column("rejects", _I64, "reject rows written"),
        Column("lag_ms", _F64, "age of the newest message when it was committed"),
        Column("poll_ms", _F64, "time in poll"),
        Column("decode_ms", _F64, "time in decode"),
        Column("enrich_ms", _F64, "time in normalize and enrich"),
        Column("write_ms", _F64, "time in the transaction"),
    ),
)

CHECKPOINTS: Final = Table(
    "decoder_checkpoints",
    "What decoders remembered at an offset; the log from there on makes the rest again.",
    (
        Column("topic", _TEXT, "log topic"),
        Column("partition", _I32, "log partition"),
        Column("kind", _TEXT, "decoder"),
        Column("next_offset", _I64, "offset of the first message it does not know"),
        Column("state", pl.Binary(), "`Decoder.snapshot`"),
    ),
)

TABLES: Final = (
    FLOWS,
    REQUESTS,
    NETWORKS,
    CLUSTERS,
    ENDPOINTS,
    PREFIXES,
    GATEWAYS,
    VANTAGES,
    REJECTS,
    ACCOUNTING,
    AGENT_DROPS,
    COMMITS,
    CHECKPOINTS,
)
