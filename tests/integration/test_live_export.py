"""Live traffic, exported by a real softflowd to a real `crosspane up` and to nfcapd at once."""

import csv
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest
from conftest import require_program
from ports import free_ports

from pipeline.lake import connect

SENT_BYTES = 40_000
CONNECTIONS = 60


@contextmanager
def running(
    command: list[str], cwd: Path, stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[str]]:
    """A program that is told to stop, and waited for, at the end."""
    with (cwd / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield process
            process.send_signal(stop)
            process.wait(timeout=40)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def serve(listener: socket.socket) -> None:
    """Answer each connection with 40,000 bytes."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(1_000)
            connection.sendall(bytes(SENT_BYTES))


def make_traffic(port: int) -> None:
    for _ in range(CONNECTIONS):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET")
            while client.recv(65_536):
                pass


def push_frames() -> None:
    """Fill the kernel's capture block, or softflowd 1.1.0 never reads the last packets."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("lo", 0))
        for _ in range(600):
            raw.send(bytes.fromhex("000000000000000000000000 88b5") + bytes(1_400))


def wait_until_bound(port: int) -> None:
    wanted = f"{port:04X}"
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if re.search(rf":{wanted} ", Path("/proc/net/udp").read_text()):
            return
        time.sleep(0.05)
    pytest.fail(f"nobody listens on UDP port {port}")


def nfdump_totals(directory: Path) -> tuple[int, int, int]:
    """Records, packets and bytes as nfdump reads them."""
    done = subprocess.run(
        [require_program("nfdump", "nfdump"), "-R", str(directory), "-o", "csv", "-q"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [
        row for row in csv.reader(done.stdout.splitlines()) if len(row) > 20 and row[0][:2] == "20"
    ]
    return len(rows), sum(int(row[11]) for row in rows), sum(int(row[12]) for row in rows)


@pytest.mark.root
@pytest.mark.parametrize(
    ("version", "expected_format"), [("9", "netflow9"), ("10", "ipfix"), ("5", "netflow5")]
)
def test_the_lake_has_what_nfdump_has(tmp_path: Path, version: str, expected_format: str):
    """Records, packets and bytes in the lake equal nfdump's reading of the same export."""
    softflowd = require_program("softflowd", "softflowd")
    nfcapd = require_program("nfcapd", "nfdump")
    ours, theirs = free_ports(2, socket.SOCK_DGRAM)
    nfdump_directory = tmp_path / "nfdump"
    nfdump_directory.mkdir()
    (tmp_path / "up.toml").write_text(
        f"""[lake]
directory = "lake"
[log]
type = "local"
directory = "log"
[job]
work_out = []
[serve]
listen = ""
web_listen = ""
[[agents]]
name = "node-1"
cluster = "here"
network = "loopback"
[agents.spool]
directory = "agent"
[[agents.inputs]]
type = "netflow"
listen = "127.0.0.1:{ours}"
"""
    )
    crosspane = [sys.executable, "-m", "pipeline.cli", "up", "--config", "up.toml"]
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        up = stack.enter_context(running(crosspane, tmp_path))
        stack.enter_context(
            running(
                [nfcapd, "-w", str(nfdump_directory), "-p", str(theirs), "-b", "127.0.0.1"],
                tmp_path,
            )
        )
        wait_until_bound(ours)
        wait_until_bound(theirs)
        command = [
            softflowd,
            "-d",
            "-i",
            "lo",
            "-v",
            version,
            "-n",
            f"127.0.0.1:{ours},127.0.0.1:{theirs}",
        ]
        command += [
            "-p",
            str(tmp_path / "sf.pid"),
            "-c",
            str(tmp_path / "sf.ctl"),
            "-t",
            "expint=1",
        ]
        with running([*command, f"tcp port {port} or ether proto 0x88b5"], tmp_path):
            while not (tmp_path / "sf.ctl").exists():
                time.sleep(0.05)
            make_traffic(port)
            push_frames()
            time.sleep(1)
            subprocess.run(
                ["softflowctl", "-c", str(tmp_path / "sf.ctl"), "expire-all"],
                check=True,
                capture_output=True,
            )
            time.sleep(1)
        limit = time.monotonic() + 60
        while not (tmp_path / "lake" / "catalog.sqlite").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        # A second process may read while `up` runs.
        with connect(tmp_path / "lake") as reader:
            reader.execute("SELECT count(*) FROM v_flows").fetchall()
    assert up.returncode == 0, (
        (tmp_path / Path(sys.executable).name).with_suffix(".log").read_text()
    )
    expected = nfdump_totals(nfdump_directory)
    assert expected[0] >= CONNECTIONS
    assert expected[2] > CONNECTIONS * SENT_BYTES
    with connect(tmp_path / "lake") as reader:
        found = reader.execute(
            "SELECT count(*), sum(packets)::BIGINT, sum(bytes)::BIGINT FROM v_flows WHERE format = ?",
            [expected_format],
        ).fetchone()
        assert found == expected
        assert accounted(reader) == (expected[0], 0, 0)


def accounted(reader: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Rows decoded, payloads rejected, and units lost, as v_completeness says."""
    row = reader.execute(
        "SELECT sum(decoded_records)::BIGINT, sum(rejected_payloads)::BIGINT, sum(sequence_units_lost)::BIGINT"
        " FROM v_completeness"
    ).fetchone()
    assert row is not None
    return row
