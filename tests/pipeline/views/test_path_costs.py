"""What paths cost, of conversations by hand: medians, hops, and the gateway's above the direct one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_lake import SmallLake, emptied

from pipeline import schema

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
INVENTORY = """
[[networks]]
name = "lan"
model = "flat"
[[clusters]]
name = "a"
provider = "aws"
network = "lan"
[[clusters]]
name = "b"
provider = "gcp"
network = "lan"
[[endpoints]]
network = "lan"
ip = "10.0.0.1"
kind = "pod"
cluster = "a"
namespace = "shop"
workload = "frontend"
[[endpoints]]
network = "lan"
ip = "10.0.0.2"
kind = "pod"
cluster = "a"
namespace = "shop"
workload = "search"
[[endpoints]]
network = "lan"
ip = "10.0.1.1"
kind = "pod"
cluster = "b"
namespace = "shop"
workload = "cart"
[[gateways]]
network = "lan"
ip = "203.0.113.9"
port = 15443
cluster = "b"
to_network = "lan"
name = "b-eastwest"
"""
PROXY, WAYPOINT = 1, 2
PATHS = """SELECT path_model, gateway, timed_by, calls, errors, retries, bytes_difference, timed_calls,
        client_p50_ms, server_p50_ms, overhead_p50_ms, overhead_p95_ms, hop_p50_ms, direct_calls,
        direct_overhead_p50_ms, gateway_tax_ms
    FROM {} WHERE client_entity = 'a/shop/{}' ORDER BY path_model, len(timed_by)"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Frontend calls cart both ways, search through the gateway alone."""
    made = emptied()
    made.inventory(tmp_path_factory.mktemp("paths"), INVENTORY)
    vantages = [
        (PROXY, "a", "lan", "n", "frontend.log", "envoy_json", 0),
        (WAYPOINT, "b", "lan", "n", "waypoint.log", "envoy_json", 0),
    ]
    names = schema.VANTAGES.schema.names()
    made.add("vantages", *(dict(zip(names, row, strict=True)) for row in vantages))
    ids = dict(made.read("SELECT workload, endpoint_id FROM endpoints"))
    calls = Calls(made, ids)
    for client_ms, server_ms in ((10, 6), (12, 6), (14, 6)):
        calls.add("frontend", "flat", client_ms, server_ms)
    for client_ms, server_ms in ((30, 5), (32, 5), (34, 5)):
        calls.add("frontend", "gateway", client_ms, server_ms)
    calls.add("frontend", "gateway", 500, 5, attempts=2, bytes_difference=7)
    calls.add("frontend", "gateway", 2_000, None, error=True)
    for client_ms, waypoint_ms, server_ms in ((20, 11, 8), (22, 12, 8), (27, 12, 9)):
        calls.add("frontend", "gateway", client_ms, server_ms, waypoint_ms=waypoint_ms)
    calls.add("search", "gateway", 40, 10, at=NOON + timedelta(minutes=1))
    return made


class Calls:
    """Writes conversations of one pair into `edges` and `legs`."""

    def __init__(self, lake: SmallLake, ids: dict[str, int]) -> None:
        self.lake, self.ids, self.count = lake, ids, 0

    def add(
        self,
        client: str,
        path: str,
        client_ms: float,
        server_ms: float | None,
        *,
        waypoint_ms: float | None = None,
        at: datetime = NOON,
        **other: Any,
    ) -> None:
        """Write one, of client, perhaps waypoint, and server."""
        self.count += 1
        edge = {
            "edge_id": self.count,
            "window_start": at,
            "start_time": at,
            "client_endpoint_id": self.ids[client],
            "server_endpoint_id": self.ids["cart"],
            "path_model": path,
            "match_method": "request_id",
            "service": "cart.shop",
            "error": False,
            "client_ms": client_ms,
            "server_ms": server_ms,
            "tax_ms": None if server_ms is None else client_ms - server_ms,
            "attempts": 1,
            "bytes_difference": 0,
        }
        self.lake.add("edges", edge | other)
        leg = {"edge_id": self.count, "window_start": at, "network": "lan", "status": 200}
        to = "203.0.113.9" if path == "gateway" else "10.0.1.1"
        port = 15443 if path == "gateway" else 8080
        ends = {"upstream_remote_ip": to, "upstream_remote_port": port}
        self.lake.add("legs", leg | ends | {"hop": 0, "role": "client", "vantage_id": PROXY})
        gate = leg | {"hop": 1, "role": "gateway", "vantage_id": WAYPOINT}
        if waypoint_ms is not None:
            self.lake.add("legs", gate | {"duration_ms": waypoint_ms})
        elif path == "gateway":  # one that passes TLS through: the whole connection's duration
            self.lake.add("legs", gate | {"duration_ms": 9_999.0, "status": None})


def test_the_gateway_tax_is_above_the_direct_path_of_the_same_pair(lake: SmallLake):
    """Medians of calls both ends timed and that were sent once; the rest is counted."""
    flat, through, by_waypoint = lake.read(PATHS.format("v_gateway_tax", "frontend"))
    assert flat == (
        *("flat", None, [], 3, 0, 0, 0, 3),
        *(12, 6, 6, pytest.approx(7.8), [6], 3, 6, None),
    )
    assert through == (
        *("gateway", "b-eastwest", [], 5, 1, 1, 7, 3),
        *(32, 5, 27, pytest.approx(28.8), [27], 3, 6, 21),
    )
    # Of 12, 14 and 18 ms on the way, 9, 10 and 15 were before the waypoint, 3, 4 and 3 behind it.
    assert by_waypoint == (
        *("gateway", "b-eastwest", ["waypoint.log"], 3, 0, 0, 0, 3),
        *(22, 8, 14, pytest.approx(17.6), [10, 3], 3, 6, 8),
    )


def test_a_pair_seen_one_way_only_has_no_tax(lake: SmallLake):
    """Another client's direct calls to that server are no measure for it: the overhead alone is told."""
    (row,) = lake.read(PATHS.format("v_gateway_tax", "search"))
    assert row == (
        *("gateway", "b-eastwest", [], 1, 0, 0, 0, 1),
        *(40, 10, 30, 30, [30], None, None, None),
    )


def test_a_span_tells_of_its_minutes(lake: SmallLake):
    """Of a minute as the view tells of all time; of one without calls nothing."""
    spans = {"12:00", "12:01", "12:02"}
    asked = {
        span: f"gateway_tax_between('2026-11-27 {span}:00Z', '2026-11-27 {span}:30Z')"
        for span in spans
    }
    rows = {span: lake.read(PATHS.format(asked[span], "search")) for span in spans}
    assert rows["12:01"] == lake.read(PATHS.format("v_gateway_tax", "search"))
    assert (rows["12:00"], rows["12:02"]) == ([], [])
    frontend = lake.read(PATHS.format(asked["12:00"], "frontend"))
    assert frontend == lake.read(PATHS.format("v_gateway_tax", "frontend"))
