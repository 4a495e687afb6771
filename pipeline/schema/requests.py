"""
Requests: what the proxies of a path saw, one model for every mesh and channel.

A field that no proxy gave is null. Nothing here is derived from another row.

Before: facts.py. After: entities.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import (
    AUTHZ,
    F64,
    LOG_TYPE,
    PROXY_MODEL,
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

_WHO: Final = (
    Column(
        "reporter",
        REPORTER,
        "which proxy of the path wrote it: the client's (source), the server's (destination), an east-west gateway, a waypoint, or not told",
        "cluster name, SNI, traffic_direction",
    ),
    Column(
        "proxy_model",
        PROXY_MODEL,
        "where that proxy stands: one a pod (sidecar), one for many pods of a node (host), gateway, waypoint; null if not told",
        "node id, or declared",
    ),
    Column(
        "mesh",
        TEXT,
        "service mesh: istio, linkerd, consul, kuma, cilium...; null if not told",
        "names it uses, or declared",
    ),
    Column(
        "log_type",
        LOG_TYPE,
        "end: the request or connection is over; start and periodic are about one that goes on, with counts since its start; attempt: one try at the upstream, of a request that has its own row; null if not told",
        "%ACCESS_LOG_TYPE%",
    ),
    Column(
        "is_health_check",
        pl.Boolean(),
        "true if a proxy's own health check, not traffic; null if not told",
        "health check filter, user agent Envoy/HC",
    ),
)

_HTTP: Final = (
    Column(
        "protocol",
        TEXT,
        "HTTP/1.0, HTTP/1.1, HTTP/2, HTTP/3, or TCP; DNS, Kafka as Hubble sees them",
        "%PROTOCOL%",
    ),
    Column("method", TEXT, "HTTP method", "%REQ(:METHOD)%"),
    Column("authority", TEXT, "host the client asked for", "%REQ(:AUTHORITY)%"),
    Column("path", TEXT, "path without its query string", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    Column("route", TEXT, "route name", "%ROUTE_NAME%"),
    Column(
        "status",
        U16,
        "HTTP status; null for TCP, and for 0: no response was sent",
        "%RESPONSE_CODE%",
    ),
    Column(
        "grpc_status",
        U8,
        "gRPC status code, 0 is OK; null if not gRPC or not told",
        "%GRPC_STATUS_NUMBER%, grpc-status trailer",
    ),
    Column(
        "response_flags",
        pl.List(pl.String),
        "why the proxy, not the application, answered or cut; empty if it did not; `v_response_flags` has their meaning",
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
        "authz",
        AUTHZ,
        "what authorization said; null if not told",
        "rbac_access_denied_matched_policy[...], filter metadata",
    ),
    Column(
        "policy",
        TEXT,
        "authorization policy that said it; null if none is named",
        "rbac_access_denied_matched_policy[...]",
    ),
    Column(
        "request_id",
        TEXT,
        "x-request-id, the same at every proxy of the path",
        "%REQ(X-REQUEST-ID)%",
    ),
    Column("trace_id", TEXT, "trace id, hexadecimal", "%TRACE_ID%, traceparent, x-b3-traceid"),
    Column("stream_id", TEXT, "the proxy's own id of the request or connection", "%STREAM_ID%"),
)

_HOW_MUCH: Final = (
    Column("duration_ms", F64, "from the first byte in to the last byte out", "%DURATION%"),
    Column(
        "request_ms",
        F64,
        "from the first byte in to the last byte of the request in",
        "%REQUEST_DURATION%",
    ),
    Column(
        "ttfb_ms",
        F64,
        "from the first byte in to the first byte from upstream",
        "%RESPONSE_DURATION%",
    ),
    Column("upstream_ms", F64, "of the duration, the upstream's", "X-ENVOY-UPSTREAM-SERVICE-TIME"),
    Column("bytes_received", U64, "body octets from the client side", "%BYTES_RECEIVED%"),
    Column("bytes_sent", U64, "body octets to the client side", "%BYTES_SENT%"),
    Column(
        "downstream_wire_bytes_received",
        U64,
        "octets in, headers and framing included, TLS not",
        "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    ),
    Column(
        "downstream_wire_bytes_sent",
        U64,
        "octets out to the client side, likewise",
        "%DOWNSTREAM_WIRE_BYTES_SENT%",
    ),
    Column(
        "upstream_wire_bytes_received",
        U64,
        "octets in from upstream, likewise",
        "%UPSTREAM_WIRE_BYTES_RECEIVED%",
    ),
    Column(
        "upstream_wire_bytes_sent",
        U64,
        "octets out to upstream, likewise",
        "%UPSTREAM_WIRE_BYTES_SENT%",
    ),
    Column(
        "attempts",
        U32,
        "times the request was sent upstream, the first included; null if not told",
        "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    ),
)

_WHERE: Final = (
    Column(
        "sni", TEXT, "server name of the TLS connection that came in", "%REQUESTED_SERVER_NAME%"
    ),
    Column(
        "upstream_cluster", TEXT, "the proxy's name for where it sent it", "%UPSTREAM_CLUSTER_RAW%"
    ),
    Column(
        "service",
        TEXT,
        "host name of the service called, from the upstream cluster or SNI; null if neither names one",
        "outbound|port|subset|host, and the like of each mesh",
    ),
    Column("service_port", U16, "port of that service", "outbound|port|subset|host"),
    Column(
        "service_subset", TEXT, "subset of that service; null if none", "outbound|port|subset|host"
    ),
    Column(
        "service_network",
        TEXT,
        "where the name itself says the service is: Consul datacenter or peer, Kuma zone, Linkerd cluster; null if it does not",
        "upstream cluster, SNI",
    ),
    *address(
        "downstream_remote",
        "client end of the connection in",
        "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%, %DOWNSTREAM_REMOTE_ADDRESS%",
    ),
    Column("downstream_remote_port", U16, "its port; null for 0", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    *address("downstream_local", "proxy end of the connection in", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    Column("downstream_local_port", U16, "its port", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    *address("upstream_local", "proxy end of the connection out", "%UPSTREAM_LOCAL_ADDRESS%"),
    Column("upstream_local_port", U16, "its port", "%UPSTREAM_LOCAL_ADDRESS%"),
    *address("upstream_remote", "server end of the connection out", "%UPSTREAM_HOST%"),
    Column("upstream_remote_port", U16, "its port", "%UPSTREAM_HOST%"),
)

_IDENTITY: Final = (
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
        "upstream_local_identity",
        TEXT,
        "SPIFFE ID this proxy showed the server",
        "%UPSTREAM_LOCAL_URI_SAN%",
    ),
    Column(
        "downstream_tls",
        TEXT,
        "TLS version of the connection in, TLSv1.2 or TLSv1.3; null if plaintext or not told",
        "%DOWNSTREAM_TLS_VERSION%",
    ),
    Column("upstream_tls", TEXT, "TLS version of the connection out", "%UPSTREAM_TLS_VERSION%"),
)

_REPORTED: Final = tuple(
    Column(
        f"reported_{side}_{name}",
        TEXT,
        f"{meaning} of the {whose}, as the proxy says; not checked",
        source,
    )
    for side, whose in (("src", "client"), ("dst", "server"))
    for name, meaning, source in (
        ("cluster", "cluster", "peer metadata, src.cluster, cluster_name"),
        ("namespace", "namespace", "peer metadata, src.namespace"),
        ("workload", "workload", "peer metadata, src.workload"),
        ("pod", "pod", "peer metadata, pod_name"),
    )
)

_REQUEST: Final = (*_WHO, *_HTTP, *_HOW_MUCH, *_WHERE, *_IDENTITY, *_REPORTED)

DECODED_REQUESTS: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        "start_ns": pl.Int64(),  # never null: a record without a start time is a reject
        **{column.name: column.dtype for column in _REQUEST},
    }
)
"""Columns every decoder of requests gives; `schema.complete` adds those it has nothing for."""

REQUESTS: Final = Table(
    "requests",
    "One row per HTTP request or TCP connection, as one proxy logged it.",
    (
        Column("received_time", TIME, "when the agent had it"),
        Column("start_time", TIME, "when the proxy began", "%START_TIME%"),
        Column("vantage_id", U64, "`vantages` row: which proxy, in which network"),
        *_REQUEST,
        *side("src"),
        *side("dst"),
    ),
)
