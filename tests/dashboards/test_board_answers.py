"""
What six boards answer on the demo's lake, against what its script did.

The script (pipeline/demo/README.md): frontend calls cart 474 times, of which 24 get 500;
recommendations answers none of 36; reviews, behind the same gateway, all of 375, some
slowly. East and west have the same pod range: 10.0.0.11 is frontend in one, reviews in
the other.
"""

import sys
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from grafana import Grafana, panels_of

from dashboards.boards import BOARDS
from dashboards.build.board import panel_id
from pipeline import lake

FROM = datetime(2026, 11, 24, 3, 2, tzinfo=UTC)
FRONTEND, CART, REVIEWS = (
    "cluster-east/shop/frontend",
    "cluster-east/shop/cart",
    "cluster-west/shop/reviews",
)

Rows = list[dict[str, Any]]
Ask = Callable[..., Rows]


@pytest.fixture(scope="module")
def answer(demo: tuple[Path, str]) -> Generator[Ask]:
    """Rows of a panel's target, for what the address of its board says."""
    connection = lake.connect(demo[0] / "lake")

    @cache
    def ask(sql: str) -> pa.Table:
        return connection.execute(sql).to_arrow_table()

    def rows(board: str, panel: str, ref: str = "A", minute: int = 0, **given: Any) -> Rows:
        (made,) = [each.json() for each in BOARDS if each.name == board]
        begin = FROM + timedelta(minutes=minute)
        grafana = Grafana(made, ask, begin, begin + timedelta(minutes=4), given)
        (found,) = [each for each in panels_of(made) if each["id"] == panel_id(panel)]
        (target,) = [each for each in found["targets"] if each["refId"] == ref]
        frame = grafana.frame(target)
        columns = {field.name: field.values.to_pylist() for field in frame.fields}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    yield rows
    connection.close()


def test_clusters_are_nodes_where_they_are_and_arcs_say_what_failed(answer: Ask):
    """West answers 681 calls: 36 failed, 375 over an edge with a slow tail, 270 well."""
    nodes = {row["id"]: row for row in answer("overview", "graph", "nodes")}
    assert {"cluster-east", "cluster-west", "cluster-onprem", "cluster-edge"} <= nodes.keys()
    west = nodes["cluster-west"]
    assert west["subtitle"] == "gcp us-west1"
    arcs = [round(west[arc] * 681) for arc in ("arc__ok", "arc__slow", "arc__failed")]
    assert arcs == [270, 375, 36]
    assert west["detail__health"] == "degraded"


def test_a_map_has_regions_at_their_cities(answer: Ask):
    """Virginia and Holland are where they are; of a data centre the label says it is not known."""
    places = {row["id"]: row for row in answer("overview", "map", "nodes")}
    assert [(places[id_]["latitude"], places[id_]["longitude"]) for id_ in ("aws/us-east-1", "azure/westeurope")] == [
        (39.0, -77.5), (52.4, 4.9),
    ]  # fmt: skip
    assert places["onprem/dc1"]["label"] == "onprem/dc1 (place not known)"


def test_the_worst_edge_is_first_and_says_whose_fault_it_is(answer: Ask):
    """Recommendations fails every call; the gateway on the way is not blamed."""
    worst = answer("overview", "worst")[0]
    assert (worst["state"], worst["client"], worst["server"], worst["via"], worst["failed"]) == (
        "failing", FRONTEND, "cluster-west/shop/recommendations", "west-eastwest", 1.0,
    )  # fmt: skip
    assert "because of service cluster-west/shop/recommendations" in worst["why"]


def test_the_busiest_edge_of_workloads_is_frontend_to_cart(answer: Ask):
    """474 calls, 24 of them answered with 500: 5.06 %, orange; all over TLS: no dashes."""
    busiest = answer("topology", "edges", level="workload")[0]
    assert (busiest["source"], busiest["target"], busiest["requests"]) == (FRONTEND, CART, 474)
    assert round(busiest["failed"] * 474) == 24
    drawn = {row["id"]: row for row in answer("topology", "graph", "edges", level="workload")}
    edge = drawn[f"{FRONTEND} -> {CART}"]
    assert (edge["color"], edge["strokedasharray"], edge["detail__tls_share"]) == ("#ff9830", "", 1)
    failing = drawn[f"{FRONTEND} -> cluster-west/shop/recommendations"]
    assert failing["color"] == "#e02f44"


def test_a_cloud_leaves_only_edges_that_touch_it(answer: Ask):
    """Google has cluster-west alone: edges from or to it, and both ends are nodes."""
    edges = answer("topology", "graph", "edges", level="workload", cloud=["gcp"])
    assert {row["id"] for row in edges} == {
        f"{FRONTEND} -> {REVIEWS}",
        f"{FRONTEND} -> cluster-west/shop/recommendations",
        f"{REVIEWS} -> {CART}",
        f"{REVIEWS} -> cluster-west/shop/ratings",
    }
    nodes = {
        row["id"] for row in answer("topology", "graph", "nodes", level="workload", cloud=["gcp"])
    }
    assert nodes == {row[end] for row in edges for end in ("source", "target")}


def test_changes_are_against_the_time_before_as_long(answer: Ask):
    """In the four minutes of the traffic every edge appeared; in the next four every one is gone."""
    appeared = answer("topology", "changes", level="workload")
    vanished = answer("topology", "changes", level="workload", minute=4)
    assert {row["change"] for row in appeared} == {"appeared"}
    assert {row["change"] for row in vanished} == {"vanished"}
    assert len(appeared) == len(vanished) == 9


def test_a_service_is_found_by_workload_and_by_host_name(answer: Ask):
    """Cart has 669 calls from three clients, whether a graph of workloads led here or one of services."""
    for name in (CART, "cluster-east/cart.shop.svc.cluster.local"):
        assert sorted(row["client"] for row in answer("service", "inbound", service=name)) == [
            FRONTEND, "cluster-onprem/shop/billing", REVIEWS,
        ]  # fmt: skip
        paths = answer("service", "gateways", service=name)
        assert sorted((row["path"], row["gateway"], row["requests"]) for row in paths) == [
            ("gateway", "east-eastwest", 75), ("gateway", "east-eastwest", 120), ("local", None, 474),
        ]  # fmt: skip


def test_an_edge_is_told_hop_by_hop(answer: Ask):
    """375 conversations: frontend's proxy, west's gateway, reviews' proxy; TLS at both ends."""
    hops = answer("edge", "hops", source=FRONTEND, target=REVIEWS)
    assert [(row["hop"], row["role"], row["conversations"]) for row in hops] == [
        (0, "client", 375), (1, "gateway", 375), (2, "server", 375),
    ]  # fmt: skip
    assert (hops[0]["TLS out"], hops[2]["TLS in"]) == (1, 1)
    assert hops[0]["added"] == hops[0]["took"] - hops[2]["took"]


def test_gateways_say_where_they_lead_and_what_fails_behind_them(answer: Ask):
    """Through west's gateway go 411 calls, of which the 36 of recommendations fail."""
    gateways = {row["gateway"]: row for row in answer("clusters", "gateways")}
    assert {name: row["leads into"] for name, row in gateways.items()} == {
        "west-eastwest": "net-west", "flat-eastwest": "net-flat", "east-eastwest": "net-east",
    }  # fmt: skip
    assert round(gateways["west-eastwest"]["failed"] * 411) == 36
    assert gateways["flat-eastwest"]["failed"] == 0


def test_one_address_in_two_networks_is_two_workloads(answer: Ask):
    """10.0.0.11 is frontend's in east and reviews' in west: flows are named by their network."""
    rows = answer("flows", "latest", address="10.0.0.11")
    named = {(row["network"], row["source"]) for row in rows if row["from"] == "10.0.0.11"}
    assert named == {("net-east", FRONTEND), ("net-west", REVIEWS)}


def test_records_and_rollups_say_the_same(answer: Ask):
    """
    Any address of IPv4 asks records instead of rollups: the same octets of each port.

    But for flows that two clocks put on either side of a minute: rollups look around it.
    """
    rolled_up = {row["what"]: row["bytes"] for row in answer("flows", "top", dimension="port")}
    of_records = {
        row["what"]: row["bytes"]
        for row in answer("flows", "top", dimension="port", address="0.0.0.0/0")
    }
    assert rolled_up["TCP 15443"] == of_records["TCP 15443"] == 8_118_828
    assert of_records == pytest.approx(rolled_up, rel=0.001)


def test_a_range_that_is_none_finds_nothing(answer: Ask):
    """What a reader types may be anything: quotes, too."""
    assert answer("flows", "latest", address="10.0.0.0/33") == []
    assert answer("flows", "top", address="' OR true --") == []
