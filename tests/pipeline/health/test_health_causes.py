"""Who suffers from whom: blame, slow servers and gateways, chains of them. Worked by hand."""

import pytest
from edge_rows import NINETY_MS, NOON, TWO_MS, edge, failed, history, judged

from pipeline.health.causes import _root

WEB, CART, PAY, BATCH = "east/shop/web", "east/shop/cart", "west/shop/pay", "west/shop/batch"
LINK = "aws/us-east-1 -> gcp/us-west1"


def causes(rows) -> dict[tuple[str, str], str | None]:
    """Of what is not well."""
    return {key: row["caused_by"] for key, row in rows.items() if row["state"] in ("degraded", "failing")}  # fmt: skip


def test_a_gateway_that_is_down():
    """All that goes through it suffers from it; it has no cause, and what passes it by is well."""
    way = edge(WEB, PAY, 50, gateway="way", errors=50, unserved_errors=50)
    lost = failed(way | {"blame": "network", "blamed_entity": "way", "server_seen": False})
    rows = judged(way, edge(BATCH, PAY, 50), edge(WEB, CART, 50), bad=lost)
    assert causes(rows) == {
        ("gateway", "way"): None,
        ("service", PAY): "gateway way",
        ("edge", f"{WEB} -> {PAY}"): "gateway way",
        ("workload", WEB): "gateway way",
        ("cluster", "west"): "gateway way",
        ("cloud_link", LINK): "gateway way",
    }


def test_a_server_that_fails():
    """Its edges, its cluster and its clients suffer from it, and it from nobody."""
    calls = edge(WEB, PAY, 50, errors=50)
    rows = judged(calls, bad=failed(calls | {"blame": "server", "blamed_entity": PAY}))
    assert causes(rows) == {
        ("service", PAY): None,
        ("edge", f"{WEB} -> {PAY}"): f"service {PAY}",
        ("workload", WEB): f"service {PAY}",
        ("cluster", "west"): f"service {PAY}",
        ("cloud_link", LINK): f"service {PAY}",
    }


def test_a_certificate_that_does_not_verify():
    """It is the cause, also of its owner."""
    calls = edge(WEB, PAY, 50, errors=50)
    why = "client's proxy: UF; TLS error: CERTIFICATE_VERIFY_FAILED"
    bad = failed(calls | {"blame": "server", "blamed_entity": PAY, "blame_reason": why})
    rows = judged(calls, bad=bad)
    assert set(causes(rows).values()) == {f"certificate {PAY}"}


def test_a_client_that_is_at_fault():
    """Its edge and the service suffer from it, and it from nobody."""
    calls = edge(WEB, PAY, 50, errors=50)
    told = causes(judged(calls, bad=failed(calls | {"blame": "client", "blamed_entity": WEB})))
    assert told["workload", WEB] is None
    assert told["service", PAY] == told["edge", f"{WEB} -> {PAY}"] == f"workload {WEB}"


def test_nobody_is_guessed():
    """A failure nobody is blamed for has no cause anywhere."""
    calls = edge(WEB, PAY, 50, errors=50)
    bad = failed(calls | {"blame": "unknown", "server_seen": False})
    assert set(causes(judged(calls, bad=bad)).values()) == {None}


def slow(server_bucket: int, **more: object) -> dict:
    """Calls of ninety milliseconds, so long at the server."""
    at_server = [{"bucket": server_bucket, "calls": 100}]
    return edge(WEB, PAY, 100, NINETY_MS, server_durations=at_server, **more)


USUAL = history(
    hours=[
        edge(WEB, PAY, 6_000, TWO_MS, bucket_start=NOON.replace(hour=hour), gateway="way")
        | {"both_timed": 6_000, "on_the_way_ns": 6_000_000_000}  # one millisecond
        for hour in (9, 10, 11)
    ]
)


@pytest.mark.parametrize(
    ("at_server", "way_ms", "cause"),
    [(NINETY_MS, 1, f"service {PAY}"), (TWO_MS, 89, "gateway way")],
)
def test_slow_at_the_server_or_on_the_way(at_server, way_ms, cause):
    """Time at the server makes the server slow; time before it the gateway that is slower than usual."""
    taken = {"both_timed": 100, "on_the_way_ns": 100 * way_ms * 1_000_000}
    rows = judged(slow(at_server, gateway="way", **taken), usually=USUAL)
    told = causes(rows)
    assert told["edge", f"{WEB} -> {PAY}"] == cause
    assert told["service", PAY] == (None if cause.startswith("service") else cause)
    assert told["cluster", "west"] == cause
    assert (("gateway", "way") in told) == cause.startswith("gateway")


def test_a_cluster_is_as_bad_as_its_gateways():
    """One call in ten goes through the gateway, and fails: the cluster fails, and says why."""
    way = edge(WEB, PAY, 50, gateway="way", errors=50, unserved_errors=50)
    rows = judged(way, edge(BATCH, PAY, 450))
    west = rows["cluster", "west"]
    assert (west["state"], west["caused_by"], west["score"]) == ("failing", "gateway way", 0.0)
    assert west["reasons"] == ["10.0% errors", "gateway way is failing"]
    assert rows["cluster", "west"]["requests"] == 500


def test_causes_are_followed_to_the_root():
    """Edge, gateway, service; what goes in a circle has none."""
    cause = {
        ("edge", "a -> b"): "gateway way",
        ("gateway", "way"): "service b",
        ("service", "b"): "certificate b",
    }
    assert _root(("edge", "a -> b"), cause) == "certificate b"
    assert _root(("service", "c"), cause) is None
    cause["service", "b"] = "gateway way"
    assert _root(("edge", "a -> b"), cause) is None
