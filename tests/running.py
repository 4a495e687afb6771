"""`crosspane up` in a folder of its own, and what comes into its lake."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import LakeError
from pipeline.lake import connect

HASTY = """
[log]
type = "local"
directory = "log"
[lake]
directory = "lake"
[job]
commit_ms = 100
discover_s = 0.2
work_out = []
[serve]
listen = ""
web_listen = ""
"""
"""The head of a configuration whose job commits ten times a second, and which serves nobody."""
AGENT = """
[agents.batch]
max_age_ms = 100
[agents.spool]
directory = "agent"
"""
"""What follows ``[[agents]]`` and its names, for one that ships as often."""


@contextmanager
def up(folder: Path) -> Iterator[None]:
    """The command with ``crosspane.toml`` of a folder, ended as a service manager would."""
    command = [sys.executable, "-m", "pipeline.cli", "up", "--config", "crosspane.toml"]
    with (folder / "up.log").open("a") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0, (folder / "up.log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_for(folder: Path, query: str, enough: Callable[[list[tuple]], bool]) -> list[tuple]:
    """Rows of a query, as soon as they are enough."""
    limit = time.monotonic() + 120
    rows: list[tuple] = []
    reader = None
    with ExitStack() as ending:
        while time.monotonic() < limit:
            try:
                reader = reader or ending.enter_context(connect(folder / "lake"))
                rows = reader.execute(query).fetchall()
            except (LakeError, duckdb.Error):  # it is just being made
                rows = []
            if enough(rows):
                return rows
            time.sleep(0.1)
    pytest.fail(f"{query}: {rows}\n{(folder / 'up.log').read_text()}")
