"""
The node agents of a configuration. Needs no Polars and no DuckDB.

Before: common.py. After: collectors/agent.py.
"""

from collections.abc import Callable

import click

from collectors.agent import Status, run_all
from collectors.config import LocalLog
from collectors.log.opening import open_log
from pipeline.cli.common import (
    config_option,
    end_after,
    for_option,
    screen,
    stop_on_signals,
)
from pipeline.config import Config
from pipeline.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  crosspane agent --config agent.toml
  crosspane agent --config agent.toml --name node-7   # one of the agents in the file"""
)
@config_option
@click.option("--name", help="Run only the agent of this name.")
@for_option
def agent(config: Config, name: str | None, for_s: float | None) -> None:
    """
    Run the node agents of a configuration: receive, batch, ship to the log.

    A log that is away is waited for with what was received on disk, bounded.
    """
    agents = [one for one in config.agents if name in (None, one.name)]
    if not agents:
        names = ", ".join(one.name for one in config.agents) or "none"
        raise UsageError(f"--name {name}: no such agent; configured are {names}")
    stop = stop_on_signals()
    end_after(stop, for_s)
    spooling = not isinstance(config.log, LocalLog)
    with open_log(config.log, f"crosspane-agent-{agents[0].name}") as log:
        done = run_all(
            agents, log, stop, _tell_trouble(), spooling=spooling, topic_prefix=config.topic_prefix
        )
    for status in done:
        screen.print(_status_line(status), highlight=False)


def _tell_trouble() -> Callable[[Status], None]:
    """Say when the log goes away, and when it is back."""
    known: dict[str, str] = {}

    def tell(status: Status) -> None:
        if status.trouble != known.get(status.agent, ""):
            known[status.agent] = status.trouble
            screen.print(f"{status.agent}: {status.trouble or 'the log is back'}", highlight=False)

    return tell


def _status_line(status: Status) -> str:
    received = ", ".join(f"{count} {kind}" for kind, count in status.received.items())
    dropped = ", ".join(f"{count} {reason}" for reason, count in status.dropped.items() if count)
    return (
        f"{status.agent}: received {received}; shipped {status.shipped}"
        + (
            f"; waiting on disk {status.spooled_envelopes} batches"
            if status.spooled_envelopes
            else ""
        )
        + (f"; dropped {dropped}" if dropped else "")
        + (f"; {status.trouble}" if status.trouble else "")
    )
