"""
Every dashboard opened by a double of Grafana, over PostgreSQL's protocol, on the demo's lake.

The server is the real one; the lake is what `crosspane demo` makes, in which
one service answers nothing, two networks overlap and a policy denies. Panels
without rows there are named below, so that a filter which lets nothing through
is noticed.
"""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest
from grafana import Grafana, firing, panels_of
from libpq import Connection
from psycopg import pq

from dashboards.alerts import ALERTS
from dashboards.boards import BOARDS
from dashboards.build.alerts import Alert
from dashboards.frames import Frame
from pipeline.config import ServeConfig
from pipeline.serve.engine import Engine
from pipeline.serve.pgwire.server import Server

FROM = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
TO = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
"""The recording's time."""

EMPTY = {
    "service": {"What was refused, by which policy", "Whom it calls"},
    "clusters": {
        "How long that takes",
        "Probes: who is reached from where",
        "Proxies that do not follow",
        "Whom each serves, and which clusters it knows",
    },
    "flows": {"Translated addresses", "Sent again, and dropped, between clusters"},
    "security": {"Across trust domains", "Certificates", "Not encrypted from end to end"},
    "ipspace": {"Addresses that talk and have no owner"},
    "pipeline": {
        "Dropped before the log, by reason",
        "Rejects by reason",
        "Rows named again",
        "Silent sources",
        "Addresses with a name, by what told of them, last hour",  # it ends days later
        "What could not be decoded",
    },
}
"""Panels that have no rows in the demo: nothing of their kind was recorded."""

Ask = Callable[[str], pa.Table]


@pytest.fixture(scope="module")
def connection(demo: tuple[Path, str]) -> Generator[Connection]:
    """A connection to the SQL server over the demo's lake, without a password: this machine's."""
    engine = Engine(demo[0] / "lake", ServeConfig())
    server = Server(engine, ServeConfig(), "127.0.0.1:0")
    connection = Connection(*server.address, "crosspane")
    yield connection
    connection.close()
    server.close()
    engine.close()


@pytest.fixture(scope="module")
def ask(connection: Connection) -> Ask:
    """Each query once, whatever dashboards have it."""
    return cache(connection.ask)


def opened(board: str, ask: Ask, **given: str | list[str]) -> Grafana:
    """A dashboard over the recording; how the pipeline does, over the days it was taken in."""
    (made,) = [each for each in BOARDS if each.name == board]
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = today + timedelta(days=2) if board == "pipeline" else TO
    return Grafana(made.json(), ask, FROM, until, given)


def rows(frames: list[Frame]) -> int:
    return sum(len(frame.fields[0].values) for frame in frames if frame.fields)


def test_health_checks_are_answered(connection: Connection):
    """A pool asks these before anything else: an empty query, by either driver's habit."""
    assert connection.ping(b"-- ping") == pq.ExecStatus.EMPTY_QUERY
    assert connection.ping(b";") == pq.ExecStatus.EMPTY_QUERY
    assert connection.ping(b"SET x = 1") != pq.ExecStatus.BAD_RESPONSE


@pytest.mark.parametrize("board", [board.name for board in BOARDS])
def test_every_panel_of_a_dashboard_is_answered(ask: Ask, board: str):
    """Variables, panels and annotations make frames that Grafana takes; those named are empty."""
    grafana = opened(board, ask)
    answers = [
        (panel, grafana.panel(panel)) for panel in panels_of(grafana.board) if panel.get("targets")
    ]
    empty = {panel["title"] for panel, frames in answers if not rows(frames)}
    assert empty == EMPTY.get(board, set())
    strays = {panel["title"]: grafana.strays(panel, frames) for panel, frames in answers}
    assert {title: names for title, names in strays.items() if names} == {}
    notes = {name: rows([frame]) for name, frame in grafana.annotations()}
    assert notes.keys() == {"Findings", "Deployments and configuration", "Topology changes"}
    assert notes["Findings"] > 0


def test_a_choice_reaches_every_panel(ask: Ask):
    """Only what has to do with the cluster is left; choices after it are asked within it."""
    grafana = opened("security", ask, cluster=["cluster-edge"])
    assert grafana.options["cluster"] == [
        "cluster-east", "cluster-edge", "cluster-onprem", "cluster-west",
    ]  # fmt: skip
    (left,) = [
        grafana.panel(panel)[0] for panel in panels_of(grafana.board) if panel["title"] == "Egress"
    ]
    assert set(left.field("from").values.to_pylist()) == {"cluster-edge"}  # type: ignore[union-attr]
    one = opened("security", ask, cloud=["azure"])
    assert one.options["region"] == ["westeurope"]
    assert one.options["cluster"] == ["cluster-edge"]


FIRES: dict[str, list[dict[str, str]]] = {
    "edge_errors": [
        {"client": "cluster-east/shop/frontend", "server": "cluster-east/shop/cart"},
        {"client": "cluster-east/shop/frontend", "server": "cluster-west/shop/recommendations"},
    ],
    "denials_spike": [{"server": "cluster-onprem/shop/billing"}],
    "address_overlap": [
        {
            "problem": "observed conflict",
            "one": "net-flat cluster-edge vm 10.20.0.50/32 legacy-vm",
            "other": "net-flat cluster-onprem pod 10.20.0.50/32 shop/batch-0",
        }
    ],
}
"""What fires at the end of the recording: 24 of 474 calls of cart failed, which is 5.06 %."""


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_fire_for_what_was_recorded(ask: Ask, alert: Alert):
    """A rule's query makes a series for each that may fire, and those over the threshold do."""
    assert firing(alert, ask, TO) == FIRES.get(alert.name, [])
