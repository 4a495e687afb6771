"""
Crosspane beside a running lab, as the tests use it.

Before: agents.py writes its configuration, exporters.py what it is given at the end. After: test_channels.py, test_faults.py, test_gateway_tax.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from msgspec.structs import replace

from collectors.config import load
from collectors.envelope import Header
from collectors.log.opening import open_log
from collectors.replay import replay
from pipeline.cli.live import lake_and_known, open_reader
from pipeline.config import Config
from pipeline.errors import CrosspaneError
from pipeline.lake import connect
from pipeline.run import run

from . import agents, exporters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .agents import Channel
    from .mesh import Mesh
    from .topology import Cluster, Topology

_START_SECONDS = 120.0
_END_SECONDS = 90.0


@contextmanager
def crosspane_up(
    topology: Topology, directory: Path, channel: Channel, *, records_alone: bool = False
) -> Iterator[Path]:
    """
    Run `crosspane up` over the lab in `directory`; give its lake.

    With `records_alone` it works nothing out of its minutes: who moves them does that.

    The block begins when agents take log streams, if they are to, and may begin
    before there is a lab. After it `crosspane up` is told to end, and must end well.
    """
    config = agents.write(topology, directory, channel, directory)
    with config.open("a") as more:
        more.write('\n[serve]\nlisten = ""\nweb_listen = ""\n')
    if records_alone:
        config.write_text(config.read_text().replace("[job]\n", "[job]\nwork_out = []\n"))
    said = config.with_suffix(".out")
    with said.open("wb") as output:
        command = [sys.executable, "-m", "pipeline.cli", "up", "--config", str(config)]
        up = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            if channel != "files":
                streams = agents.sockets(topology, directory).values()
                wait_until(lambda: all(path.exists() for path in streams), said)
            yield directory / channel / "lake"
            up.send_signal(signal.SIGTERM)
            assert up.wait(_END_SECONDS) == 0, said.read_text()
        finally:
            if up.poll() is None:
                os.killpg(up.pid, signal.SIGKILL)  # its agents have processes of their own
                up.wait()


def take_flows(lab: Mesh, channel: Channel) -> None:
    """Put what the lab's exporters sent, and tcpdump wrote, into the lake of an `up` that ended."""
    config = load(lab.directory / f"{channel}.toml", Config)
    _take(config, {cluster: [exporters.capture(lab, cluster)] for cluster in lab.topology.clusters})


def take_logs(lab: Mesh) -> Path:
    """Put what the proxies of a lab that ended wrote into a new lake, and join it; return the lake."""
    file = agents.write(lab.topology, lab.directory, "files", lab.directory)
    config = load(file, Config)
    config = replace(config, job=replace(config.job, work_out=("stitch",)))
    logs = lab.directory / "logs"
    _take(
        config,
        {
            cluster: sorted((logs / cluster.name).glob("*.jsonl"))
            for cluster in lab.topology.clusters
        },
    )
    return Path(config.lake.directory)


def _take(config: Config, files: dict[Cluster, list[Path]]) -> None:
    """Put each cluster's files into the log, as an agent's, and the log into the lake."""
    with open_log(config.log, "exports") as log:
        for cluster, paths in files.items():
            header = Header("exports", cluster.name, cluster.network.name, "netflow")
            replay(paths, header, log)
    with lake_and_known(config) as (lake, known), open_reader(config) as reader:
        run(reader, lake, known, config, stop=threading.Event(), until_idle=True)


def wait_until(done: Callable[[], bool], what: object = "") -> None:
    """Wait until something is so; it must be within two minutes."""
    limit = time.monotonic() + _START_SECONDS
    while not done():
        assert time.monotonic() < limit, what
        time.sleep(0.1)


def ask(lake: Path, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Answer a query to a lake that is being written to."""
    return _reader(lake).execute(query, parameters).fetchall()


@cache
def _reader(lake: Path) -> duckdb.DuckDBPyConnection:
    """Connect once: a test that waits asks ten times a second, beside what it waits for."""
    return connect(lake)


def is_made(lake: Path) -> bool:
    """Look whether a lake can be asked."""
    try:
        ask(lake, "SELECT 1 FROM requests LIMIT 1")
    except (CrosspaneError, duckdb.Error):
        return False
    return True
