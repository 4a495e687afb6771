"""How a minute is judged: by thresholds, by what was usual, and what is silent. Worked by hand."""

from datetime import timedelta

import pytest
from edge_rows import (
    NINETY_MS,
    NOON,
    TEN_MS,
    THIRTY_MS,
    TWO_MS,
    before,
    edge,
    failed,
    history,
    judged,
)

WEB, CART, PAY = "east/shop/web", "east/shop/cart", "west/shop/pay"
DAY, HOUR, TEN = timedelta(days=1), timedelta(hours=1), timedelta(minutes=10)


@pytest.mark.parametrize(
    ("requests", "errors", "state", "score", "reasons"),
    [
        (4, 4, "unknown", None, ["only 4 calls"]),
        (100, 0, "healthy", 1.0, []),
        (1_000, 9, "healthy", 0.964, []),
        (100, 1, "degraded", 0.96, ["1.0% errors"]),
        (100, 24, "degraded", 0.04, ["24.0% errors"]),
        (100, 25, "failing", 0.0, ["25.0% errors"]),
        (100, 90, "failing", 0.0, ["90.0% errors"]),
    ],
)
def test_errors_by_thresholds(requests, errors, state, score, reasons):
    """One in a hundred is degraded, one in four failing; fewer than five calls say nothing."""
    row = judged(edge(WEB, CART, requests, errors=errors))["service", CART]
    assert (row["state"], row["score"], row["reasons"]) == (state, score, reasons)


def test_an_edge_is_of_everything_it_concerns():
    """Service, workload, edge, gateway, cluster and the link between two clouds, with their figures."""
    rows = judged(
        edge(WEB, PAY, 60, gateway="way", both_timed=60, on_the_way_ns=180_000_000),
        edge(WEB, CART, 40, TEN_MS),
    )
    assert {
        key: (row["requests"], row["cluster"], row["network"]) for key, row in rows.items()
    } == {
        ("cloud_link", "aws/us-east-1 -> gcp/us-west1"): (60, "west", "net-west"),
        ("cluster", "east"): (40, "east", "net-east"),
        ("cluster", "west"): (60, "west", "net-west"),
        ("edge", f"{WEB} -> {CART}"): (40, "east", "net-east"),
        ("edge", f"{WEB} -> {PAY}"): (60, "west", "net-west"),
        ("gateway", "way"): (60, "west", "net-west"),
        ("service", CART): (40, "east", "net-east"),
        ("service", PAY): (60, "west", "net-west"),
        ("workload", WEB): (100, "east", "net-east"),
    }
    # Of a hundred calls 60 took 1.95 ms: the 50th and 51st are of those, the 95th is not.
    web = rows["workload", WEB]
    assert (web["p50_ms"], web["p95_ms"]) == (pytest.approx(1.9536, abs=1e-4), pytest.approx(9.9861, abs=1e-4))  # fmt: skip
    assert (rows["gateway", "way"]["p50_ms"], rows["gateway", "way"]["p95_ms"]) == (3.0, None)


def test_a_gateway_fails_for_what_no_server_saw():
    """Errors of the server behind it are not the gateway's."""
    rows = judged(edge(WEB, PAY, 100, gateway="way", errors=60, unserved_errors=0))
    assert (rows["service", PAY]["state"], rows["gateway", "way"]["state"]) == (
        "failing",
        "healthy",
    )
    rows = judged(edge(WEB, PAY, 100, gateway="way", errors=60, unserved_errors=60))
    assert rows["gateway", "way"]["reasons"] == ["60.0% errors"]


def test_a_client_nobody_knows_has_an_edge():
    """As `v_health` calls it; it is no workload."""
    rows = judged(edge(None, CART, 10))
    assert set(rows) == {("service", CART), ("edge", f"unknown -> {CART}"), ("cluster", "east")}


def test_a_slow_tail():
    """A p95 over 100 ms, and over ten times the median."""
    slow = [{"bucket": TWO_MS, "calls": 90}, {"bucket": 100, "calls": 10}]  # 329 ms
    row = judged(edge(WEB, CART, 100, durations=slow))["service", CART]
    assert (row["state"], row["score"]) == ("degraded", 0.75)
    assert row["reasons"] == ["p95 329 ms is 169 times the median"]


def hours(bucket: int, *numbers: int, requests: int = 6_000, **more: object) -> list[dict]:
    """Hours before noon, alike."""
    return [
        edge(WEB, CART, requests, bucket, bucket_start=NOON - n * HOUR, **more) for n in numbers
    ]


def test_the_same_hour_of_earlier_days_tells_best():
    """Three days are enough; with two, three hours before are; with two of those, an hour of tens."""
    days = [edge(WEB, CART, 600, TEN_MS, bucket_start=NOON - n * DAY) for n in (1, 2, 3)]
    tens = [edge(WEB, CART, 100, THIRTY_MS, bucket_start=NOON - n * TEN) for n in range(1, 7)]

    def told(**edges: list[dict]):
        row = judged(edge(WEB, CART, 10), usually=history(**edges))["service", CART]
        rounded = row["usual_p50_ms"] and round(row["usual_p50_ms"], 2)
        return row["basis"], row["buckets"], row["usual_requests"], rounded

    three = hours(TWO_MS, 1, 2, 3)
    assert told(days=days, hours=three, tens=tens) == ("days", 3, 10.0, 9.99)
    assert told(days=days[:2], hours=three, tens=tens) == ("hours", 3, 100.0, 1.95)
    assert told(days=days[:2], hours=three[:2], tens=tens) == ("tens", 6, 10.0, 32.03)
    assert told(days=days[:2], hours=three[:2], tens=tens[:5]) == (None, 5, None, None)
    assert told() == (None, None, None, None)
    quiet = hours(TWO_MS, 1, 2, 3, requests=19)  # too few to tell a usual time
    assert told(hours=quiet) == (None, 0, None, None)


def test_slower_than_usual():
    """By a half, by ten milliseconds, and by more than it spreads; of twenty timed calls."""
    steady = history(hours=hours(TEN_MS, 1, 2, 3, 4))
    row = judged(edge(WEB, CART, 20, THIRTY_MS), usually=steady)["service", CART]
    assert (row["state"], row["regressed"]) == ("degraded", ["latency"])
    assert row["reasons"] == ["median 32 ms, usually 10.0 ms (4 hours before)"]
    assert row["score"] == 0.312  # 9.99 of 32.0
    few = judged(edge(WEB, CART, 19, THIRTY_MS), usually=steady)["service", CART]
    assert (few["state"], few["regressed"]) == ("healthy", [])
    # 47 is told as 15.0: half as long again, but five milliseconds are nothing.
    assert judged(edge(WEB, CART, 50, 47), usually=steady)["service", CART]["regressed"] == []
    # 1.95, 9.99, 32.0, 91.4: median 21.0, MAD (11.0 + 19.1) / 2 = 15.0, spread 22.3: usual up to 110.
    wild = history(hours=[row for b, n in ((TWO_MS, 1), (TEN_MS, 2), (THIRTY_MS, 3), (NINETY_MS, 4)) for row in hours(b, n)])  # fmt: skip
    assert judged(edge(WEB, CART, 50, NINETY_MS), usually=wild)["service", CART]["regressed"] == []
    assert judged(edge(WEB, CART, 50, 90), usually=wild)["service", CART]["regressed"] == [
        "latency"
    ]


def test_one_bad_hour_does_not_become_usual():
    """The median of what was; its spread does not move either."""
    one_bad = history(hours=[*hours(TEN_MS, 1, 2, 3, 4), *hours(NINETY_MS, 5)])
    row = judged(edge(WEB, CART, 50, NINETY_MS), usually=one_bad)["service", CART]
    assert row["reasons"] == ["median 91 ms, usually 10.0 ms (5 hours before)"]


def test_more_errors_than_usual():
    """Twice as many, half a percent more, and three at least; what always fails so is as usual."""
    usual_share = history(hours=hours(TWO_MS, 1, 2, 3, errors=6))  # 0.1 %

    def told(requests, errors, usually=usual_share):
        row = judged(edge(WEB, CART, requests, errors=errors), usually=usually)["service", CART]
        return row["state"], row["reasons"], row["regressed"]

    more = "0.8% errors, usually 0.1% (3 hours before)"
    assert told(1_000, 8) == ("degraded", [more], ["errors"])
    assert told(1_000, 5) == ("healthy", [], [])
    assert told(200, 2) == ("degraded", ["1.0% errors"], [])
    always = history(hours=hours(TWO_MS, 1, 2, 3, errors=300))  # 5 %
    assert told(1_000, 60, always) == ("degraded", ["6.0% errors"], [])


def test_traffic_that_vanished():
    """Steady until now, and hardly any; once it was not steady, or not much, it is only silent."""
    usual_traffic = history(hours=hours(TWO_MS, 1, 2, 3, requests=7_200))
    other = edge(WEB, PAY, 100)  # east's proxies tell of others
    was = before(edge(WEB, CART, 1))

    def told(*edges: dict, earlier=was, usually=usual_traffic):
        row = judged(other, *edges, earlier=earlier, usually=usually)["edge", f"{WEB} -> {CART}"]
        return row["state"], row["reasons"], row["regressed"], row["score"]

    gone = "traffic vanished: 0 calls, usually 120 a minute (3 hours before)"
    assert told() == ("degraded", [gone], ["traffic"], 0.25)
    hardly = gone.replace("0 calls", "12 calls", 1)
    assert told(edge(WEB, CART, 12)) == ("degraded", [hardly], ["traffic"], 0.25)
    assert told(edge(WEB, CART, 13)) == ("healthy", [], [], 1.0)
    silent = ("unknown", ["no calls for 1 minutes"], [], None)
    seldom = before(edge(WEB, CART, 1), minutes=9)
    assert told(earlier=seldom) == silent
    little = history(hours=hours(TWO_MS, 1, 2, 3, requests=540))  # nine a minute
    assert told(usually=little) == silent
    assert told(usually=history()) == silent


def test_who_tells_nothing_is_unknown():
    """The proxies that told of calls tell of nothing: the calls may be there all the same."""
    usual_traffic = history(hours=hours(TWO_MS, 1, 2, 3, requests=7_200))

    def told(other: dict, **more: bool) -> tuple[str, list[str]]:
        was = before(edge(WEB, CART, 1), **more)
        row = judged(other, earlier=was, usually=usual_traffic)["service", CART]
        return row["state"], row["reasons"]

    silent = ("unknown", ["nobody tells from east"])
    gone = ("degraded", ["traffic vanished: 0 calls, usually 120 a minute (3 hours before)"])
    assert told(edge(PAY, PAY, 9)) == silent
    assert told(edge(PAY, WEB, 9)) == silent  # west's proxies tell of east, and east's do not
    assert told(edge(WEB, PAY, 9)) == gone
    # Where only the server's proxy told, it is the one to hear from.
    assert told(edge(WEB, PAY, 9), server_told=True) == silent
    assert told(edge(PAY, WEB, 9, server_timed=9), server_told=True) == gone


def test_nothing_at_all_is_nothing():
    """No calls, none before: no rows."""
    assert judged() == {}


def test_flags_and_blame_are_reasons():
    """Those of most calls that failed; of a gateway, of those no server saw."""
    lost = {"blame": "network", "blamed_entity": "way", "server_seen": False}
    broken = {"blame": "server", "blamed_entity": PAY, "response_flags": ["UF"]}
    ways = edge(WEB, PAY, 100, gateway="way", errors=3, unserved_errors=2)
    rows = judged(ways, bad=failed(ways | lost, ways | lost, ways | broken))
    assert rows["service", PAY]["reasons"] == ["3.0% errors", "flags UF", "blame: network way"]
    assert rows["gateway", "way"]["reasons"] == ["2.0% errors", "blame: network way"]
