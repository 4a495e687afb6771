"""
Telling Alertmanagers: what is open, what is over, and what happens when they are away.

The server here checks each alert as Alertmanager's own does, by api/v2/openapi.yaml:
`postableAlerts` and `validateAlert`. A real one was tried by hand (docs/how-to/findings.md).
"""

import json
import re
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.config import FindingsConfig
from pipeline.findings import alertmanager
from pipeline.findings.alertmanager import Alertmanager, alert, telling
from pipeline.lake import Commit, Lake
from pipeline.schema.findings import FINDINGS

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
FINDING = {
    "finding_id": 0xAB,
    "kind": "plaintext_edge",
    "severity": "warning",
    "entity": "east/shop/web -> west/shop/pay",
    "clusters": ["east", "west"],
    "summary": "3 of 13 calls",
    "action": "Require mTLS.",
    "evidence_sql": "FROM v_calls",
    "first_seen": NOON,
    "last_seen": NOON,
    "opened_time": NOON,
    "closed_time": None,
    "evaluations_missed": 0,
    "times_reopened": 0,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


class Peer:
    """An Alertmanager that is up, down (503) or slow."""

    def __init__(self) -> None:
        self.status, self.waits = 200, threading.Event()
        self.waits.set()
        self.posts: list[list[dict[str, Any]]] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                peer.waits.wait(60)
                status = peer.take(self.path, self.headers["Content-Type"], body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def take(self, path: str, content: str, body: bytes) -> int:
        """Status for one request; 400 where the specification would not have it."""
        if self.status != 200:
            return self.status
        alerts = json.loads(body)
        if (
            path != "/am/api/v2/alerts"
            or content != "application/json"
            or not all(map(valid, alerts))
        ):
            return 400
        self.posts.append(alerts)
        return 200


def valid(one: dict[str, Any]) -> bool:
    """Required labels, no empty names or values, times in order, text for text."""
    texts = one["labels"] | one["annotations"]
    return (
        set(one) <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
        and bool(one["labels"])
        and all(isinstance(value, str) and value for value in one["labels"].values())
        and all(isinstance(value, str) for value in texts.values())
        and all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in texts)
        and all(TIME.fullmatch(one[name]) for name in ("startsAt", "endsAt"))
        and one["startsAt"] <= one["endsAt"]
    )


@pytest.fixture
def peer() -> Generator[Peer]:
    one = Peer()
    yield one
    one.waits.set()
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def lake(tmp_path: Path) -> Generator[Lake]:
    with Lake(tmp_path / "lake") as opened:
        yield opened


@pytest.fixture
def told(peer: Peer, lake: Lake, tmp_path: Path) -> Generator[Alertmanager]:
    """What tells the peer of this lake; ``lake`` is open beside it."""
    del lake
    one = Alertmanager(peer.url + "/am/", tmp_path / "lake", FindingsConfig(resend_s=3_600))
    yield one
    one.close()


def put(lake: Lake, **more: object) -> None:
    frame = pl.DataFrame([FINDING | more], FINDINGS.schema)
    lake.commit(Commit({"findings": frame}, replaced={"findings": "finding_id"}))


def ends_in_s(one: dict[str, Any]) -> float:
    return (datetime.fromisoformat(one["endsAt"]) - datetime.now(UTC)).total_seconds()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_finding_as_an_alert():
    """Labels say which it is, annotations what to do; it ends four resends from now."""
    config = FindingsConfig(resend_s=60, generator_url="http://grafana/d/x?var-finding={id}")
    now = NOON + timedelta(minutes=5)
    assert alert(FINDING, now, config) == {
        "labels": {
            "alertname": "plaintext_edge",
            "kind": "plaintext_edge",
            "severity": "warning",
            "entity": "east/shop/web -> west/shop/pay",
            "cluster": "east,west",
        },
        "annotations": {
            "summary": "3 of 13 calls",
            "action": "Require mTLS.",
            "evidence": "FROM v_calls",
            "finding": "00000000000000ab",
        },
        "startsAt": "2026-11-26T12:00:00.000+00:00",
        "endsAt": "2026-11-26T12:09:00.000+00:00",
        "generatorURL": "http://grafana/d/x?var-finding=00000000000000ab",
    }
    bare = alert(FINDING | {"clusters": []}, now, FindingsConfig())
    assert "cluster" not in bare["labels"]
    assert "generatorURL" not in bare


def test_open_told_again_and_over(peer: Peer, lake: Lake, told: Alertmanager):
    """Told once while nothing changes; at once when it got worse, by both its names; and when it is over."""
    told.tell()
    assert peer.posts == []  # nothing was open
    put(lake)
    told.tell()
    told.tell()
    ((one,),) = peer.posts
    assert ends_in_s(one) > 14_000
    put(lake, severity="error")
    told.tell()
    before, now = peer.posts[1]
    assert (before["labels"]["severity"], now["labels"]["severity"]) == ("warning", "error")
    assert ends_in_s(before) <= 0 < ends_in_s(now)
    put(lake, severity="error", closed_time=NOON)
    told.tell()
    (over,) = peer.posts[2]
    assert ends_in_s(over) <= 0
    told.tell()
    assert len(peer.posts) == 3
    assert (told.sent, told.failed) == (4, 0)


def test_what_is_open_is_told_again_in_time(peer: Peer, lake: Lake, tmp_path: Path):
    """Alertmanager takes what it does not hear of for over: it hears of it every ``resend_s``."""
    put(lake)
    config = FindingsConfig(alertmanager_url=(peer.url + "/am",), resend_s=1)
    with telling(config, tmp_path / "lake"):
        until(lambda: len(peer.posts) >= 3)
    assert {post[0]["annotations"]["finding"] for post in peer.posts} == {"00000000000000ab"}


def test_an_alertmanager_that_was_down_is_told_how_things_stand(
    peer: Peer, lake: Lake, told: Alertmanager, caplog: pytest.LogCaptureFixture
):
    """Tries are counted and told once; what was over before it came back is told as over."""
    put(lake)
    told.tell()
    peer.status = 503
    put(lake, closed_time=NOON)
    for _ in range(3):
        told.tell()
    assert (told.sent, told.failed) == (1, 3)
    assert caplog.text.count("is not told: 503") == 1
    peer.status = 200
    told.tell()
    (over,) = peer.posts[1]
    assert ends_in_s(over) <= 0
    assert (told.sent, told.failed) == (2, 3)


def test_a_dead_and_a_slow_one_hold_up_nobody(
    peer: Peer, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One refuses, one never answers, one is well: that one is told, and leaving takes no longer than one try."""
    monkeypatch.setattr(alertmanager, "_TIMEOUT_S", 0.5)
    slow = Peer()
    slow.waits.clear()
    put(lake)
    urls = ("http://127.0.0.1:9", slow.url, peer.url + "/am")
    with telling(FindingsConfig(alertmanager_url=urls), tmp_path / "lake"):
        until(lambda: len(peer.posts) >= 1)
        lake.commit(Commit({}))  # the job goes on
    assert slow.posts == []
    assert len(peer.posts) == 2  # once more at the end
    slow.waits.set()
    slow.server.shutdown()
    slow.server.server_close()


def test_many_are_told_in_parts(peer: Peer, lake: Lake, told: Alertmanager):
    """A request has 256 alerts at most."""
    rows = [FINDING | {"finding_id": number, "entity": f"e{number}"} for number in range(300)]
    lake.commit(Commit({"findings": pl.DataFrame(rows, FINDINGS.schema)}))
    told.tell()
    assert [len(post) for post in peer.posts] == [256, 44]
    assert told.sent == 300
