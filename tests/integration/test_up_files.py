"""`crosspane up` follows access logs that grow and rotate."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.lake import connect

CONFIG = """
[log]
type = "local"
directory = "log"
[lake]
directory = "lake"
[job]
commit_ms = 100
discover_s = 0.2
[[agents]]
name = "node-1"
cluster = "here"
network = "loopback"
[agents.batch]
max_age_ms = 100
[agents.spool]
directory = "agent"
[[agents.inputs]]
type = "access_log"
paths = ["proxy/*.log*"]
"""


def line(number: int) -> str:
    entry = {
        "start_time": "2026-11-24T03:00:00.000Z",
        "method": "GET",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "bytes_sent": number,
        "upstream_cluster": "outbound|80||cart.shop.svc.cluster.local",
    }
    return json.dumps(entry) + "\n"


@pytest.mark.timeout(90)
def test_lines_of_a_growing_and_rotated_file_are_rows_once(tmp_path: Path):
    """300 lines over a rotation and a line of no known format: 300 rows, one reject with its bytes."""
    (tmp_path / "crosspane.toml").write_text(CONFIG)
    (tmp_path / "proxy").mkdir()
    access = tmp_path / "proxy" / "access.log"
    access.write_text("".join(line(number) for number in range(1, 101)))
    command = [sys.executable, "-m", "pipeline.cli", "up", "--config", "crosspane.toml"]
    with (tmp_path / "up.log").open("w") as said:
        up = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said)
        try:
            wait_for_rows(tmp_path, 100)
            with access.open("a") as file:
                file.write("".join(line(number) for number in range(101, 201)) + "no json\n")
            access.rename(tmp_path / "proxy" / "access.log.1")
            access.write_text("".join(line(number) for number in range(201, 301)))
            wait_for_rows(tmp_path, 300)
            up.send_signal(signal.SIGTERM)
            assert up.wait(40) == 0, (tmp_path / "up.log").read_text()
        finally:
            if up.poll() is None:
                up.kill()
                up.wait()
    with connect(tmp_path / "lake") as reader:
        rows = (
            "SELECT count(*), count(DISTINCT bytes_sent), sum(bytes_sent)::BIGINT FROM v_requests"
        )
        assert reader.execute(rows).fetchone() == (300, 300, 45_150)
        rejects = reader.execute("SELECT reason, raw FROM v_rejects").fetchall()
        assert rejects == [("format_mismatch", b"no json")]
        services = reader.execute("SELECT DISTINCT reporter, service FROM v_requests").fetchall()
        assert services == [("source", "cart.shop.svc.cluster.local")]


def wait_for_rows(directory: Path, count: int) -> None:
    """Until a reader in this process sees so many rows."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if (directory / "lake" / "catalog.sqlite").exists():
            try:
                with connect(directory / "lake") as reader:
                    found = reader.execute("SELECT count(*) FROM requests").fetchone()
            except Exception:  # noqa: BLE001 - the lake is just being made
                found = (0,)
            if found and found[0] >= count:
                return
        time.sleep(0.2)
    pytest.fail(f"no {count} rows: {(directory / 'up.log').read_text()}")
