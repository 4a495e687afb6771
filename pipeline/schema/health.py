"""
How well everything was, minute by minute: one row a minute and entity.

Rows are made of the rollup of the minute, of what was usual, and of who is blamed
for calls that failed: pipeline/health/. They hold the figures a state rests on, so
that a state can be argued with.

Before: rollups.py. After: pipeline/health/ (which makes them), views/health.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import (
    F64,
    I32,
    TEXT,
    TIME,
    U64,
    Column,
    Table,
)

ENTITY_KIND: Final = pl.Enum(
    ["service", "workload", "edge", "gateway", "cluster", "cloud_link", "control_plane"]
)
STATE: Final = pl.Enum(["healthy", "degraded", "failing", "unknown"])
BASIS: Final = pl.Enum(["days", "hours", "tens"])
EDGE_KEY: Final = (
    *("client_entity", "client_cluster", "client_provider", "client_region", "client_network"),
    *("server_entity", "server_cluster", "server_provider", "server_region", "server_network"),
    *("service", "gateway"),
)
"""Columns of an edge's row that tell which entities it concerns."""
_NAMES: Final = pl.List(pl.String)

HEALTH_1M: Final = Table(
    "health_1m",
    "How well each service, workload, edge, gateway, cluster, cloud link and control plane was in a minute, and why.",
    (
        Column("minute", TIME, "begin of the minute, UTC"),
        Column(
            "entity_kind",
            ENTITY_KIND,
            "service: by the calls it serves; workload: by the calls it makes; edge; gateway: by what gets through it; cluster: by the calls into it, and its gateways; cloud_link: by the calls between two regions; control_plane: by the proxies that follow it",
        ),
        Column(
            "entity",
            TEXT,
            "`v_endpoints.entity`; of an edge client -> server; name of a gateway, cluster, control plane; of a cloud link provider/region -> provider/region",
        ),
        Column("cluster", TEXT, "its cluster; of an edge the server's; null if not known"),
        Column("network", TEXT, "its network, likewise"),
        Column("state", STATE, "healthy, degraded, failing; unknown: too little seen to say"),
        Column(
            "score",
            F64,
            "1 where nothing is wrong, 0 where it fails; between, the least of what its signals give; null while unknown",
        ),
        Column("reasons", _NAMES, "why it is not healthy, with figures"),
        Column(
            "regressed",
            _NAMES,
            "what is worse than was usual: latency, errors, traffic (which vanished), retransmits, drops",
        ),
        Column(
            "caused_by",
            TEXT,
            "what it suffers from, as far as that is told: kind and entity (`gateway west-eastwest`, `service east/shop/cart`, `certificate west/shop/pay`); null if it is its own, or not known",
        ),
        Column("blamed", TEXT, "whom most failed calls blame: `v_calls.blame` and `blamed_entity`"),
        Column("flags", _NAMES, "response flags of calls that failed"),
        Column("requests", U64, "calls; of a control plane, proxies"),
        Column(
            "errors",
            U64,
            "calls the server side failed; of a gateway, those that no server's proxy saw; of a control plane, proxies behind",
        ),
        Column("denied", U64, "calls a policy denied: not an error of the service"),
        Column(
            "p50_ms",
            F64,
            "median duration, 3 % off at most; of a gateway the mean of what calls took beyond their time at the server",
        ),
        Column("p95_ms", F64, "95th percentile, likewise; of a gateway null"),
        Column("server_ms", F64, "mean duration at the servers' proxies; null if none told"),
        Column(
            "basis",
            BASIS,
            "what was usual is told by: days, the same hour of earlier days; hours, the hours before; tens, the ten minutes before; null: there is not enough history to say",
        ),
        Column("buckets", I32, "hours, or ten minutes, it is told by, or as many as there are"),
        Column("usual_requests", F64, "median of them: calls a minute"),
        Column("usual_error_share", F64, "median of them"),
        Column("usual_p50_ms", F64, "median of them"),
        Column("usual_p95_ms", F64, "median of them"),
        Column(
            "retransmit_packets",
            U64,
            "packets of which it is told whether TCP sent them again: of its legs, in both directions; null if nobody tells",
        ),
        Column("retransmit_share", F64, "share of those that it sent again"),
        Column("usual_retransmit_share", F64, "median of hours, or ten minutes, before"),
        Column("drop_packets", U64, "packets of which exporters tell whether they dropped them"),
        Column("drop_share", F64, "share of those that they dropped"),
        Column("usual_drop_share", F64, "median of hours, or ten minutes, before"),
        Column("last_time", TIME, "minute of its last call, this one or one before"),
        Column("evidence_sql", TEXT, "a query for the rows behind it; null while it is healthy"),
    ),
)

SECURITY_1M: Final = Table(
    "security_1m",
    "How safely each pair of workloads talked in a minute: over all legs of its conversations, gateways' included.",
    (
        Column("minute", TIME, "begin of the minute, UTC"),
        Column("client_entity", TEXT, "`v_stitched.client_entity`, else unknown in its cluster"),
        Column("client_cluster", TEXT, "its cluster"),
        Column("server_entity", TEXT, "`v_stitched.server_entity`, else the service called"),
        Column("server_cluster", TEXT, "its cluster"),
        Column("path_model", TEXT, "local, flat or gateway; null if not known"),
        Column("gateway", TEXT, "gateways it went through, by name, in order; null if none"),
        Column(
            "conversations",
            U64,
            "requests and connections that did not fail, each once: rows of `edges`",
        ),
        Column("encrypted", U64, "of those, encrypted on every leg: one end of each says so"),
        Column(
            "identified",
            U64,
            "of those, where the SPIFFE ID of a peer is told on the first leg and on the last",
        ),
        Column(
            "open_legs",
            _NAMES,
            "legs of which neither end told of TLS: role and cluster -> role and cluster",
        ),
        Column("client_trust_domains", _NAMES, "trust domains of clients, as their peers saw them"),
        Column("server_trust_domains", _NAMES, "trust domains of servers, likewise"),
        Column("denied", U64, "calls a policy denied"),
        Column("denied_by", _NAMES, "policies that denied them, where they are named"),
        Column("allowed", U64, "calls and packets a policy is told to have allowed"),
        Column("unmatched", U64, "packets of which the datapath tells that no policy matched"),
    ),
)
