"""Agent, real Apache Kafka, job, lake; the job killed again and again."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from ipfix import datagram

from pipeline.errors import LakeError
from pipeline.lake import connect

if TYPE_CHECKING:
    from brokers import Broker

DATAGRAMS = 12_000
RECORDS = 120_000
BYTES = 7_200_060_000  # 1 + 2 + ... + 120,000
KILLS = 3


@contextmanager
def crosspane(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A crosspane process in ``cwd``; what it says goes to ``cwd/<command>.log``."""
    with (cwd / f"{arguments[0]}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            cwd=cwd,
            stdout=log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


class Reader:
    """Who looks into the lake meanwhile, over one connection, whatever becomes of the job."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._connection: duckdb.DuckDBPyConnection | None = None

    def rows(self) -> int:
        """Count flows; none before there is a lake."""
        try:
            self._connection = self._connection or connect(self._lake)
            row = self._connection.execute("SELECT count(*) FROM flows").fetchone()
        except (LakeError, duckdb.Error):  # not there yet, or just being made
            return 0
        return row[0] if row else 0


def configure(cwd: Path, bootstrap: str, port: int) -> None:
    (cwd / "crosspane.toml").write_text(
        f"""topic_prefix = "kill"
[log]
type = "kafka"
bootstrap = ["{bootstrap}"]
[lake]
directory = "lake"
maintain_s = 2
[job]
commit_rows = 2000
commit_ms = 50
checkpoint_s = 1
discover_s = 0.2
work_out = ["stitch", "rollup"]
[[agents]]
name = "node-1"
cluster = "cluster-east"
network = "net-east"
[agents.batch]
max_payloads = 100
max_age_ms = 100
[agents.spool]
directory = "agent"
[[agents.inputs]]
type = "netflow"
listen = "127.0.0.1:{port}"
"""
    )


def send(port: int) -> Iterator[int]:
    """Send all datagrams at 1,500 a second or less; yields now and then how many were sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(DATAGRAMS):
            sender.sendto(datagram(number), ("127.0.0.1", port))
            if number % 150 == 149:
                time.sleep(0.1)
                yield number + 1


@pytest.mark.kafka
@pytest.mark.timeout(180)
def test_a_killed_job_loses_nothing_and_repeats_nothing(kafka_broker: "Broker", tmp_path: Path):
    """SIGKILL in mid-run, three times: the lake ends with exactly what was sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configure(tmp_path, kafka_broker.bootstrap, port)
    killed_at: list[int] = []
    lake = Reader(tmp_path / "lake")
    with crosspane("agent", "--config", "crosspane.toml", cwd=tmp_path) as agent:
        limit = time.monotonic() + 30
        while f":{port:04X} " not in Path("/proc/net/udp").read_text():
            assert time.monotonic() < limit, (tmp_path / "agent.log").read_text()
            time.sleep(0.05)
        sending, sent = send(port), 0
        while len(killed_at) < KILLS:
            with crosspane("job", "--config", "crosspane.toml", cwd=tmp_path) as job:
                before = killed_at[-1] if killed_at else 0
                share = DATAGRAMS * (len(killed_at) + 1) // (KILLS + 1)  # leaves some for the next
                limit = time.monotonic() + 40
                while lake.rows() <= before:
                    if sent < share:
                        sent = next(sending)
                    else:
                        time.sleep(0.02)
                    assert time.monotonic() < limit, (tmp_path / "job.log").read_text()
                os.kill(job.pid, signal.SIGKILL)
            killed_at.append(lake.rows())
        assert 0 < killed_at[0] < killed_at[-1] < RECORDS, killed_at
        for _ in sending:
            pass
        time.sleep(1)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(30) == 0, (tmp_path / "agent.log").read_text()
    said = re.search(r"received (\d+) netflow; shipped (\d+)", (tmp_path / "agent.log").read_text())
    assert said is not None
    assert (said[1], said[2]) == (str(DATAGRAMS), str(DATAGRAMS))
    with crosspane("job", "--config", "crosspane.toml", "--once", cwd=tmp_path) as job:
        assert job.wait(60) == 0, (tmp_path / "job.log").read_text()
    with connect(tmp_path / "lake") as reader:
        found = reader.execute(
            "SELECT count(*), count(DISTINCT bytes), sum(bytes)::BIGINT, sum(packets)::BIGINT FROM flows"
        ).fetchone()
        assert found == (RECORDS, RECORDS, BYTES, RECORDS)
        counted = reader.execute(
            "SELECT sum(received_payloads)::BIGINT, sum(decoded_payloads)::BIGINT,"
            " sum(decoded_records)::BIGINT, sum(sequence_units_lost)::BIGINT, sum(rejected_payloads)::BIGINT"
            " FROM v_completeness"
        ).fetchone()
        assert counted == (DATAGRAMS, DATAGRAMS, RECORDS, 0, 0)
        assert reader.execute("SELECT count(*) FROM agent_drops").fetchone() == (0,)
