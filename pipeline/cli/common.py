"""
What commands share: configuration, output formats, exit codes.

Before: __init__.py. After: live.py.
"""

import importlib
import logging
import re
import signal
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from collectors.config import AgentConfig, ConfigError, SpoolConfig, UdpInput, load
from collectors.errors import InputError
from collectors.log import LogError
from pipeline import config as configuration
from pipeline.errors import CrosspaneError, UsageError

DATA: Final = Path("crosspane-data")
DEFAULT: Final = configuration.Config(
    agents=(
        AgentConfig(
            name="local",
            cluster="local",
            network="local",
            inputs=(UdpInput(),),
            spool=SpoolConfig(directory=str(DATA / "agent")),
        ),
    )
)
"""Without a file: one agent that takes NetFlow on 127.0.0.1:2055 into ./crosspane-data."""

_SERVING: Final = frozenset({"serve", "dashboards"})
"""Commands that need more packages than the pipeline does."""

screen = Console(stderr=True)
"""For people: progress and remarks. What was asked for goes to standard output."""


class Commands(click.Group):
    """
    The group of all commands.

    A command's module is imported when the command is used, so an agent needs
    no more than an agent's packages, and a list of commands none. Every expected
    error becomes a sentence and an exit code.

    Parameters
    ----------
    listed
        Command to the module beside this one that has it, and to what it does.
    """

    def __init__(
        self,
        name: str,
        *,
        listed: Mapping[str, tuple[str, str]],
        help: str,  # noqa: A002 - click's name
    ) -> None:
        super().__init__(name, help=help)
        self._listed = listed
        self.params.append(click.Option(["-v", "--verbose"], is_flag=True, help="Say more."))
        self.params.append(version_option())
        self.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order a newcomer needs them."""
        del ctx
        return list(self._listed)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List what they do, and import none."""
        named = [click.Command(name, help=what) for name, (_, what) in self._listed.items()]
        _InOrder(commands=named).format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or of an option of ``crosspane``."""
        found = [
            CompletionItem(name, help=what)
            for name, (_, what) in self._listed.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; without its packages, a command that says which to install."""
        del ctx
        if cmd_name not in self._listed:
            return None
        try:
            module = importlib.import_module(f"pipeline.cli.{self._listed[cmd_name][0]}")
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in ("collectors", "pipeline"):
                raise
            return _not_installed(cmd_name, package)
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors a user can meet become one line and an exit code."""
        level = logging.DEBUG if ctx.params.pop("verbose") else logging.INFO
        logging.basicConfig(
            level=logging.WARNING,
            format="%(message)s",
            handlers=[RichHandler(console=screen, show_path=False)],
        )
        logging.getLogger("crosspane").setLevel(level)
        try:
            return super().invoke(ctx)
        except (ConfigError, UsageError) as error:
            fail(str(error), 2)
        except BrokenPipeError:  # the reader of our output has seen enough
            sys.stderr.close()
            raise SystemExit(0) from None
        except (CrosspaneError, InputError, LogError, OSError) as error:
            fail(str(error), 1)


class _InOrder(click.Group):
    """Commands in the order they were given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)


def _not_installed(name: str, package: str) -> click.Command:
    extra = "serve" if name in _SERVING else "pipeline"
    missing = f"needs the package {package}: pip install 'crosspane[{extra}]'"

    @click.command(name, help=missing, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def refuse(arguments: tuple[str, ...]) -> None:
        del arguments
        fail(f"{name} {missing}", 1)

    return refuse


def version_option() -> click.Option:
    """``--version``."""

    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            from importlib.metadata import version  # noqa: PLC0415 - only here

            click.echo(f"crosspane {version('crosspane')}")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )


def fail(message: str, code: int) -> None:
    """One line on standard error, and out."""
    screen.print(f"[red]crosspane:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    raise SystemExit(code)


files_argument = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)

config_option = click.option(
    "--config",
    "-c",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=lambda _ctx, _param, path: load(path, configuration.Config) if path else DEFAULT,
    help="Configuration file (TOML); `crosspane config` prints one to start from.",
)

lake_option = click.option(
    "--lake",
    "lake_directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the lake.  [default: the configuration's, or the last demo's if newer]",
)

format_option = click.option(
    "--format",
    "-f",
    "output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output for people or for programs.",
)


def lake_of(config: configuration.Config, lake_directory: Path | None) -> Path:
    """Folder of the lake a reader means: the one it names, the configuration's, else the demo's."""
    if lake_directory:
        return lake_directory
    configured = Path(config.lake.directory)
    demo = DATA / "demo" / "lake"
    if config is DEFAULT and demo.exists():
        return max(
            (configured, demo), key=lambda path: path.stat().st_mtime if path.exists() else 0
        )
    return configured


class Duration(click.ParamType[float]):
    """``90``, ``90s``, ``15m``, ``2h``: seconds."""

    name = "duration"
    _UNITS: Final = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Text to seconds."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|[smhd]?)", str(value))
        if not match:
            self.fail(f"{value!r} is no duration: a number and ms, s, m, h or d", param, ctx)
        return float(match[1]) * self._UNITS[match[2]]


def echo_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def stop_on_signals() -> threading.Event:
    """Set once the user or the system asks to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def parse_time(text: str) -> datetime:
    """
    ISO 8601 to an instant; without an offset it is UTC.

    >>> parse_time("2026-11-24T03:00").isoformat()
    '2026-11-24T03:00:00+00:00'
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no ISO 8601 time, for instance 2026-11-24T14:05Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


for_option = click.option(
    "--for",
    "for_s",
    type=Duration(),
    metavar="DURATION",
    help="End after so long, for instance 60s.",
)


def end_after(stop: threading.Event, for_s: float | None) -> None:
    """Set ``stop`` when the time is over, if there is one."""
    if for_s is not None:
        timer = threading.Timer(for_s, stop.set)
        timer.daemon = True
        timer.start()
