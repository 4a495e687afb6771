"""
What runs: the whole embedded pipeline, and its job apart.

``up`` is one process group: the agents in a child process that does nothing
but receive, readers served by another, the job in this one.

Before: common.py. After: children.py, run.py.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

import click
from rich.progress import Progress, SpinnerColumn, TextColumn

from collectors.config import (
    AwsInput,
    HubbleInput,
    Input,
    KubernetesInput,
    LocalLog,
    NetboxInput,
    ProbeInput,
    Scrape,
    SocketsInput,
    Tail,
)
from collectors.config.exports import Exports
from collectors.log import Reader
from collectors.log.local import LocalReader
from pipeline.cli.children import receive, serving_beside
from pipeline.cli.common import (
    config_option,
    end_after,
    fail,
    for_option,
    screen,
    stop_on_signals,
)
from pipeline.config import Config
from pipeline.decode.access_log.format_string import check_formats
from pipeline.errors import UsageError
from pipeline.findings.alertmanager import telling
from pipeline.inventory import file as inventory
from pipeline.known import Known
from pipeline.lake import Lake, sync_inventory
from pipeline.run import run

_END_S: Final = 30.0


def open_reader(config: Config) -> Reader:
    """Open the configured log, for reading."""
    if isinstance(config.log, LocalLog):
        Path(config.log.directory).mkdir(parents=True, exist_ok=True)
        return LocalReader(Path(config.log.directory))
    from collectors.log.kafka import KafkaReader  # noqa: PLC0415 - a local log needs no Kafka client

    return KafkaReader(",".join(config.log.bootstrap), settings=config.log.settings())


@contextmanager
def lake_and_known(config: Config) -> Iterator[tuple[Lake, Known]]:
    """Open the lake for writing, its dimension tables brought to what is known."""
    check_formats(config.agents)
    path = Path(config.inventory) if config.inventory else None
    declared = inventory.load(path) if path else inventory.empty()
    with Lake(Path(config.lake.directory), threads=config.lake.threads) as lake:
        known = Known(declared, lake, path)
        sync_inventory(lake, known.tables)
        with telling(config.findings, Path(config.lake.directory)):
            yield lake, known


@click.command(
    epilog="""\b
Examples:
  crosspane up                                # NetFlow on 127.0.0.1:2055, into ./crosspane-data
  crosspane up --config crosspane.toml --for 60s"""
)
@config_option
@for_option
def up(config: Config, for_s: float | None) -> None:
    """
    Run everything on this machine: agents, log, stream job, lake, and what serves readers.

    Ends with Ctrl-C or SIGTERM, after what was received is in the lake.
    """
    if not isinstance(config.log, LocalLog):
        raise UsageError(
            "log.type: `crosspane up` needs 'local'; for Kafka there are `agent` and `job`"
        )
    if not config.agents:
        raise UsageError("agents: none configured, so nothing would be received")
    context = multiprocessing.get_context("spawn")
    stop_agents, stop = context.Event(), stop_on_signals()
    with lake_and_known(config) as (lake, known), open_reader(config) as reader:
        agents = context.Process(target=receive, args=(config, stop_agents), name="agents")
        agents.start()
        _tell_where(config)
        ending = threading.Thread(
            target=_end, args=(stop, stop_agents, agents, for_s), name="end", daemon=True
        )
        ending.start()
        try:
            with serving_beside(config), _live() as show:
                run(reader, lake, known, config, stop=stop, on_commit=show)
            # The agents have emptied their sockets into the log by now: take that too.
            run(reader, lake, known, config, stop=threading.Event(), until_idle=True)
        finally:
            stop_agents.set()
            agents.join(_END_S)
    if agents.exitcode:
        fail("the agents ended with an error, see above", 1)


def _end(
    stop: threading.Event,
    stop_agents: Event,
    agents: multiprocessing.process.BaseProcess,
    for_s: float | None,
) -> None:
    """When it is time, or an agent dies, end the agents first and then the job."""
    until = time.monotonic() + for_s if for_s is not None else float("inf")
    while not stop.wait(0.1) and time.monotonic() < until and agents.is_alive():
        pass
    stop_agents.set()
    agents.join(_END_S)
    stop.set()


def _tell_where(config: Config) -> None:
    for agent in config.agents:
        inputs = ", ".join(f"{one.__struct_config__.tag} {_where(one)}" for one in agent.inputs)
        screen.print(
            f"[bold]{agent.cluster}/{agent.name}[/bold] ({agent.network}) takes {inputs}",
            highlight=False,
        )
    tell_connection(Path(config.lake.directory))


def _where(one: Input) -> str:
    """What an input listens to, reads or asks, in a few words."""
    match one:
        case Tail():
            where = list(one.paths)
        case HubbleInput():
            where = [one.target]
        case Scrape():
            where = [*(target.url for target in one.targets), one.targets_file]
        case KubernetesInput():
            where = [one.server or one.context or one.kubeconfig or "of the cluster it runs in"]
        case AwsInput():
            where = list(one.regions) or ["in the region of its environment"]
        case Exports():
            where = [*one.files, *(command[0] for command in one.commands)]
        case NetboxInput():
            where = [one.url]
        case ProbeInput():
            where = [*(target.address or target.url for target in one.targets), one.listen]
        case SocketsInput():
            where = ["of its own namespace"] * one.own_namespace + [*one.namespaces]
        case _:
            where = [one.listen]
    return " ".join(where).strip()


def tell_connection(lake_directory: Path) -> None:
    """Say where the rows are, and how to ask for them."""
    screen.print(
        f"lake in {lake_directory}: `crosspane sql --lake {lake_directory}`, or any DuckDB 1.5:\n"
        f"  ATTACH 'ducklake:sqlite:{lake_directory / 'catalog.sqlite'}' AS lake (READ_ONLY);"
        " FROM lake.crosspane.v_edges;",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@click.command(
    epilog="""\b
Examples:
  crosspane job --config job.toml
  crosspane job --config job.toml --once      # what the log holds now, then end"""
)
@config_option
@click.option("--once", is_flag=True, help="End when all the log holds is in the lake.")
@for_option
def job(config: Config, once: bool, for_s: float | None) -> None:
    """Run the stream job: from the log to the lake, exactly once."""
    stop = stop_on_signals()
    end_after(stop, for_s)
    with (
        lake_and_known(config) as (lake, known),
        open_reader(config) as reader,
        _live() as show,
    ):
        run(reader, lake, known, config, stop=stop, until_idle=once, on_commit=show)


@contextmanager
def _live() -> Iterator[Callable[[Mapping[str, float]], None]]:
    """One line that says how far the job is, on a terminal; nothing elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("waiting for the first payload")
        totals = {"flows": 0.0, "requests": 0.0, "rejects": 0.0}

        def show(row: Mapping[str, float]) -> None:
            for name in totals:
                totals[name] += row[name]
            counts = ", ".join(f"{count:,.0f} {name}" for name, count in totals.items())
            bar.update(task, description=f"{counts}; {row['lag_ms'] / 1e3:.1f} s behind")

        yield show
