"""
Who talks to whom, at a level, as of a time, and what changed.

Before: look.py. After: ../topology/.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import duckdb
import polars as pl

from pipeline import pane
from pipeline import topology as graphs
from pipeline.cli.common import (
    Duration,
    config_option,
    echo_json,
    lake_of,
    lake_option,
    parse_time,
    screen,
)
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.lake import connect
from pipeline.topology import Graph, control_planes

_WINDOW_S: Final = 900.0
_EDGES: Final = (
    *("source", "target", "path", "state", "requests", "errors", "denied", "p50", "p95"),
    *("tls", "bytes", "retransmit_share", "drop_share", "rtt_ms"),
)
_CHANGES: Final = (
    *("change", "source", "target", "measure", "before", "after"),
    *("requests_before", "requests_after", "errors_before", "errors_after"),
)


@click.command(
    epilog="""\b
Examples:
  crosspane topology
  crosspane topology --level cluster --window 15m
  crosspane topology --format dot | dot -Tsvg > topology.svg
  crosspane topology --at 2026-11-24T14:05Z --level gateway --format json
  crosspane topology --since 2026-11-24T14:05Z     # what changed at 14:05
  crosspane topology --diff 2026-11-23T14:05Z 2026-11-24T14:05Z --window 1h"""
)
@click.option(
    "--level",
    type=click.Choice([*graphs.LEVELS]),
    default="workload",
    show_default=True,
    help="What a node is.",
)
@click.option(
    "--format",
    "-f",
    "output",
    type=click.Choice(["table", *graphs.EXPORTS]),
    default="table",
    show_default=True,
    help="For people, or nodes and edges for programs.",
)
@click.option(
    "--traffic",
    type=click.Choice(["calls", "flows", "all"]),
    help="Edges that calls tell of, flows, or all.  [default: calls, if there are any]",
)
@click.option(
    "--at",
    metavar="TIME",
    help="As of then: records that began in the window before (ISO 8601; UTC if not said).",
)
@click.option(
    "--window",
    "window_s",
    type=Duration(),
    metavar="DURATION",
    help="How far back.  [default: all there is; with a time, 15m]",
)
@click.option("--since", metavar="TIME", help="What changed then: windows before and after it.")
@click.option(
    "--diff", nargs=2, metavar="TIME TIME", help="What changed: windows before either time."
)
@click.option(
    "--control-planes",
    "with_control_planes",
    is_flag=True,
    help="Of clusters: add who serves whose proxies, and discovers which clusters.",
)
@config_option
@lake_option
def topology(  # noqa: PLR0917 - one an option
    level: str,
    output: str,
    traffic: str | None,
    at: str | None,
    window_s: float | None,
    since: str | None,
    diff: tuple[str, str] | None,
    with_control_planes: bool,
    config: Config,
    lake_directory: Path | None,
) -> None:
    """
    Show who talks to whom, across clusters and clouds.

    Colours in pictures are health, dashed lines are plaintext, dotted ones are of
    flows alone, thickness is the order of magnitude of octets.
    """
    if sum(map(bool, (at, since, diff))) > 1:
        raise UsageError("--at, --since and --diff exclude each other")
    if with_control_planes and (since or diff or level not in ("cluster", "gateway")):
        raise UsageError("--control-planes are of one graph of clusters: --level cluster")
    if (since or diff) and output not in ("table", "json"):
        raise UsageError(f"--format {output} is of one graph; changes are a table, or json")
    connection = connect(lake_of(config, lake_directory))
    window = timedelta(seconds=_WINDOW_S if window_s is None else window_s)
    if since or diff:
        spans = _spans(since, diff, window)
        before, after = graphs.graphs(connection, level, spans)
        _show_changes(before, after, output)
        return
    connection.begin()  # all that is asked sees one state of the lake
    span = _span(connection, at, window if at or window_s is not None else None)
    found = _chosen(graphs.graph(connection, level, *span), traffic)
    if with_control_planes:
        found = control_planes.add(found, control_planes.links(connection))
    if output == "table":
        _show(found)
    else:
        click.echo(graphs.EXPORTS[output](found))


def _span(
    connection: duckdb.DuckDBPyConnection, at: str | None, window: timedelta | None
) -> tuple[datetime | None, datetime | None]:
    """What is asked for: up to a time, else to the newest record; all, if nothing is said."""
    if window is None:
        return None, None
    until = parse_time(at) if at else graphs.newest(connection)
    return (until - window if until else None), until


def _spans(
    since: str | None, diff: tuple[str, str] | None, window: timedelta
) -> list[tuple[datetime, datetime]]:
    """The two spans that are compared."""
    if since:
        time = parse_time(since)
        return [(time - window, time), (time, time + window)]
    return [(time - window, time) for time in map(parse_time, diff or ())]


def _chosen(graph: Graph, traffic: str | None) -> Graph:
    """Edges of the traffic asked for; of calls, if nothing is said and there are any."""
    if traffic == "all":
        return graph
    calls = graph.edges["requests"].count()
    if traffic is None and not calls:
        return graph
    chosen = graph.of_traffic(traffic or "calls")
    left_out = graph.edges.height - chosen.edges.height
    if traffic is None and left_out:
        screen.print(f"{left_out} edges that flows alone tell of are left out: --traffic all")
    return chosen


def _show(graph: Graph) -> None:
    """Edges as a table, and what they rest on."""
    console = pane.screen()
    via = (
        pl.when(pl.col("gateway").is_null())
        .then("path_model")
        .otherwise("via " + pl.col("gateway"))
    )
    wire = pl.any_horizontal(pl.col("bytes", "bytes_back").is_not_null())
    both_ways = pl.when(wire).then(pl.sum_horizontal("bytes", "bytes_back"))
    edges = graph.edges.with_columns(
        path=via, p50="p50_ms", p95="p95_ms", tls="tls_share", bytes=both_ways
    ).sort(
        *("requests", "bytes", "source", "target"),
        descending=[True, True, False, False],
        nulls_last=True,
    )
    times = (graph.span.since, graph.span.until)
    title = (
        f"Who talks to whom, by {graph.level}, {_said(*times)} (ms; octets on the wire, both ways)"
    )
    pane.table(console, title, edges.select(_EDGES).to_dicts())
    if graph.control_planes is not None:
        pane.table(console, "Control planes, as they are now", graph.control_planes.to_dicts())
    pane.table(console, "Observed by: records that began then", graph.observers.to_dicts())


def _show_changes(before: Graph, after: Graph, output: str) -> None:
    found = graphs.diff(before, after)
    if output == "json":
        document = {"level": before.level, "before": _times(before), "after": _times(after)}
        echo_json({**document, "changes": found.to_dicts()})
        return
    console = pane.screen()
    title = f"What changed, by {before.level}: {_said(*before.span)}, then {_said(*after.span)}"
    pane.table(console, title, found.select(_CHANGES).to_dicts())


def _times(graph: Graph) -> dict[str, Any]:
    return {**graph.span._asdict(), "observers": graph.observers.to_dicts()}


def _said(since: datetime | None, until: datetime | None) -> str:
    """A span in words."""
    if since is None or until is None:
        return "all there is"
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%H:%M:%S} UTC"
