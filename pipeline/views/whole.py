"""
Edges, and the graph of workloads, of all there is: rollups, however long that is.

Minutes that are not worked out yet have no rollup: `v_edges` makes theirs of records,
the graph of all time is without them.

Before: rollups.py. After: graph.py.
"""

from typing import Final

from pipeline.schema import View, rollups
from pipeline.views.rollups import calls_rolled_up, each_bucket_once, match_methods
from pipeline.views.topology import EDGE_KEY, MARGIN, RATES, paired_sql

_MINUTE: Final = "time_bucket(INTERVAL 1 MINUTE, start_time {})"
_WORKED_OUT: Final = "(SELECT window_start FROM windows WHERE NOT stale)"
_NEAR: Final = " OR ".join(
    f"{_MINUTE.format(shift)} NOT IN {_WORKED_OUT}" for shift in ("", f"- {MARGIN}", f"+ {MARGIN}")
)
_NOT_YET: Final = f"""FROM ({paired_sql(f"(FROM requests WHERE {_NEAR})")})
    WHERE {_MINUTE.format("")} NOT IN {_WORKED_OUT}"""
"""Calls of minutes that are over and not worked out, or not over."""

_COUNTS: Final = ("requests", "errors", "client_errors", "denied")
_SUMS: Final = ("bytes_received", "bytes_sent")


def _edges(rows: str, key: dict[str, str], more: str) -> str:
    """SQL of edges of all rows of rollups that have one key, with the columns `RATES`."""
    methods = ", ".join(
        f"sum(matched_{method}) AS matched_{method}" for method in rollups.MATCH_METHODS
    )
    keys = ", ".join(f"{sql} AS {name}" for name, sql in key.items())
    summed = f"""SELECT {keys}, {methods}, {more}, min(confidence) AS confidence,
        {", ".join(f"sum({name})::BIGINT AS {name}" for name in (*_COUNTS, "tls_requests"))},
        {", ".join(f"sum({name})::UBIGINT AS {name}" for name in _SUMS)},
        flatten(list(durations)) AS durations FROM ({rows}) GROUP BY ALL"""
    return f"""SELECT *, {match_methods()} AS match_methods,
        histogram_quantile(durations, 0.5) AS p50_ms, histogram_quantile(durations, 0.95) AS p95_ms
        FROM ({each_bucket_once(summed, ["durations"])})"""


EDGES: Final = View(
    "v_edges",
    "Who called whom, minute by minute, and how well did it go?",
    {
        "minute": "minute in which the calls began",
        **EDGE_KEY,
        "match_methods": "how servers were found, distinct; null among them where one was not",
        "confidence": "lowest confidence among them",
        **RATES,
    },
    _edges(
        f"""FROM edges_1m WHERE bucket_start NOT IN (SELECT window_start FROM windows WHERE stale)
        UNION ALL BY NAME FROM ({calls_rolled_up(rollups.EDGES, _MINUTE.format(""), _NOT_YET)})""",
        {"minute": "bucket_start"} | {name: name for name in EDGE_KEY},
        "min(first_time) AS first_time",
    ),
)

TOPOLOGY_EDGES: Final = View(
    "v_topology_edges",
    "What is connected to what: logical calls (L7), and legs seen on the wire (L4), of minutes that are worked out?",
    {
        "kind": "call: client workload to server workload; leg: source to destination address of flows, one direction",
        "source": "entity it comes from",
        "target": "entity it goes to",
        "source_cluster": "cluster of the source",
        "target_cluster": "cluster of the target",
        "path_model": "local, flat or gateway; null for legs",
        "gateway": "gateway it goes through; null for legs",
        **RATES,
        "flows": "flow records, of each pair of addresses as the exporter saw it that saw most octets of it; null for calls",
        "bytes": "octets after sampling, likewise",
        "packets": "packets after sampling, likewise",
        "exporters": "exporters that saw one pair of its addresses, at most",
        "first_time": "first seen",
        "last_time": "last seen",
    },
    f"""SELECT 'call' AS kind, * FROM ({
        _edges(
            "FROM edges_1d",
            {
                "source": "client_entity",
                "target": "server_entity",
                "source_cluster": "client_cluster",
                "target_cluster": "server_cluster",
                "path_model": "path_model",
                "gateway": "gateway",
            },
            "min(first_time) AS first_time, max(last_time) AS last_time",
        )
    })
    UNION ALL BY NAME
    SELECT 'leg' AS kind, src_entity AS source, dst_entity AS target, src_cluster AS source_cluster,
        dst_cluster AS target_cluster, sum(flows)::BIGINT AS flows, sum(bytes)::DOUBLE AS bytes,
        sum(packets)::DOUBLE AS packets, max(exporters)::BIGINT AS exporters,
        min(first_time) AS first_time, max(last_time) AS last_time
    FROM legs_1d GROUP BY ALL""",
)

TOPOLOGY_NODES: Final = View(
    "v_topology_nodes",
    "What takes part, where is it, and how much goes through it?",
    {
        "entity": "`v_topology_edges.source` or ``target``",
        "kind": "kind of endpoint; null if not resolved",
        "provider": "cloud",
        "region": "region",
        "cluster": "cluster",
        "namespace": "namespace",
        "workload": "workload",
        "requests_in": "calls it served",
        "errors_in": "of those, failed",
        "requests_out": "calls it made",
        "bytes_in": "octets of legs to it",
        "bytes_out": "octets of legs from it",
        "first_time": "first seen",
        "last_time": "last seen",
    },
    """WITH ends AS (
        SELECT target AS entity, target_cluster AS cluster, requests AS requests_in, errors AS errors_in,
            NULL AS requests_out, bytes AS bytes_in, NULL AS bytes_out, first_time, last_time
        FROM v_topology_edges WHERE target IS NOT NULL
        UNION ALL
        SELECT source, source_cluster, NULL, NULL, requests, NULL, bytes, first_time, last_time
        FROM v_topology_edges WHERE source IS NOT NULL
    ), known AS (
        SELECT entity, min(kind) AS kind, min(namespace) AS namespace, min(workload) AS workload
        FROM v_endpoints GROUP BY entity
    )
    SELECT entity, min(known.kind) AS kind, min(clusters.provider) AS provider,
        min(clusters.region) AS region, min(ends.cluster) AS cluster, min(known.namespace) AS namespace,
        min(known.workload) AS workload, coalesce(sum(requests_in), 0)::BIGINT AS requests_in,
        coalesce(sum(errors_in), 0)::BIGINT AS errors_in,
        coalesce(sum(requests_out), 0)::BIGINT AS requests_out,
        coalesce(sum(bytes_in), 0) AS bytes_in, coalesce(sum(bytes_out), 0) AS bytes_out,
        min(first_time) AS first_time, max(last_time) AS last_time
    FROM ends LEFT JOIN known USING (entity) LEFT JOIN clusters ON clusters.cluster = ends.cluster
    GROUP BY entity""",
)
