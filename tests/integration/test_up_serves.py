"""`crosspane up` serves what it receives: SQL in PostgreSQL's protocol, and the pane."""

import contextlib
import socket
import time
import urllib.request
from pathlib import Path

import psycopg
from ports import free_ports
from running import AGENT, HASTY, up


def test_up_serves_its_lake_to_psql_and_browsers(tmp_path: Path):
    """Each by the address that is configured, while the job writes; neither outlives it."""
    sql, web = free_ports(2, socket.SOCK_STREAM)
    (udp,) = free_ports(1, socket.SOCK_DGRAM)
    head = HASTY.replace('web_listen = ""', f'web_listen = "127.0.0.1:{web}"')
    head = head.replace('\nlisten = ""', f'\nlisten = "127.0.0.1:{sql}"')
    (tmp_path / "crosspane.toml").write_text(
        f"""{head}
[[agents]]
name = "node-1"
cluster = "here"
network = "net-here"
{AGENT}
[[agents.inputs]]
type = "netflow"
listen = "127.0.0.1:{udp}"
"""
    )
    with up(tmp_path):
        limit = time.monotonic() + 120
        answers: list[object] = []
        while len(answers) < 2:
            assert time.monotonic() < limit, (tmp_path / "up.log").read_text()
            time.sleep(0.2)
            with contextlib.suppress(OSError, psycopg.OperationalError):
                answers = [_asked(sql), _page(web)]
    assert answers == [(0,), True]
    for port in (sql, web):
        with socket.socket() as tried:
            assert tried.connect_ex(("127.0.0.1", port)) != 0


def _asked(port: int) -> tuple[int, ...] | None:
    address = f"host=127.0.0.1 port={port} user=crosspane dbname=crosspane"
    with psycopg.connect(address) as client:
        return client.execute("SELECT count(*) FROM v_edges").fetchone()


def _page(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        return b"crosspane" in answer.read()
