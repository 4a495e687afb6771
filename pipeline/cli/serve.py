"""
What readers connect to: SQL in PostgreSQL's protocol, and the pane in a browser.

Before: live.py. After: serve/engine.py, serve/pgwire, serve/web.py.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from pipeline.cli.common import (
    config_option,
    end_after,
    for_option,
    lake_of,
    lake_option,
    screen,
    stop_on_signals,
)
from pipeline.config import Config, ServeConfig
from pipeline.errors import CrosspaneError, UsageError
from pipeline.serve import web
from pipeline.serve.engine import Engine
from pipeline.serve.pgwire import scram
from pipeline.serve.pgwire.server import Server
from pipeline.serve.roles import DATABASE


@click.command(
    epilog="""\b
Examples:
  crosspane serve                              # the lake of ./crosspane-data, or the last demo's
  crosspane serve --lake /srv/lake --listen 127.0.0.1:5440
  crosspane serve --config crosspane.toml      # roles, TLS and limits: [serve] of the file
  crosspane serve --scram                      # what to write into the file for a password
  psql "host=127.0.0.1 port=5433 user=crosspane" -c "SELECT * FROM v_edges LIMIT 5" """
)
@config_option
@lake_option
@click.option("--listen", metavar="HOST:PORT", help="Address of the SQL server; '' for none.")
@click.option("--web-listen", metavar="HOST:PORT", help="Address of the pane; '' for none.")
@click.option("--scram", "make_scram", is_flag=True, help="Ask for a password, print its verifier.")
@for_option
def serve(  # noqa: PLR0917 - click passes options by name
    config: Config,
    lake_directory: Path | None,
    listen: str | None,
    web_listen: str | None,
    make_scram: bool,
    for_s: float | None,
) -> None:
    """
    Let people and programs ask the lake: in SQL, and in a browser.

    The SQL server speaks PostgreSQL's protocol: psql, Grafana's PostgreSQL data
    source, drivers and BI tools connect to it. It only reads.
    """
    if make_scram:
        click.echo(scram.verifier(_password()))
        return
    given = {"listen": listen, "web_listen": web_listen}
    changed = {key: value for key, value in given.items() if value is not None}
    serving_config = _checked(config.serve, changed)
    if not serving_config.listen and not serving_config.web_listen:
        raise UsageError("--listen and --web-listen: both are empty, so nothing would be served")
    stop = stop_on_signals()
    end_after(stop, for_s)
    with serving(lake_of(config, lake_directory), serving_config, warm=True):
        stop.wait()


def _password() -> str:
    """Typed twice, or a line of standard input."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise UsageError("--scram: no password on standard input")
    return password


def _checked(config: ServeConfig, changed: dict[str, str]) -> ServeConfig:
    """The configuration with what the command line says, which has to be allowed too."""
    try:
        whole = msgspec.to_builtins(config) | changed
        return msgspec.convert(whole, ServeConfig)
    except msgspec.ValidationError as error:
        wrong = " and ".join(
            f"--{key.replace('_', '-')} {value!r}" for key, value in changed.items()
        )
        raise UsageError(f"{wrong}: host:port is what it takes, as 127.0.0.1:5433") from error


@contextlib.contextmanager
def serving(lake: Path, config: ServeConfig, *, warm: bool) -> Iterator[None]:
    """
    Serve a lake meanwhile, and say where.

    Parameters
    ----------
    lake
        Folder of the lake.
    config
        What is served, where, to whom.
    warm
        Open every role's DuckDB at once: what is wrong shows, and nobody waits.

    Raises
    ------
    CrosspaneError or OSError
        If it cannot be.
    """
    with contextlib.ExitStack() as ending:
        engine = Engine(lake, config)
        ending.callback(engine.close)
        for role in config.roles if warm else ():
            engine.open(role).close()
        if config.listen:
            try:
                server = Server(engine, config, config.listen)
            except (OSError, OverflowError) as error:
                reason = getattr(error, "strerror", "") or error
                raise CrosspaneError(f"serve.listen {config.listen}: {reason}") from error
            ending.callback(server.close)
            _tell_sql(server.address, config)
        page = web.start(engine, config)
        if page:
            ending.callback(page.close)
            _tell(f"pane in a browser: {page.url}")
        yield


def _tell_sql(address: tuple[str, int], config: ServeConfig) -> None:
    host, port = address
    shown = f"[{host}]" if ":" in host else host
    roles = [*config.roles]
    tls = ", with TLS" if config.tls_certificate else ""
    more = f", or as {', '.join(roles[1:5])}" if len(roles) > 1 else ""
    where = f"postgresql://{roles[0]}@{shown}:{port}/{DATABASE}"
    _tell(f"SQL for PostgreSQL clients{tls}: psql {where}{more}")


def _tell(line: str) -> None:
    screen.print(line, highlight=False, markup=False, soft_wrap=True)
