"""What changed between the minute before noon and the minute after, each case with its rows."""

from datetime import timedelta
from pathlib import Path

import pytest
from small_lake import emptied
from three_clusters import EDGE, GATEWAY, NOON, ThreeClusters

from pipeline.topology import THRESHOLDS, diff, graph

MINUTE = timedelta(minutes=1)
BEFORE, AFTER = -60, 0
FRONTEND, CART, REVIEWS = "east/shop/frontend", "east/data/cart", "west/shop/reviews"
TELEMETRY = "edge/shop/telemetry"


@pytest.fixture
def world(tmp_path: Path) -> ThreeClusters:
    return ThreeClusters(emptied(), tmp_path)


def changes(world: ThreeClusters, level: str = "workload", *more: str) -> list[tuple]:
    """Rows of the difference."""
    connection = world.lake.connection
    before = graph(connection, level, NOON - MINUTE, NOON)
    after = graph(connection, level, NOON, NOON + MINUTE)
    columns = ("change", "source", "target", "measure", "before", "after")
    return diff(before, after).select(*columns, *more).rows()


def test_what_stays_is_no_change(world: ThreeClusters):
    """Below every threshold: 2 more failures, 9 ms slower, twice less one the calls."""
    world.calls("frontend", "cart", 40, at_s=BEFORE, duration_ms=10.0)
    world.calls("frontend", "cart", 77, at_s=AFTER, duration_ms=19.0)
    world.calls("frontend", "cart", 2, at_s=AFTER, duration_ms=19.0, status=503)
    assert changes(world) == []


def test_a_pair_appears_and_a_pair_vanishes(world: ThreeClusters):
    """Five calls, or five flow records, are enough; four are not."""
    world.calls("frontend", "cart", 5, at_s=BEFORE)
    world.calls("cart", "frontend", 4, at_s=BEFORE)
    world.calls("frontend", "reviews", 5, at_s=AFTER, via=GATEWAY, service="reviews.shop")
    figures = ("requests_before", "requests_after")
    assert changes(world, "workload", *figures) == [
        ("vanished", FRONTEND, CART, "edge", "local", None, 5, None),
        ("appeared", FRONTEND, REVIEWS, "edge", None, "gateway west-gw", None, 5),
    ]


def test_flows_appear_and_vanish(world: ThreeClusters):
    """Where no proxy logs, records of flows say it, one direction each."""
    for n in range(5):
        world.flow("frontend", "cart", 100, at_s=BEFORE + n)
        world.flow("10.77.0.1", "cart", 200, at_s=AFTER + n)
    assert changes(world, "workload", "bytes_before", "bytes_after") == [
        ("vanished", FRONTEND, CART, "edge", "local", None, 500.0, None),
        ("appeared", "unknown in net-a", CART, "edge", None, "unknown", None, 1_000.0),
    ]


def test_what_nobody_could_have_seen_did_not_vanish(world: ThreeClusters):
    """Edge's agents fell silent, so its calls are unobserved; east's told of others."""
    world.calls("telemetry", "reviews", 5, at_s=BEFORE, vantage=EDGE)
    world.calls("frontend", "cart", 5, at_s=AFTER)
    assert changes(world) == [
        ("unobserved", FRONTEND, CART, "edge", None, "local"),
        ("unobserved", TELEMETRY, REVIEWS, "edge", "flat", None),
    ]


def test_calls_that_nobody_tells_of_any_more(world: ThreeClusters):
    """Flows go on, so the pair is there; its proxies are silent, so nothing is said of errors."""
    world.calls("frontend", "cart", 30, at_s=BEFORE)
    world.flow("frontend", "cart", 100, at_s=BEFORE)
    world.flow("frontend", "cart", 100, at_s=AFTER)
    assert changes(world) == [("unobserved", FRONTEND, CART, "requests", "30", None)]


@pytest.mark.parametrize(("first", "second", "change"), [(0, 3, "degraded"), (3, 0, "recovered")])
def test_error_shares(world: ThreeClusters, first: int, second: int, change: str):
    """Three failures of 30 calls, where there were none; and back."""
    for at_s, failed in ((BEFORE, first), (AFTER, second)):
        world.calls("frontend", "cart", failed, at_s=at_s, status=503)
        world.calls("frontend", "cart", 30 - failed, at_s=at_s + 10)
    shares = {0: "0.0", 3: "0.1"}
    assert changes(world, "workload", "errors_before", "errors_after") == [
        (change, FRONTEND, CART, "error_share", shares[first], shares[second], first, second)
    ]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (20.0, 30.0, [("degraded", FRONTEND, CART, "p95_ms", "20.094", "30.214")]),
        (30.0, 20.0, [("recovered", FRONTEND, CART, "p95_ms", "30.214", "20.094")]),
        (4.0, 13.0, []),
        (200.0, 280.0, []),
    ],
)
def test_durations(world: ThreeClusters, first: float, second: float, found: list):
    """Half as long again and 10 ms: both, of histograms (3 % off at most); three times 4 ms is no matter, nor 80 ms of 200."""
    world.calls("frontend", "cart", 20, at_s=BEFORE, duration_ms=first)
    world.calls("frontend", "cart", 20, at_s=AFTER, duration_ms=second)
    assert changes(world) == found


@pytest.mark.parametrize(
    ("packets", "again", "dropped", "found"),
    [
        (1_000, 20, 5, [("degraded", FRONTEND, CART, "retransmit_share", "0.0", "0.02")]),
        (1_000, 9, 10, [("degraded", FRONTEND, CART, "drop_share", "0.0", "0.01")]),
        (999, 300, 300, []),
    ],
)
def test_losses(world: ThreeClusters, packets: int, again: int, dropped: int, found: list):
    """One packet of a hundred more is sent again, or dropped: of a thousand, not of fewer."""
    told = {"packets": packets, "retransmitted_packets": again, "dropped_packets": dropped}
    before = {"packets": 1_000, "retransmitted_packets": 0, "dropped_packets": 0}
    world.flow("frontend", "cart", 500, at_s=BEFORE, **before)
    world.flow("frontend", "cart", 500, at_s=AFTER, **told)
    assert changes(world) == found


def test_a_path_moves_from_flat_to_gateway(world: ThreeClusters):
    """By what most calls took: at workloads, and at any level above."""
    world.calls("frontend", "reviews", 20, at_s=BEFORE)
    world.calls("frontend", "reviews", 3, at_s=BEFORE, via=GATEWAY, service="reviews.shop")
    world.calls("frontend", "reviews", 20, at_s=AFTER, via=GATEWAY, service="reviews.shop")
    moved = ("path", "flat", "gateway west-gw")
    assert changes(world) == [("moved", FRONTEND, REVIEWS, *moved)]
    assert changes(world, "provider") == [("moved", "aws", "gcp", *moved)]


def test_a_path_moves_to_another_gateway(world: ThreeClusters):
    """Both lead to one network; the name says which."""
    second = {"network": "net-a", "gateway_ip": "203.0.113.21", "port": 15443, "cluster": "west"}
    world.lake.add("gateways", second | {"to_network": "net-b", "name": "new-gw"})
    world.calls("frontend", "reviews", 20, at_s=BEFORE, via=GATEWAY, service="reviews.shop")
    world.calls("frontend", "reviews", 20, at_s=AFTER, via="203.0.113.21", service="reviews.shop")
    assert changes(world) == [
        ("moved", FRONTEND, REVIEWS, "path", "gateway west-gw", "gateway new-gw")
    ]


@pytest.mark.parametrize(
    ("first", "second", "change"), [(20, 17, "plaintext"), (17, 20, "encrypted")]
)
def test_tls_comes_and_goes(world: ThreeClusters, first: int, second: int, change: str):
    """Three of 20 calls in plaintext, where there were none; and back."""
    for at_s, over_tls in ((BEFORE, first), (AFTER, second)):
        world.calls("frontend", "cart", over_tls, at_s=at_s)
        world.calls("frontend", "cart", 20 - over_tls, at_s=at_s + 10, upstream_tls=None)
    shares = {20: "1.0", 17: "0.85"}
    assert changes(world) == [(change, FRONTEND, CART, "tls_share", shares[first], shares[second])]


def test_traffic_goes_up_and_down(world: ThreeClusters):
    """Twice the calls a second; of octets only where there are no calls."""
    world.calls("frontend", "cart", 12, at_s=BEFORE)
    world.calls("frontend", "cart", 24, at_s=AFTER)
    world.calls("cart", "frontend", 60, at_s=BEFORE)
    world.calls("cart", "frontend", 6, at_s=AFTER)
    for src, dst, first, second in (
        ("telemetry", "10.77.0.1", 60_000, 120_000),
        ("telemetry", "frontend", 40_000, 90_000),
        ("frontend", "cart", 100_000, 900_000),
    ):
        world.flow(src, dst, first, at_s=BEFORE)
        world.flow(src, dst, second, at_s=AFTER)
    assert changes(world) == [
        ("less", CART, FRONTEND, "requests_per_s", "1.0", "0.1"),
        ("more", FRONTEND, CART, "requests_per_s", "0.2", "0.4"),
        ("more", TELEMETRY, "unknown in net-a", "bytes_per_s", "1000.0", "2000.0"),
    ]


def test_spans_of_other_lengths_are_compared_by_rate(world: ThreeClusters):
    """Twenty calls in a minute, then forty in two, are the same traffic."""
    world.calls("frontend", "cart", 20, at_s=BEFORE)
    world.calls("frontend", "cart", 40, at_s=AFTER)
    connection = world.lake.connection
    before = graph(connection, "workload", NOON - MINUTE, NOON)
    assert diff(before, graph(connection, "workload", NOON, NOON + 2 * MINUTE)).rows() == []


def test_thresholds_can_be_others(world: ThreeClusters):
    """The same two graphs, more strictly."""
    world.calls("frontend", "cart", 4, at_s=BEFORE)
    world.calls("cart", "frontend", 9, at_s=AFTER)
    connection = world.lake.connection
    graphs = [
        graph(connection, "workload", NOON + n * MINUTE, NOON + (n + 1) * MINUTE) for n in (-1, 0)
    ]
    strict = THRESHOLDS._replace(seen=4)
    assert diff(*graphs)["change"].to_list() == ["appeared"]
    assert diff(*graphs, strict)["change"].to_list() == ["vanished", "appeared"]


def test_the_worst_comes_first(world: ThreeClusters):
    """Failures, what is gone, lost TLS and moves, before what is new and good news."""
    world.calls("frontend", "cart", 30, at_s=BEFORE)
    world.calls("frontend", "cart", 30, at_s=AFTER, status=503, upstream_tls=None)
    world.calls("cart", "frontend", 9, at_s=BEFORE)
    world.calls("frontend", "reviews", 9, at_s=AFTER)
    found = [(row[0], row[3]) for row in changes(world)]
    assert found == [
        *(("degraded", "error_share"), ("vanished", "edge")),
        *(("plaintext", "tls_share"), ("appeared", "edge")),
    ]
