"""
Facts: what was seen. Flows (L3 and L4, any vantage) and requests (L7, and TCP by proxies).

Before: model.py. After: entities.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import (
    F64,
    REPORTER,
    TEXT,
    TIME,
    U8,
    U16,
    U32,
    U64,
    Column,
    Table,
    address,
    side,
)

# --- flows -------------------------------------------------------------------

_FLOW: Final = (
    *address("src", "source address", "8/27 sourceIPv4/6Address"),
    *address("dst", "destination address", "12/28 destinationIPv4/6Address"),
    Column(
        "src_port", U16, "source port; null if the protocol has none or it was not exported", "7"
    ),
    Column("dst_port", U16, "destination port", "11"),
    Column("protocol", U8, "IP protocol number", "4 protocolIdentifier"),
    Column("tcp_flags", U16, "TCP flags, OR over the flow", "6 tcpControlBits"),
    Column("tos", U8, "IP class of service", "5"),
    Column("icmp_type_code", U16, "ICMP type << 8 | code", "32, 139; 176-179"),
    Column("direction", U8, "0 ingress, 1 egress at the observation point", "61 flowDirection"),
    Column("ingress_interface", U32, "ifIndex", "10"),
    Column("egress_interface", U32, "ifIndex", "14"),
    Column("src_asn", U32, "BGP origin AS of the source, as exported; null if 0", "16"),
    Column("dst_asn", U32, "BGP origin AS of the destination, as exported; null if 0", "17"),
    Column("vlan_id", U16, "VLAN of the packet", "58, 243"),
    *address("post_nat_src", "source address after translation", "225, 281"),
    *address("post_nat_dst", "destination address after translation", "226, 282"),
    Column("post_nat_src_port", U16, "source port after translation", "227"),
    Column("post_nat_dst_port", U16, "destination port after translation", "228"),
    Column(
        "end_reason",
        U8,
        "why the flow ended: 1 idle, 2 active, 3 end seen, 4 forced, 5 lack of resources",
        "136 flowEndReason",
    ),
    Column("event", U8, "firewall or NAT event, as exported", "233 firewallEvent, 230 natEvent"),
    Column(
        "biflow_direction",
        U8,
        "239 biflowDirection; the row of the reverse half has 128 added; null if no biflow",
        "RFC 5103",
    ),
    Column("bytes", U64, "octets observed, as exported", "1, 85, 231"),
    Column("packets", U64, "packets observed, as exported", "2, 86, 298"),
    Column(
        "sampling_factor",
        F64,
        "what to multiply observed counts by; 1 if unsampled or unknown",
        "34, 50, 305/306, 309/310, v5 header",
    ),
    Column(
        "sampling_source",
        U8,
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
            U64,
            "`vantages` row: who saw it, and in which network the addresses mean something",
        ),
        *_FLOW,
        *side("src"),
        *side("dst"),
    ),
)

# --- requests ----------------------------------------------------------------

_REQUEST: Final = (
    Column(
        "reporter",
        REPORTER,
        "which proxy of the path wrote it: the client's (source), the server's (destination), an east-west gateway, or not told",
        "cluster name, SNI, traffic_direction",
    ),
    Column("protocol", TEXT, "HTTP/1.1, HTTP/2, HTTP/3, or TCP", "%PROTOCOL%"),
    Column("method", TEXT, "HTTP method", "%REQ(:METHOD)%"),
    Column("authority", TEXT, "host the client asked for", "%REQ(:AUTHORITY)%"),
    Column("path", TEXT, "path without its query string", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    Column(
        "status",
        U16,
        "HTTP status; null for TCP, and for 0: no response was sent",
        "%RESPONSE_CODE%",
    ),
    Column(
        "response_flags",
        pl.List(pl.String),
        "why the proxy, not the application, answered or cut; empty if it did not",
        "%RESPONSE_FLAGS%",
    ),
    Column("response_code_details", TEXT, "what set the status", "%RESPONSE_CODE_DETAILS%"),
    Column(
        "termination_details", TEXT, "why the connection ended", "%CONNECTION_TERMINATION_DETAILS%"
    ),
    Column(
        "upstream_failure",
        TEXT,
        "transport failure towards the upstream",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
    Column(
        "policy",
        TEXT,
        "authorization policy that denied it; null if none did",
        "rbac_access_denied_matched_policy[...]",
    ),
    Column("duration_ms", F64, "from the first byte in to the last byte out", "%DURATION%"),
    Column("upstream_ms", F64, "of that, the upstream's", "X-ENVOY-UPSTREAM-SERVICE-TIME"),
    Column("bytes_received", U64, "body octets from the client side", "%BYTES_RECEIVED%"),
    Column("bytes_sent", U64, "body octets to the client side", "%BYTES_SENT%"),
    Column(
        "attempts",
        U32,
        "times the request was sent upstream, the first included; null if not told",
        "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    ),
    Column(
        "request_id",
        TEXT,
        "x-request-id, the same at every proxy of the path",
        "%REQ(X-REQUEST-ID)%",
    ),
    Column(
        "sni", TEXT, "server name of the TLS connection that came in", "%REQUESTED_SERVER_NAME%"
    ),
    Column("route", TEXT, "route name", "%ROUTE_NAME%"),
    Column(
        "upstream_cluster", TEXT, "the proxy's name for where it sent it", "%UPSTREAM_CLUSTER_RAW%"
    ),
    Column(
        "service",
        TEXT,
        "host name of the service called, from the upstream cluster or SNI; null if neither names one",
        "outbound|port|subset|host",
    ),
    Column("service_port", U16, "port of that service", "outbound|port|subset|host"),
    Column(
        "service_subset", TEXT, "subset of that service; null if none", "outbound|port|subset|host"
    ),
    *address("downstream_remote", "client end of the connection in", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    Column("downstream_remote_port", U16, "its port; null for 0", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    *address("downstream_local", "proxy end of the connection in", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    Column("downstream_local_port", U16, "its port", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    *address("upstream_local", "proxy end of the connection out", "%UPSTREAM_LOCAL_ADDRESS%"),
    Column("upstream_local_port", U16, "its port", "%UPSTREAM_LOCAL_ADDRESS%"),
    *address("upstream_remote", "server end of the connection out", "%UPSTREAM_HOST%"),
    Column("upstream_remote_port", U16, "its port", "%UPSTREAM_HOST%"),
    Column(
        "downstream_peer_identity",
        TEXT,
        "SPIFFE ID of the client, by its certificate",
        "%DOWNSTREAM_PEER_URI_SAN%",
    ),
    Column(
        "downstream_local_identity",
        TEXT,
        "SPIFFE ID this proxy showed the client",
        "%DOWNSTREAM_LOCAL_URI_SAN%",
    ),
    Column(
        "upstream_peer_identity",
        TEXT,
        "SPIFFE ID of the server, by its certificate",
        "%UPSTREAM_PEER_URI_SAN%",
    ),
    Column(
        "downstream_tls",
        TEXT,
        "TLS version of the connection in; null if plaintext or not told",
        "%DOWNSTREAM_TLS_VERSION%",
    ),
    Column("upstream_tls", TEXT, "TLS version of the connection out", "%UPSTREAM_TLS_VERSION%"),
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
        Column("vantage_id", U64, "`vantages` row: which proxy, in which network"),
        *_REQUEST,
        *side("src"),
        *side("dst"),
    ),
)
