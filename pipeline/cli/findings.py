"""
What a person should look at, in the terminal.

Before: views/findings.py. After: the terminal.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import duckdb
from rich.console import Console
from rich.markup import escape

from pipeline import pane
from pipeline.cli.common import config_option, echo_json, format_option, lake_of, lake_option
from pipeline.config import Config
from pipeline.errors import CrosspaneError, UsageError
from pipeline.findings.kinds import FINDINGS
from pipeline.findings.stage import FAILED
from pipeline.lake import connect
from pipeline.schema.literals import literal

_SEVERITIES: Final = ("error", "warning", "info")
_STYLE: Final = {"error": "red", "warning": "yellow", "info": "dim"}


@click.command(
    epilog="""\b
Examples:
  crosspane findings
  crosspane findings --severity error --entity shop/cart
  crosspane findings --kind ip_conflict --all --format json
  crosspane findings --evidence 03f2a9c41d5e6b70    # the rows behind one
  crosspane findings --fail-on error                # exit code 1 for scripts"""
)
@click.option("--all", "closed", is_flag=True, help="Those that are closed, too.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([*(kind.name for kind in FINDINGS), FAILED]),
    metavar="KIND",
    help="Only this kind; may be given more than once.",
)
@click.option(
    "--severity",
    type=click.Choice(_SEVERITIES),
    default="info",
    show_default=True,
    help="Only so severe, or more.",
)
@click.option("--entity", metavar="TEXT", help="Only about what has this in its name.")
@click.option(
    "--evidence", metavar="ID", help="Run the evidence query of this finding, and print its rows."
)
@click.option(
    "--fail-on",
    type=click.Choice(["never", *_SEVERITIES]),
    default="never",
    show_default=True,
    help="Exit with 1 if any shown is open and so severe, or more.",
)
@format_option
@config_option
@lake_option
def findings(  # noqa: PLR0917 - click passes them by name
    closed: bool,
    kinds: tuple[str, ...],
    severity: str,
    entity: str | None,
    evidence: str | None,
    fail_on: str,
    output: str,
    config: Config,
    lake_directory: Path | None,
) -> None:
    """Show what a person should look at, and what to do about it."""
    connection = connect(lake_of(config, lake_directory))
    if evidence:
        _show_evidence(connection, evidence, output)
        return
    conditions = [f"severity IN ({_list(_up_to(severity))})"]
    conditions += [] if closed else ["state = 'open'"]
    conditions += [f"kind IN ({_list(kinds)})"] if kinds else []
    conditions += [f"contains(lower(entity), {literal(entity.lower())})"] if entity else []
    found = pane.rows(
        connection,
        f"""SELECT format('{{:016x}}', finding_id) AS id, * EXCLUDE (finding_id) FROM v_findings
        WHERE {" AND ".join(conditions)}
        ORDER BY state DESC, list_position([{_list(_SEVERITIES)}], severity), kind, entity""",  # noqa: S608 - quoted
    )
    if output == "json":
        echo_json(found)
    else:
        _print(pane.screen(), found)
    if any(row["state"] == "open" and row["severity"] in _up_to(fail_on) for row in found):
        raise SystemExit(1)


def _up_to(severity: str) -> Sequence[str]:
    """That severity and worse ones; of ``never``, none."""
    return _SEVERITIES[: _SEVERITIES.index(severity) + 1] if severity in _SEVERITIES else ()


def _list(values: Sequence[str]) -> str:
    return ", ".join(map(literal, values))


def _print(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        console.print("No findings.")
    for row in found:
        style = _STYLE[row["severity"]]
        back = f", came back {row['times_reopened']} times" if row["times_reopened"] else ""
        until = f"{row['closed_time']:%F %R} (closed)" if row["closed_time"] else "now"
        console.print(
            f"[{style}]{row['severity']}[/{style}] [bold]{row['kind']}[/bold]"
            f" {escape(row['entity'])}  [dim]{row['id']}[/dim]",
            soft_wrap=True,
        )
        console.print(f"    {escape(row['summary'])}", soft_wrap=True)
        console.print(f"    {escape(row['action'])}", soft_wrap=True)
        if row["symptoms"]:
            console.print(f"    Suffer: {escape(', '.join(row['symptoms']))}", soft_wrap=True)
        console.print(
            f"    [dim]{row['opened_time']:%F %R} to {until} UTC{back}[/dim]", soft_wrap=True
        )


def _show_evidence(connection: duckdb.DuckDBPyConnection, text: str, output: str) -> None:
    found = connection.execute(
        "SELECT evidence_sql FROM v_findings WHERE format('{:016x}', finding_id) = ?",
        [text.lower()],
    ).fetchone()
    if found is None:
        raise UsageError(f"--evidence: there is no finding {text}; `crosspane findings` prints ids")
    try:
        if output == "json":
            rows = pane.rows(connection, found[0])
            echo_json({"query": found[0], "rows": rows})
        else:
            click.echo(f"{found[0]};\n")
            connection.sql(found[0]).show(max_width=pane.screen().width, max_rows=200)
    except duckdb.Error as error:
        raise CrosspaneError(str(error)) from error
