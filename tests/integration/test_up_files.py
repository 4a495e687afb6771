"""`crosspane up` follows access logs that grow and rotate."""

import json
from pathlib import Path

import pytest
from running import AGENT, HASTY, up, wait_for

from pipeline.lake import connect

CONFIG = f"""{HASTY}
[[agents]]
name = "node-1"
cluster = "here"
network = "loopback"
{AGENT}
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
    with up(tmp_path):
        wait_for(tmp_path, "FROM requests", lambda rows: len(rows) >= 100)
        with access.open("a") as file:
            file.write("".join(line(number) for number in range(101, 201)) + "no json\n")
        access.rename(tmp_path / "proxy" / "access.log.1")
        access.write_text("".join(line(number) for number in range(201, 301)))
        wait_for(tmp_path, "FROM requests", lambda rows: len(rows) >= 300)
    with connect(tmp_path / "lake") as reader:
        rows = (
            "SELECT count(*), count(DISTINCT bytes_sent), sum(bytes_sent)::BIGINT FROM v_requests"
        )
        assert reader.execute(rows).fetchone() == (300, 300, 45_150)
        rejects = reader.execute("SELECT reason, raw FROM v_rejects").fetchall()
        assert rejects == [("format_mismatch", b"no json")]
        services = reader.execute("SELECT DISTINCT reporter, service FROM v_requests").fetchall()
        assert services == [("source", "cart.shop.svc.cluster.local")]
