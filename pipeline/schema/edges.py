"""
Conversations: records of all proxies of a path, joined into one edge.

Derived from `requests` by `pipeline.stitch`, minute by minute; nothing else
writes these tables, and each minute can be made anew.

Before: requests.py. After: job.py. How: docs/how-to/stitching.md.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import (
    F64,
    I64,
    TEXT,
    TIME,
    U8,
    U16,
    U32,
    U64,
    Column,
    Table,
    address,
)

MATCH_METHOD: Final = pl.Enum(
    ["request_id", "trace_id", "connection", "nat", "nat_port", "sni", "identity", "none"]
)
"""Evidence, the strongest first."""

ROLE: Final = pl.Enum(["client", "gateway", "server"])
PATH_MODEL: Final = pl.Enum(["local", "flat", "gateway"])
UNMATCHED: Final = pl.Enum(["ambiguous", "no_server", "no_client", "no_ends"])

_METHODS: Final = (
    "request_id and trace_id with the same authority, method and path; connection: the same"
    " addresses and ports in the same network; nat: a translation that a flow record tells;"
    " nat_port: the same source port, from a node of the client's cluster; sni: the only"
    " connection for that service at that gateway then; identity: the only call by that SPIFFE"
    " ID to that service then; none: nothing joined"
)

EDGES: Final = Table(
    "edges",
    "One row per conversation (request or connection), whichever proxies of its path told of it.",
    (
        Column("edge_id", U64, "hash of its first record's network, addresses and start"),
        Column("window_start", TIME, "minute of `start_time`"),
        Column(
            "start_time", TIME, "when the client's proxy began; else the server's, the gateway's"
        ),
        Column("client_endpoint_id", U64, "`endpoints` row of the client; null if not known"),
        Column("client_candidate_ids", pl.List(pl.UInt64), "those that contend, when ambiguous"),
        Column("client_cluster", TEXT, "its cluster"),
        Column("server_endpoint_id", U64, "`endpoints` row of the server; null if not known"),
        Column("server_candidate_ids", pl.List(pl.UInt64), "those that contend, when ambiguous"),
        Column("server_cluster", TEXT, "its cluster; null if not known"),
        Column("service", TEXT, "host name of the service called"),
        Column("protocol", TEXT, "HTTP/1.1, HTTP/2, TCP..."),
        Column("method", TEXT, "HTTP method"),
        Column("authority", TEXT, "host the client asked for"),
        Column("path", TEXT, "path without its query string"),
        Column("request_id", TEXT, "x-request-id"),
        Column(
            "path_model",
            PATH_MODEL,
            "local: one cluster; flat: two clusters, end to end; gateway: through one that told of it or is declared; null if not known",
        ),
        Column("hops", U8, "records of it, attempts at one hop once"),
        Column(
            "gateways",
            pl.List(pl.UInt64),
            "`vantages` rows of gateways and waypoints that told of it, in order",
        ),
        Column(
            "match_method", MATCH_METHOD, f"how its ends were joined, the weakest joint: {_METHODS}"
        ),
        Column("confidence", F64, "product over its joints; null where nothing joined"),
        Column("status", U16, "HTTP status the client got"),
        Column("grpc_status", U8, "gRPC status code"),
        Column(
            "error",
            pl.Boolean(),
            "true if the server side failed, as `v_calls.error` has it, whoever broke off",
        ),
        Column("client_ms", F64, "duration at the client's proxy"),
        Column("server_ms", F64, "duration at the server's proxy, of the last attempt"),
        Column(
            "tax_ms",
            F64,
            "client's less server's: network, gateways and proxies, and of retries what came before the last attempt",
        ),
        Column("client_bytes_received", U64, "request body octets at the client's proxy"),
        Column("client_bytes_sent", U64, "response body octets there"),
        Column("server_bytes_received", U64, "request body octets at the server's proxy"),
        Column("server_bytes_sent", U64, "response body octets there"),
        Column("bytes_difference", I64, "octets at the client's less those at the server's"),
        Column("attempts", U32, "times it was sent, as the client's proxy says"),
        Column("client_tls", TEXT, "TLS version on the way out of the client's proxy"),
        Column("server_tls", TEXT, "TLS version on the way in at the server's proxy"),
    ),
)

LEGS: Final = Table(
    "legs",
    "One row per proxy record of a conversation, in the order of the path; a gateway's connection is a leg of every call it carried.",
    (
        Column(
            "edge_id",
            U64,
            "`edges` row; null where a call is one of several and it is not known which",
        ),
        Column("window_start", TIME, "minute of its edge; without one, its own"),
        Column("hop", U8, "0, 1...; attempts of one call share a hop"),
        Column("role", ROLE, "client, gateway, server"),
        Column("start_time", TIME, "when this proxy began, by its own clock"),
        Column("duration_ms", F64, "as this proxy saw it"),
        Column("vantage_id", U64, "`vantages` row: which proxy"),
        Column("network", TEXT, "network of that proxy"),
        Column("src_endpoint_id", U64, "`endpoints` row of who this hop came from"),
        Column("dst_endpoint_id", U64, "`endpoints` row of whom it went to"),
        *address("downstream_remote", "client end of the connection in", ""),
        Column("downstream_remote_port", U16, "its port"),
        *address("downstream_local", "proxy end of the connection in", ""),
        Column("downstream_local_port", U16, "its port"),
        *address("upstream_local", "proxy end of the connection out", ""),
        Column("upstream_local_port", U16, "its port"),
        *address("upstream_remote", "server end of the connection out", ""),
        Column("upstream_remote_port", U16, "its port"),
        Column("downstream_peer_identity", TEXT, "SPIFFE ID of who called this hop"),
        Column("upstream_peer_identity", TEXT, "SPIFFE ID of whom it called"),
        Column("downstream_tls", TEXT, "TLS version of the connection in"),
        Column("upstream_tls", TEXT, "TLS version of the connection out"),
        Column("bytes_received", U64, "octets from the client side, of all it carried"),
        Column("bytes_sent", U64, "octets to the client side"),
        Column("status", U16, "HTTP status"),
        Column("response_flags", pl.List(pl.String), "why the proxy answered or cut"),
        Column("carried", U32, "conversations this record is a leg of"),
        Column(
            "match_method",
            MATCH_METHOD,
            "how it was tied to the conversation; null for the record that names it",
        ),
        Column(
            "unmatched",
            UNMATCHED,
            "why an end has no other: ambiguous (several could be it), no_server, no_client, no_ends (a gateway's, of which neither end told); null if it has",
        ),
    ),
)
