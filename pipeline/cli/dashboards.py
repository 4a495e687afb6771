"""
Dashboards for Grafana: as files, or over its API.

Before: dashboards/. After: Grafana.
"""

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.markup import escape

from dashboards.boards import BOARDS
from dashboards.provisioning import datasource, provisioning
from dashboards.write import boards
from pipeline import pane
from pipeline.cli.common import echo_json, format_option, screen
from pipeline.errors import CrosspaneError, UsageError

if TYPE_CHECKING:
    from dashboards.provision import Change

_TLS: Final = ("disable", "require", "verify-ca", "verify-full")
_SIGNS: Final = {
    "create": "[green]+[/green]",
    "update": "[yellow]~[/yellow]",
    "same": "[dim]=[/dim]",
}


@click.group(
    epilog="""\b
Examples:
  crosspane dashboards list
  crosspane dashboards provision --url http://127.0.0.1:3000 --user admin --dry-run
  crosspane dashboards write /etc/grafana/crosspane"""
)
def dashboards() -> None:
    """
    Bring dashboards and alert rules into Grafana.

    They ask `crosspane serve` through the PostgreSQL data source that Grafana brings.
    """


@dashboards.command("list")
@format_option
def list_(output: str) -> None:
    """List the dashboards."""
    made = [board.json() for board in BOARDS]
    rows = [
        {
            "uid": board["uid"],
            "title": board["title"],
            "panels": sum(panel["type"] != "row" for panel in board["panels"]),
            "what": board["description"],
        }
        for board in made
    ]
    if output == "json":
        echo_json(rows)
    else:
        pane.table(pane.screen(), "Dashboards", rows)


@dashboards.command(
    epilog="""\b
Example:
  crosspane dashboards write /etc/grafana/crosspane
Then Grafana's environment: GF_PATHS_PROVISIONING=/etc/grafana/crosspane/provisioning"""
)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def write(directory: Path) -> None:
    """Write dashboards and what provisions them as files Grafana reads at its start."""
    folder = directory.resolve()
    files = {f"dashboards/{name}": text for name, text in boards().items()}
    files |= {
        f"provisioning/{name}": text
        for name, text in provisioning(str(folder / "dashboards")).items()
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    screen.print(f"{len(files)} files in {escape(str(folder))}", highlight=False)


@dashboards.command(
    epilog="""\b
Examples:
  crosspane dashboards provision --url http://127.0.0.1:3000 --user admin --dry-run --diff
  crosspane dashboards provision --url https://grafana.example --token-file token \\
      --sql sql.example:5433 --sql-password-file password --alert-url https://hooks.example/x"""
)
@click.option("--url", required=True, envvar="GRAFANA_URL", help="Grafana's address.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of a service account's token.  [env: GRAFANA_TOKEN: the token]",
)
@click.option("--user", help="User instead; its password is GRAFANA_PASSWORD, or asked.")
@click.option(
    "--sql",
    metavar="HOST:PORT",
    default="127.0.0.1:5433",
    show_default=True,
    help="The SQL server, as Grafana reaches it.",
)
@click.option("--sql-user", default="crosspane", show_default=True, help="Role Grafana asks as.")
@click.option(
    "--sql-password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of its password.",
)
@click.option(
    "--sql-tls",
    type=click.Choice(_TLS),
    help="TLS to the SQL server.  [default: verify-full; on this machine disable]",
)
@click.option("--alert-url", help="Where alerts are posted; without it, Grafana's policies decide.")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be written.")
@click.option("--diff", "show_diff", is_flag=True, help="Show what differs.")
@click.option("--force", is_flag=True, help="Write what is the same, too: a password may differ.")
def provision(  # noqa: PLR0917 - click passes options by name
    url: str,
    token_file: Path | None,
    user: str | None,
    sql: str,
    sql_user: str,
    sql_password_file: Path | None,
    sql_tls: str | None,
    alert_url: str | None,
    dry_run: bool,
    show_diff: bool,
    force: bool,
) -> None:
    """
    Bring a running Grafana to what is here; what is the same is not written.

    Folder, data source, dashboards, alert rules, and a contact point if it is told one.
    """
    try:
        from dashboards.provision import ProvisionError, changes, connect  # noqa: PLC0415
    except ModuleNotFoundError as error:
        needed = f"needs the package {error.name}: pip install 'crosspane[serve]'"
        raise CrosspaneError(f"dashboards provision {needed}") from error
    source = datasource(
        url=sql,
        user=sql_user,
        password=sql_password_file.read_text("utf-8").strip() if sql_password_file else "",
        tls=sql_tls or ("disable" if _is_here(sql) else "verify-full"),
    )
    try:
        api = connect(url, _credential(token_file, user))
        found = list(changes(api, datasource=source, alert_url=alert_url, force=force))
        for change in found:
            _tell(change, dry_run=dry_run, show_diff=show_diff)
            if not dry_run and change.action != "same":
                change.apply()
    except ProvisionError as error:
        raise CrosspaneError(str(error)) from error
    written = sum(change.action != "same" for change in found)
    click.echo(
        f"{written} of {len(found)} {'would be' if dry_run else ''} written".replace("  ", " ")
    )


def _credential(token_file: Path | None, user: str | None) -> str | tuple[str, str] | None:
    if token_file and user:
        raise UsageError("--token-file and --user: one of them")
    if token_file:
        return token_file.read_text("utf-8").strip()
    if user:
        password = os.environ.get("GRAFANA_PASSWORD")
        return user, password or click.prompt(f"Password of {user}", hide_input=True, err=True)
    return os.environ.get("GRAFANA_TOKEN")


def _is_here(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tell(change: "Change", *, dry_run: bool, show_diff: bool) -> None:
    done = {"create": "created", "update": "updated", "same": "same"}[change.action]
    does = f"would be {done}" if dry_run and change.action != "same" else done
    pane.screen().print(
        f"{_SIGNS[change.action]} {change.kind} {escape(change.name)}: {does}", highlight=False
    )
    if show_diff:
        for line in change.diff:
            click.echo(f"    {line}")
