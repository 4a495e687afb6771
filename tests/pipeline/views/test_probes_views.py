"""Views of probes: literal answers for rows written by hand, and for results of an agent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scraped import EPOCH_S, Pane
from small_lake import SmallLake, emptied

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
INVENTORY = """
networks = [{name = "net-east", model = "gateway"}, {name = "net-west", model = "gateway"}]
clusters = [{name = "cluster-east", provider = "aws", region = "us-east-1", network = "net-east"}]
endpoints = [{ip = "10.0.0.7", network = "net-east", kind = "pod", cluster = "cluster-east", namespace = "shop", workload = "reviews"}]
"""
VANTAGES = [
    {"vantage_id": 1, "agent": "node-1", "cluster": "cluster-east", "network": "net-east"},
    {"vantage_id": 2, "agent": "node-9", "cluster": "cluster-west", "network": "net-west"},
]
TARGET = {"vantage_id": 1, "target": "reviews", "kind": "tls", "address": "10.0.0.7:443"}


@pytest.fixture
def lake() -> SmallLake:
    made = emptied()
    made.add("vantages", *VANTAGES)
    return made


def row(after_s: float, outcome: str = "ok", **columns: Any) -> dict[str, Any]:
    at = NOON + timedelta(seconds=after_s)
    return TARGET | {"start_time": at, "received_time": at, "outcome": outcome} | columns


def test_a_minute_of_a_target_from_an_agent(lake: SmallLake):
    """Five tries in a minute, two lost; durations are of the three that were ok; the next minute is another row."""
    lake.add(
        "probes",
        row(0, total_ms=10.0, connect_ms=1.0),
        row(10, "timeout", total_ms=3_000.0, error="no end"),
        row(20, total_ms=30.0, connect_ms=3.0),
        row(30, total_ms=20.0, connect_ms=2.0),
        row(59.9, "refused", total_ms=0.5, error="nobody there"),
        row(60, total_ms=40.0, connect_ms=4.0),
        row(0, "timeout", vantage_id=2, total_ms=1.0, error="not connected"),
    )
    figures = "attempts, losses, loss_ratio, last_outcome, last_error, total_p50_ms, total_p95_ms, total_max_ms, connect_p50_ms, connect_max_ms"
    assert lake.read(
        f"SELECT minute, agent, target, {figures} FROM v_probe_health ORDER BY minute, agent"
    ) == [
        (NOON, "node-1", "reviews", 5, 2, 0.4, "refused", "nobody there", 20.0, 29.0, 30.0, 2.0, 3.0),
        (NOON, "node-9", "reviews", 1, 1, 1.0, "timeout", "not connected", None, None, None, None, None),
        (NOON + timedelta(minutes=1), "node-1", "reviews", 1, 0, 0.0, "ok", None, 40.0, 40.0, 40.0, 4.0, 4.0),
    ]  # fmt: skip
    assert lake.read("SELECT outcomes FROM v_probe_health ORDER BY minute, agent LIMIT 1") == [
        ({"ok": 3, "refused": 1, "timeout": 1},)
    ]


def shown(sha: str, begins_d: float, ends_d: float) -> dict[str, Any]:
    return {
        "certificate_sha256": sha,
        "certificate_not_before": NOON + timedelta(days=begins_d),
        "certificate_not_after": NOON + timedelta(days=ends_d),
    }


def test_certificates_that_end(lake: SmallLake):
    """What each address showed last; a week before its end, or in the last quarter of a short life, it is late."""
    lake.add(
        "probes",
        row(-60, target="web", peer_ip="10.0.0.1", peer_port=443, vantage_id=2, **shown("old", -90, 1)),
        row(0, target="web", peer_ip="10.0.0.1", peer_port=443, vantage_id=2, **shown("new", 0, 90)),
        row(0, target="web", peer_ip="10.0.0.2", peer_port=443, vantage_id=2, **shown("late", -84, 6)),
        row(0, "certificate_expired", peer_ip="10.0.0.3", peer_port=443, **shown("gone", -90, -0.5)),
        row(0, peer_ip="10.0.0.4", peer_port=443, **shown("day", -0.5, 0.5)),
        row(0, peer_ip="10.0.0.5", peer_port=443, **shown("quarter", -0.8, 0.2)),
        row(-86_401, peer_ip="10.0.0.6", peer_port=443, **shown("no more", -90, 90)),
        row(0, "refused"),
    )  # fmt: skip
    assert lake.read(
        "SELECT agent, target, peer_ip, certificate_sha256, state, round(days_left, 3), outcome"
        " FROM v_probe_certificates ORDER BY peer_ip"
    ) == [
        ("node-9", "web", "10.0.0.1", "new", "ok", 90.0, "ok"),
        ("node-9", "web", "10.0.0.2", "late", "expiring", 6.0, "ok"),
        ("node-1", "reviews", "10.0.0.3", "gone", "expired", -0.5, "certificate_expired"),
        ("node-1", "reviews", "10.0.0.4", "day", "ok", 0.5, "ok"),
        ("node-1", "reviews", "10.0.0.5", "quarter", "expiring", 0.2, "ok"),
    ]
    assert lake.read(
        "SELECT round(certificate_days_left, 3) FROM v_probe_health WHERE target = 'reviews' ORDER BY minute DESC LIMIT 1"
    ) == [(-0.5,)]


LATE = {"peer_ip": "10.0.0.9", "peer_port": 443}


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        ([row(at) for at in range(5)], ("healthy", [], 0.0)),
        (
            [row(at) for at in range(99)] + [row(99, "timeout", error="not connected")],
            ("degraded", ["1 of 100 tries lost: timeout, not connected"], 0.01),
        ),
        (
            [row(at) for at in range(3)] + [row(3, "refused"), row(4)],
            ("degraded", ["1 of 5 tries lost: refused"], 0.2),
        ),
        (
            [row(at, "reset", error="cut") for at in (0, 1)] + [row(at) for at in (2, 3, 4)],
            ("failing", ["2 of 5 tries lost: reset, cut"], 0.4),
        ),
        ([row(at, "reset") for at in range(4)], ("unknown", ["only 4 tries", "4 of 4 tries lost: reset"], 1.0)),
        # What was two minutes ago is over; of a target that is seldom tried the last five count.
        ([row(at, "reset") for at in range(9)] + [row(200 + at) for at in range(5)], ("healthy", [], 0.0)),
        ([row(at * 600) for at in range(4)] + [row(2_400, "reset")], ("degraded", ["1 of 5 tries lost: reset"], 0.2)),
        (
            [row(at, **LATE, **shown("a", -90, 3)) for at in range(5)],
            ("degraded", ["certificate expires in 3.0 days"], 0.0),
        ),
        (
            [row(at, "certificate_expired", **LATE, **shown("a", -90, -2)) for at in range(5)],
            ("failing", ["5 of 5 tries lost: certificate_expired", "certificate expired 2.0 days ago"], 1.0),
        ),
    ],
)  # fmt: skip
def test_how_a_target_does_now(
    lake: SmallLake, tries: list[dict[str, Any]], expected: tuple[object, ...]
):
    """By its tries of the last two minutes, or the last five if those are more."""
    lake.add("probes", *tries)
    assert lake.read("SELECT state, reasons, loss_ratio FROM v_probe_targets") == [expected]


def test_probes_are_part_of_health(lake: SmallLake):
    """Beside services and gateways: the same state and reasons."""
    lake.add("probes", *(row(at, "reset", error="cut") for at in range(5)))
    assert lake.read("SELECT entity_kind, entity, state, reasons, error_share FROM v_health") == [
        ("probe", "cluster-east/node-1 -> reviews", "failing", ["5 of 5 tries lost: reset, cut"], 1.0)
    ]  # fmt: skip


def test_a_probe_has_the_name_of_whom_it_reached(lake: SmallLake, tmp_path: Path):
    """By the address that was tried, in the agent's network."""
    lake.inventory(tmp_path, INVENTORY)
    ((endpoint,),) = lake.read("SELECT endpoint_id FROM endpoints")
    lake.add(
        "probes",
        row(0, peer_ip="10.0.0.7", peer_port=443, peer_endpoint_id=endpoint, peer_resolution="resolved"),
        row(1, "name_unknown", peer_resolution="unknown"),
    )  # fmt: skip
    assert lake.read(
        "SELECT outcome, observer_cluster, network, agent, peer_entity, peer_ip, peer_port FROM v_probes ORDER BY start_time"
    ) == [
        ("ok", "cluster-east", "net-east", "node-1", "cluster-east/shop/reviews", "10.0.0.7", 443),
        ("name_unknown", "cluster-east", "net-east", "node-1", None, None, None),
    ]


def test_results_of_an_agent_reach_the_views():
    """Through decoder, stages and tables: two agents' worth of tries of one target are told apart by time."""
    result = {"target": "web", "kind": "tcp", "address": "10.0.0.1:80", "attempt": 1}
    pane = Pane()
    pane.add(
        "probe",
        *(
            ("web", at, msgspec.json.encode(result | {"outcome": outcome, "start_ns": (EPOCH_S + at) * 10**9}))
            for at, outcome in ((0, "ok"), (1, "refused"), (60, "ok"))
        ),
    )  # fmt: skip
    assert pane.rows(
        "SELECT epoch(minute) - 1795719600, agent, target, attempts, losses FROM v_probe_health ORDER BY 1"
    ) == [(0.0, "node-1", "web", 2, 1), (60.0, "node-1", "web", 1, 0)]
