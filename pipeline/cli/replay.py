"""
Captures, put into the log.

Before: live.py. After: collectors/replay.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.progress import Progress, SpinnerColumn, TextColumn

from collectors.envelope import GROUPS, Header
from collectors.log.opening import open_log
from collectors.replay import Replayed
from collectors.replay import replay as replay_captures
from pipeline.cli.common import config_option, fail, files_argument, screen, stop_on_signals
from pipeline.config import Config


@click.command(
    epilog="""\b
Examples:
  crosspane replay *.pcap --cluster cluster-east --network net-east
  crosspane replay day.pcap --speed 10 --config crosspane.toml"""
)
@files_argument
@click.option(
    "--cluster", default="local", show_default=True, help="Cluster the captures are from."
)
@click.option(
    "--network", default="local", show_default=True, help="Network their addresses are in."
)
@click.option(
    "--name", default="replay", show_default=True, help="Name of the agent they are attributed to."
)
@click.option(
    "--kind", type=click.Choice([*GROUPS]), help="What the files hold.  [default: by file name]"
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    help="1 as captured, 10 ten times as fast.  [default: as fast as it goes]",
)
@click.option("--now", is_flag=True, help="Date payloads now instead of when they were captured.")
@config_option
def replay(  # noqa: PLR0917 - click passes options by name
    files: tuple[Path, ...],
    cluster: str,
    network: str,
    name: str,
    kind: str | None,
    speed: float | None,
    now: bool,
    config: Config,
) -> None:
    """Put captures into the log, as if an agent had just received them."""
    stop = stop_on_signals()
    header = Header(agent=name, cluster=cluster, network=network, kind=kind or "netflow")
    with open_log(config.log, "crosspane-replay") as log, _count_payloads() as count:
        done = replay_captures(
            files,
            header,
            log,
            kind=kind,
            speed=speed,
            keep_time=not now,
            topic_prefix=config.topic_prefix,
            progress=count,
            stop=stop,
        )
    for error in done.errors:
        screen.print(f"[yellow]damaged:[/yellow] {error}", highlight=False)
    payloads = ", ".join(f"{count} {kind}" for kind, count in done.payloads.items()) or "no"
    skipped = ", ".join(f"{count} {reason}" for reason, count in done.skipped.items())
    screen.print(
        f"{payloads} payloads in {done.envelopes} messages"
        + (f"; left out: {skipped}" if skipped else "")
    )
    if done.errors and not done.payloads:
        fail("no file could be read", 1)


@contextmanager
def _count_payloads() -> Iterator[Callable[[Replayed], None]]:
    with Progress(
        SpinnerColumn(), TextColumn("{task.completed} payloads"), console=screen, transient=True
    ) as bar:
        task = bar.add_task("")

        def show(done: Replayed) -> None:
            bar.update(task, completed=done.payloads.total())

        yield show
