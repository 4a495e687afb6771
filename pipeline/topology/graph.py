"""
The graph of a span at a level: nodes, edges, and who observed.

Calls and legs of one pair and path are one edge. Octets that flows carried back
are on the edge of the calls, unless calls go both ways; where there are flows
and no calls, each direction is an edge, since flows do not tell who asked.

Before: calls.py, legs.py. After: changes.py, export.py.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import duckdb
import polars as pl

from pipeline.errors import UsageError
from pipeline.topology.calls import calls
from pipeline.topology.covered import covered
from pipeline.topology.legs import legs
from pipeline.topology.span import Span, place
from pipeline.views import health
from pipeline.views.levels import LEVELS, endpoints

EDGES: Final = {
    "source": "node it comes from",
    "target": "node it goes to",
    "path_model": "local: one cluster; flat: two, pod to pod; gateway; external: an end is a named range outside; serves, discovers: what a control plane does; null if not known",
    "gateway": "gateway it goes through; null if none, or not known",
    "state": "healthy, degraded, failing, as `v_health` judges an edge; unknown: too few calls; null: no calls, flows alone",
    "requests": "calls; null if flows alone tell of it",
    "errors": "calls the server side failed",
    "error_share": "of the calls",
    "client_errors": "calls with status 400 to 499, denials included",
    "denied": "calls an authorization policy denied",
    "p50_ms": "median duration, as the client's proxy saw it; from a gateway on, as the server's did; 3 % off at most",
    "p95_ms": "95th percentile of it",
    "bytes_received": "request body octets",
    "bytes_sent": "response body octets",
    "tls_share": "calls over TLS, of the calls; null where no proxy at this hop could tell",
    "flows": "flow records, of one exporter a pair of addresses; null if no flow was seen",
    "bytes": "octets from source to target, after sampling, likewise",
    "packets": "packets likewise",
    "bytes_back": "octets from target to source, where calls go one way",
    "retransmit_share": "share of packets that TCP sent again, in the direction that has more of them; null where nobody who knows tells",
    "drop_share": "share of packets that exporters dropped, likewise; null where none tells",
    "rtt_ms": "mean round-trip time of flows, as TCP or an exporter measured it, likewise",
    "protocols": "protocol to calls; where there are none, to flow records",
    "clusters": "clusters at its ends: who could have seen it",
    "lost_share": "largest share that exporters of those clusters lost in the span; null where none counts",
    "first_time": "first seen",
    "last_time": "last seen",
}
"""Columns of `Graph.edges`."""

NODES: Final = {
    "entity": "`source` or ``target`` of edges",
    "kind": "the level, or the kind of endpoint; external: a range outside; unknown: nobody is known to have had the address; control_plane",
    "provider": "cloud; null if none or several",
    "region": "likewise",
    "cluster": "likewise",
    "network": "likewise",
    "namespace": "likewise",
    "workload": "likewise",
    "requests_in": "calls to it",
    "errors_in": "of those, failed",
    "requests_out": "calls it made",
    "bytes_in": "octets of flows to it",
    "bytes_out": "octets of flows from it",
    "first_time": "first seen",
    "last_time": "last seen",
}
"""Columns of `Graph.nodes`."""

_KEY: Final = ["source", "target", "path_model", "gateway"]
_LOSSES: Final = ("retransmit_share", "drop_share", "rtt_ms")
_PLACE: Final = ("provider", "region", "cluster", "network", "namespace", "workload")
_PROTOCOLS: Final = pl.List(pl.Struct({"key": pl.String(), "value": pl.UInt64()}))


class Graph(NamedTuple):
    """
    Who talks to whom in a span.

    Attributes
    ----------
    level
        One of `LEVELS`.
    span
        What was asked for.
    nodes, edges
        Columns `NODES`, `EDGES`; in order of names.
    observers
        One row a cluster that observes: ``cluster``; ``requests`` and ``flows``, rows it gave;
        ``lost_share``, ``unknown_share`` and ``not_decoded`` payloads, as `v_completeness` has
        them, by the minute of receipt and one more at each end.
    control_planes
        `control_planes.LINKS`, where those were asked for: they are nodes and edges too.
    """

    level: str
    span: Span
    nodes: pl.DataFrame
    edges: pl.DataFrame
    observers: pl.DataFrame
    control_planes: pl.DataFrame | None = None

    def of_traffic(self, traffic: str) -> "Graph":
        """The same with edges that ``calls`` tell of, or ``flows``, alone, and their ends."""
        of_calls = pl.col("requests").is_not_null()
        edges = self.edges.filter(
            of_calls
            if traffic == "calls"
            else pl.any_horizontal(pl.col("flows", "bytes_back").is_not_null())
        )
        ends = pl.concat([edges["source"], edges["target"]]).unique()
        return self._replace(
            edges=edges, nodes=self.nodes.filter(pl.col("entity").is_in(ends.implode()))
        )


def graph(
    connection: duckdb.DuckDBPyConnection,
    level: str = "workload",
    since: datetime | None = None,
    until: datetime | None = None,
) -> Graph:
    """
    What was connected to what in [since, until), by the time records began.

    Parameters
    ----------
    connection
        The lake, its schema in use; read only.
    level
        One of `LEVELS`.

    Raises
    ------
    UsageError
        If there is no such level, or the span ends before it begins.
    """
    if level not in LEVELS:
        raise UsageError(f"{level!r} is no level: {', '.join(LEVELS)}")
    if since and until and since >= until:
        raise UsageError(f"nothing lies between {since.isoformat()} and {until.isoformat()}")
    span, lake = Span(since, until), place(connection)
    observers = _observers(connection, span, lake)
    told = covered(connection, span, lake, by_node=level == "node")
    edges = _joined(calls(connection, level, told.edges), legs(connection, level, told.legs))
    edges = _judged(edges, observers).select(*EDGES).sort(_KEY, nulls_last=True)
    return Graph(level, span, _nodes(connection, level, lake, edges), edges, observers)


def newest(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """End of what the lake holds: just after the newest record, by the clocks of agents at most."""
    times = " UNION ALL ".join(
        f"SELECT max(start_time) AS begun, max(received_time) AS received FROM {table}"
        for table in ("requests", "flows")
    )
    (found,) = connection.execute(
        f"SELECT least(max(begun), max(received)) FROM ({times})"
    ).fetchall()
    return found[0] + timedelta(microseconds=1) if found[0] else None


def _joined(told: pl.DataFrame, wire: pl.DataFrame) -> pl.DataFrame:
    """Calls and legs on one edge a key, replies on the edge of the calls they answer."""
    backwards = {"source": "target", "target": "source"}
    answered = wire.rename(backwards).join(told, on=_KEY, how="semi", nulls_equal=True)
    both_ways = told.select(_KEY).join(
        told.rename(backwards).select(_KEY), on=_KEY, how="semi", nulls_equal=True
    )
    back = answered.join(both_ways, on=_KEY, how="anti", nulls_equal=True)
    back = back.select(*_KEY, pl.col("bytes", *_LOSSES).name.suffix("_back"))
    forth = wire.join(back.rename(backwards), on=_KEY, how="anti", nulls_equal=True)
    edges = told.join(forth, on=_KEY, how="full", nulls_equal=True, coalesce=True, suffix="_wire")
    return edges.join(back, on=_KEY, how="left", nulls_equal=True).with_columns(
        first_time=pl.min_horizontal("first_time", "first_time_wire"),
        last_time=pl.max_horizontal("last_time", "last_time_wire"),
        **{name: pl.max_horizontal(name, f"{name}_back") for name in _LOSSES},
        protocols=pl.coalesce(
            pl.col("protocols").cast(_PROTOCOLS), pl.col("flow_protocols").cast(_PROTOCOLS)
        ),
        clusters=pl.concat_list(
            pl.col("clusters", "clusters_wire").fill_null(pl.lit([], pl.List(pl.String())))
        )
        .list.unique()
        .list.sort(),
    )


def _judged(edges: pl.DataFrame, observers: pl.DataFrame) -> pl.DataFrame:
    """States, by the thresholds of `v_health`, and what was lost where they are seen from."""
    share = pl.col("errors") / pl.col("requests")
    slow = (pl.col("p95_ms") > health.SLOW_MS) & (
        pl.col("p95_ms") > health.SLOW_TAIL * pl.col("p50_ms")
    )
    lost = dict(observers.select("cluster", "lost_share").drop_nulls().iter_rows())
    return edges.with_columns(
        error_share=share,
        state=pl.when(pl.col("requests").is_null())
        .then(None)
        .when(pl.col("requests") < health.MIN_REQUESTS)
        .then(pl.lit("unknown"))
        .when(share >= health.FAILING_ERRORS)
        .then(pl.lit("failing"))
        .when((share >= health.DEGRADED_ERRORS) | slow)
        .then(pl.lit("degraded"))
        .otherwise(pl.lit("healthy")),
        lost_share=pl.col("clusters")
        .list.eval(pl.element().replace_strict(lost, default=None, return_dtype=pl.Float64))
        .list.max(),
    )


def _nodes(
    connection: duckdb.DuckDBPyConnection, level: str, lake: str, edges: pl.DataFrame
) -> pl.DataFrame:
    """Ends of edges, with their place where all that go by the name share it."""
    place = ", ".join(
        f"CASE WHEN min({name}) = max({name}) THEN min({name}) END AS {name}" for name in _PLACE
    )
    known = connection.execute(
        f"""SELECT entity, min(node_kind) AS kind, {place}
        FROM ({endpoints(LEVELS[level], lake)}) GROUP BY entity"""
    ).pl()
    ends = [
        edges.select(
            "first_time",
            "last_time",
            entity=end,
            **{name: pl.col(of) for name, of in counts.items()},
        )
        for end, counts in (
            ("target", {"requests_in": "requests", "errors_in": "errors", "bytes_in": "bytes"}),
            ("source", {"requests_out": "requests", "bytes_out": "bytes"}),
            ("source", {"bytes_in": "bytes_back"}),
            ("target", {"bytes_out": "bytes_back"}),
        )
    ]
    counts = pl.col("requests_in", "errors_in", "requests_out", "bytes_in", "bytes_out")
    nodes = (
        pl.concat(ends, how="diagonal")
        .group_by("entity")
        .agg(counts.sum(), pl.col("first_time").min(), pl.col("last_time").max())
        .join(known, on="entity", how="left")
    )
    of_name = (
        pl.when(pl.col("entity").str.starts_with("unknown"))
        .then(pl.lit("unknown"))
        .when(pl.col("entity").str.starts_with("gateway:"))
        .then(pl.lit("gateway"))
        .when(pl.col("entity").str.starts_with("service"))
        .then(pl.lit("service"))
        .otherwise(pl.lit("external"))
    )
    return (
        nodes.with_columns(pl.coalesce("kind", of_name).alias("kind")).select(*NODES).sort("entity")
    )


def graphs(
    connection: duckdb.DuckDBPyConnection, level: str, spans: Sequence[tuple[datetime, datetime]]
) -> list[Graph]:
    """
    The graphs of several spans, of one state of the lake: at once, most of it is planning.

    Parameters
    ----------
    connection, level
        As of `graph`; the lake is DuckLake's.
    """
    use = f"SET TimeZone = 'UTC'; USE {place(connection)}"
    version = "FROM ducklake_current_snapshot(current_catalog())"
    with ExitStack() as opened, ThreadPoolExecutor(len(spans)) as pool:
        cursors = [opened.enter_context(connection.cursor()) for _ in spans]
        for cursor in cursors:
            cursor.execute(use)
            cursor.begin()
        while len({cursor.execute(version).fetchone() for cursor in cursors}) > 1:
            for cursor in cursors:  # something was committed meanwhile
                cursor.rollback()
                cursor.begin()
        return [*pool.map(lambda cursor, span: graph(cursor, level, *span), cursors, spans)]


def _observers(connection: duckdb.DuckDBPyConnection, span: Span, lake: str) -> pl.DataFrame:
    """What each cluster's agents gave in the span, and what did not arrive (`v_completeness`)."""
    facts = " UNION ALL ".join(
        f"SELECT '{table}' AS fact, vantage_id, src_resolution, dst_resolution"
        f" FROM {lake}.{table} WHERE {span.holds()}"
        for table in ("requests", "flows")
    )
    return connection.execute(
        f"""WITH given AS (
            SELECT cluster, count(*) FILTER (fact = 'requests') AS requests,
                count(*) FILTER (fact = 'flows') AS flows,
                avg(((src_resolution = 'unknown')::INTEGER + (dst_resolution = 'unknown')::INTEGER) / 2)
                    AS unknown_share
            FROM ({facts}) JOIN vantages USING (vantage_id) GROUP BY cluster
        ), counted AS (
            SELECT cluster, sum(rejected_payloads + partial_payloads)::BIGINT AS not_decoded,
                sum(greatest(expected - received, 0)) / nullif(sum(expected), 0) AS lost_share
            FROM (
                SELECT vantage_id, sum(rejected_payloads) AS rejected_payloads,
                    sum(partial_payloads) AS partial_payloads, sum(sequence_units_expected) AS expected,
                    sum(sequence_units_received) AS received
                FROM {lake}.accounting WHERE {span.around("minute")} GROUP BY vantage_id
            ) JOIN vantages USING (vantage_id) GROUP BY cluster
        )
        SELECT cluster, coalesce(requests, 0) AS requests, coalesce(flows, 0) AS flows, lost_share,
            unknown_share, not_decoded
        FROM given FULL JOIN counted USING (cluster) ORDER BY cluster"""
    ).pl()
