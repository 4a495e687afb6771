"""
What people ask: SQL, and health.

Before: live.py. After: topology.py.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import duckdb

from pipeline import pane
from pipeline.cli.common import (
    config_option,
    echo_json,
    format_option,
    lake_of,
    lake_option,
    parse_time,
    screen,
)
from pipeline.config import Config
from pipeline.errors import CrosspaneError
from pipeline.lake import connect

_at = click.option(
    "--at", metavar="TIME", help="What the lake held then (ISO 8601; UTC if not said)."
)
_VIEWS: Final = "SELECT view_name FROM duckdb_views() WHERE database_name = 'lake' ORDER BY ALL;"
_FAIL_ON: Final = {"never": (), "failing": ("failing",), "degraded": ("failing", "degraded")}


def _connect(
    config: Config, lake_directory: Path | None, at: str | None = None
) -> duckdb.DuckDBPyConnection:
    return connect(lake_of(config, lake_directory), at=parse_time(at) if at else None)


@click.command(
    epilog="""\b
Examples:
  crosspane sql "SELECT * FROM v_edges ORDER BY requests DESC LIMIT 10"
  crosspane sql --format json "FROM v_completeness"
  crosspane sql                 # a prompt; .tables lists the views"""
)
@click.argument("query", required=False)
@config_option
@lake_option
@format_option
def sql(query: str | None, config: Config, lake_directory: Path | None, output: str) -> None:
    """
    Ask the lake in SQL (DuckDB), while the job writes to it.

    The lake is attached read-only; the views are listed by .tables and
    described in docs/reference/schema.md.
    """
    connection = _connect(config, lake_directory)
    if query:
        _answer(connection, query, output)
        return
    interactive = sys.stdin.isatty()
    if interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401, PLC0415 - line editing and history, where Python has it
        screen.print("DuckDB over the lake. End with ; - .tables lists views, .quit leaves.")
    for statement in _statements(interactive):
        try:
            _answer(connection, statement, output)
        except CrosspaneError as error:
            if not interactive:
                raise
            screen.print(f"[red]{error}[/red]")


def _statements(interactive: bool) -> Iterator[str]:
    """What is typed or piped in, cut at lines that end with a semicolon."""
    statement = ""
    while True:
        try:
            line = input(("   ...> " if statement else "crosspane> ") if interactive else "")
        except (EOFError, KeyboardInterrupt):
            break
        if not statement and line.strip() in (".quit", ".exit"):
            break
        if not statement and line.strip() == ".tables":
            line = _VIEWS
        statement += line + "\n"
        if line.rstrip().endswith(";"):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _answer(connection: duckdb.DuckDBPyConnection, query: str, output: str) -> None:
    try:
        if output == "json":
            echo_json([_plain(row) for row in pane.rows(connection, query)])
        else:
            relation = connection.sql(query)
            if relation is not None:
                relation.show(max_width=pane.screen().width, max_rows=200)
    except duckdb.Error as error:
        raise CrosspaneError(str(error)) from error


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Values JSON has: bytes as hex."""
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}


@click.command(
    epilog="""\b
Examples:
  crosspane health
  crosspane health --format json --fail-on failing   # exit code 1 for scripts"""
)
@format_option
@_at
@click.option(
    "--fail-on",
    type=click.Choice([*_FAIL_ON]),
    default="never",
    show_default=True,
    help="Exit with 1 if anything is in this state or worse.",
)
@config_option
@lake_option
def health(
    output: str, at: str | None, fail_on: str, config: Config, lake_directory: Path | None
) -> None:
    """Show what is not well, and why."""
    connection = _connect(config, lake_directory, at)
    if output == "json":
        found = pane.rows(connection, pane.HEALTH)
        echo_json(found)
    else:
        found = pane.health(connection, pane.screen(), all_states=True)
    if any(row["state"] in _FAIL_ON[fail_on] for row in found):
        raise SystemExit(1)
