"""
The address space in the terminal: problems, readiness, renumbering, forecast.

Before: views/ipspace.py, exhaustion.py, flat.py; ipspace.py. After: the terminal.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import pane
from pipeline.cli.common import (
    config_option,
    echo_json,
    format_option,
    lake_of,
    lake_option,
    parse_time,
)
from pipeline.config import Config
from pipeline.errors import UsageError
from pipeline.ipspace import POOL, renumbering
from pipeline.ipspace_map import draw
from pipeline.lake import connect
from pipeline.schema.literals import literal
from pipeline.views import exhaustion, flat
from pipeline.views import ipspace as audit
from pipeline.views.ranges import CLOCK, NOW, cidr, declared

_SIGNS: Final = {
    "flat": "[green]flat[/green]",
    "ready": "[green]ready[/green]",
    "unknown": "[dim]?[/dim]",
    "conflicting": "[red]{}[/red]",
    "blocked": "[red]{}[/red]",
}
_SHOWN: Final = 40
"""Rows of a table for people; JSON has all."""


@click.command(
    epilog="""\b
Examples:
  crosspane ipspace
  crosspane ipspace --cluster east --cluster west     # what keeps these two apart
  crosspane ipspace --pool 172.16.0.0/12 --format json
  crosspane ipspace --network corp --at 2026-11-24T14:05Z
  crosspane ipspace --map ranges.svg                  # a picture: what contends is red"""
)
@click.option("--network", "networks", multiple=True, help="Only what concerns this network.")
@click.option(
    "--cluster",
    "clusters",
    multiple=True,
    help="Only what concerns this cluster; given twice or more, pairs among these.",
)
@click.option(
    "--pool",
    "pool",
    multiple=True,
    metavar="CIDR",
    help=f"Where new ranges may come from.  [default: {', '.join(POOL)}]",
)
@click.option(
    "--at", metavar="TIME", help="The inventory as it was then (ISO 8601; UTC if not said)."
)
@click.option(
    "--map",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the declared ranges into this file, too (SVG).",
)
@format_option
@config_option
@lake_option
def ipspace(  # noqa: PLR0917 - click passes them by name
    networks: tuple[str, ...],
    clusters: tuple[str, ...],
    pool: tuple[str, ...],
    at: str | None,
    picture: Path | None,
    output: str,
    config: Config,
    lake_directory: Path | None,
) -> None:
    """
    Audit the address space: overlaps, conflicts, what is full, what nobody owns.

    Then which clusters could share one flat network, and the smallest
    renumbering that would let them.
    """
    _check_pool(pool)
    found = _ask(connect(lake_of(config, lake_directory)), at)
    taken = [row["range"] for row in found["declared"]]
    found = {
        name: [row for row in rows if _concerns(row, networks, clusters)]
        for name, rows in found.items()
    }
    plan = renumbering(found.pop("conflicts"), taken, pool or POOL)
    ranges = found.pop("declared")
    if picture:
        picture.write_text(draw(ranges, _contending(found["problems"])), "utf-8")
    if output == "json":
        echo_json(found | {"renumbering": plan})
    else:
        _print(pane.screen(), found, plan)


def _check_pool(pool: Sequence[str]) -> None:
    for text in pool:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise UsageError(f"--pool: {error}, for instance 172.16.0.0/12") from error


def _ask(connection: duckdb.DuckDBPyConnection, at: str | None) -> dict[str, list[dict[str, Any]]]:
    """Rows of each view, and every declared range, as of a time; each is computed once."""
    time = literal(parse_time(at)) if at else NOW
    for name, query in (
        ("forecast", exhaustion.forecast(time)),
        ("conflicts", flat.conflicts(time)),
    ):
        connection.execute(f"CREATE TEMP TABLE {name} AS {query}")
    problems = audit.problems(time, time if at else CLOCK, "forecast")
    sources = {
        "problems": (audit.IPSPACE, f"({problems})", "severity, problem, network, range"),
        "readiness": (
            flat.READINESS,
            f"({flat.readiness(time, 'conflicts')})",
            "cluster_a, cluster_b",
        ),
        "conflicts": (flat.CONFLICTS, "conflicts", "ALL"),
        "forecast": (exhaustion.EXHAUSTION, "forecast", "network, range, unit"),
    }
    found = {
        name: pane.rows(
            connection,
            f"SELECT {', '.join(view.columns)} FROM {rows} ORDER BY {order}",  # noqa: S608 - ours
        )
        for name, (view, rows, order) in sources.items()
    }
    ranges = f"""SELECT DISTINCT network, {cidr("first", "length")} AS range, kind, cluster, name
        FROM ({declared(time)}) ORDER BY ALL"""  # noqa: S608 - ours
    return found | {"declared": pane.rows(connection, ranges)}


def _contending(problems: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Network and range of both sides of every overlap that is an error."""
    return {
        (row[f"{side}network"], row[f"{side}range"])
        for row in problems
        if row["problem"] == "declared_overlap" and row["severity"] == "error"
        for side in ("", "other_")
    }


def _concerns(row: Mapping[str, Any], networks: Sequence[str], clusters: Sequence[str]) -> bool:
    its = {row.get(f"{name}network") for name in ("", "other_")}
    its |= {row.get(f"network_{side}") for side in ("a", "b")}
    pair = {row[f"cluster_{side}"] for side in ("a", "b") if f"cluster_{side}" in row}
    own = pair or {row.get("cluster"), row.get("other_cluster")}
    if networks and its.isdisjoint(networks):
        return False
    if pair and len(set(clusters)) > 1:
        return pair <= set(clusters)
    return not clusters or not own.isdisjoint(clusters)


def _print(
    console: Console, found: Mapping[str, list[dict[str, Any]]], plan: Mapping[str, Any]
) -> None:
    _some(console, "Problems", [_problem(row) for row in found["problems"]])
    _matrix(console, found["readiness"])
    moves = [
        {**row, "to": row["to"] or "no room in the pool", "clusters": ", ".join(row["clusters"])}
        for row in plan["moves"]
    ]
    how = "the least" if plan["exact"] else f"no less than {plan['at_least']:,}"
    title = (
        f"Renumbering: {len(moves)} ranges, {plan['addresses_in_use']:,} addresses in use ({how})"
    )
    _some(console, title, moves)
    pressed = [row for row in found["forecast"] if row["in_use"]]
    pressed.sort(key=lambda row: (-row["used_share"], row["network"], row["range"]))
    columns = ("network", "cluster", "kind", "range", "unit", "capacity", "in_use", "peak",
               "used_share", "trend_per_day", "days_left", "state")  # fmt: skip
    whole = ("capacity", "in_use", "peak")
    shown = [
        {name: int(row[name]) if name in whole else row[name] for name in columns}
        for row in pressed
    ]
    _some(console, "How full, and until when (days)", shown)


def _problem(row: Mapping[str, Any]) -> dict[str, Any]:
    """Both sides of a problem in a few words."""
    sides = [
        " ".join(
            str(row[f"{prefix}{name}"])
            for name in ("network", "cluster", "kind", "range", "name")
            if row[f"{prefix}{name}"]
        )
        for prefix in ("", "other_")
    ]
    return {
        "severity": row["severity"],
        "problem": row["problem"],
        "what": sides[0],
        "and": sides[1] or None,
        "addresses": int(row["addresses"]),
        "records": (row["flows"] or 0) + (row["requests"] or 0) or None,
        "detail": row["detail"],
    }


def _some(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    more = f" (the first {_SHOWN} of {len(rows):,})" if len(rows) > _SHOWN else ""
    pane.table(console, title + more, rows[:_SHOWN])


def _matrix(console: Console, readiness: Sequence[Mapping[str, Any]]) -> None:
    """Clusters against clusters: flat, ready, or how many pairs of ranges are in the way."""
    if not readiness:
        return
    state = {(row["cluster_a"], row["cluster_b"]): row for row in readiness}
    names = sorted({name for pair in state for name in pair})
    console.print(
        "[bold]Flat address space[/bold]: one already, ready for it, ? not known,"
        " or pairs of ranges in the way"
    )
    out = Table(box=None, pad_edge=False, header_style="dim")
    out.add_column("")
    for name in names:
        out.add_column(escape(name), justify="center", overflow="fold")
    for one in names:
        cells = [state.get((min(one, other), max(one, other))) for other in names]
        signs = [
            _SIGNS[cell["state"]].format(cell["conflicts"]) if cell else "[dim]-[/dim]"
            for cell in cells
        ]
        out.add_row(escape(one), *signs)
    console.print(out)
    console.print()
