"""Nodes and edges of a span at each level, from records given by hand."""

from datetime import timedelta
from pathlib import Path

import pytest
from scraped import Pane
from small_lake import emptied
from three_clusters import EDGE, GATEWAY, NODE, NOON, ROUTER, ThreeClusters

from pipeline.errors import UsageError
from pipeline.topology import LEVELS, graph, newest
from pipeline.topology.control_planes import add, links

CASES = Path(__file__).parents[2] / "cases"


@pytest.fixture
def world(tmp_path: Path) -> ThreeClusters:
    return ThreeClusters(emptied(), tmp_path)


def edges(world: ThreeClusters, level: str, *columns: str) -> list[tuple]:
    """Edges at a level: source, target, and the columns asked for."""
    found = graph(world.lake.connection, level).edges
    return found.select("source", "target", *columns).rows()


def served(world: ThreeClusters) -> None:
    """Beside it, through the gateway, and flat from another cluster."""
    world.calls("frontend", "cart", 6, service="cart.data")
    world.calls("frontend", "reviews", 5, via=GATEWAY, server_ms=1.0, service="reviews.shop")
    world.calls("telemetry", "cart", 7, vantage=EDGE, service="cart.data", upstream_tls=None)


LEVEL_EDGES = {
    "provider": [("aws", "aws", 6), ("aws", "gcp", 5), ("azure", "aws", 7)],
    "region": [
        ("aws/us-east-1", "aws/us-east-1", 6),
        ("aws/us-east-1", "gcp/us-west1", 5),
        ("azure/westeurope", "aws/us-east-1", 7),
    ],
    "cluster": [("east", "east", 6), ("east", "west", 5), ("edge", "east", 7)],
    "network": [("net-a", "net-a", 7), ("net-a", "net-a", 6), ("net-a", "net-b", 5)],
    "namespace": [
        ("east/shop", "east/data", 6),
        ("east/shop", "west/shop", 5),
        ("edge/shop", "east/data", 7),
    ],
    "service": [
        ("east/frontend.shop", "east/cart.data", 6),
        ("east/frontend.shop", "west/reviews.shop", 5),
        ("edge/shop/telemetry", "east/cart.data", 7),
    ],
    "workload": [
        ("east/shop/frontend", "east/data/cart", 6),
        ("east/shop/frontend", "west/shop/reviews", 5),
        ("edge/shop/telemetry", "east/data/cart", 7),
    ],
    "gateway": [
        ("east", "east", 6),
        ("east", "gateway:west-gw", 5),
        ("edge", "east", 7),
        ("gateway:west-gw", "west", 5),
    ],
    "node": [
        ("east/node/n1", "east/node/n2", 6),
        ("east/node/n1", "west/node/w1", 5),
        ("edge/node/e1", "east/node/n2", 7),
    ],
}


def test_every_level_names_the_same_calls(world: ThreeClusters):
    """One address in two networks is two workloads, nodes, clusters and clouds."""
    served(world)
    assert {level: edges(world, level, "requests") for level in LEVELS} == LEVEL_EDGES


def test_what_an_edge_says_of_its_calls(world: ThreeClusters):
    """Paths, failures, denials, durations, octets, TLS, protocols, and when."""
    for n, ms in enumerate((1.0, 2.0, 3.0, 100.0)):
        world.calls("telemetry", "cart", at_s=n, vantage=EDGE, duration_ms=ms)
    world.calls("telemetry", "cart", at_s=9, vantage=EDGE, status=503, upstream_tls=None)
    world.calls("telemetry", "cart", vantage=EDGE, status=403, authz="denied", protocol="HTTP/1.1")
    (edge,) = graph(world.lake.connection).edges.to_dicts()
    assert edge == {
        "source": "edge/shop/telemetry",
        "target": "east/data/cart",
        "path_model": "flat",
        "gateway": None,
        "state": "degraded",
        "requests": 6,
        "errors": 1,
        "error_share": 1 / 6,
        "client_errors": 1,
        "denied": 1,
        "p50_ms": pytest.approx(3.5, rel=0.03),  # of a histogram
        "p95_ms": pytest.approx(76.0, rel=0.03),
        "bytes_received": 60,
        "bytes_sent": 600,
        "tls_share": 5 / 6,
        "flows": None,
        "bytes": None,
        "packets": None,
        "bytes_back": None,
        "protocols": [{"key": "HTTP/1.1", "value": 1}, {"key": "HTTP/2", "value": 5}],
        "clusters": ["east", "edge"],
        "lost_share": None,
        "retransmit_share": None,
        "drop_share": None,
        "rtt_ms": None,
        "first_time": NOON,
        "last_time": NOON + timedelta(seconds=9),
    }


def test_a_gateway_is_two_hops(world: ThreeClusters):
    """To it as the client's proxy saw it, from it as the server's; what did not get through, once."""
    world.calls("frontend", "reviews", 3, via=GATEWAY, server_ms=1.0, service="reviews.shop")
    world.calls("frontend", "reviews", 2, via=GATEWAY, status=503, service="reviews.shop")
    assert edges(world, "gateway", "requests", "errors", "p50_ms", "tls_share") == [
        ("east", "gateway:west-gw", 5, 2, pytest.approx(4.0, rel=0.03), 1.0),
        ("gateway:west-gw", "west", 3, 0, pytest.approx(1.0, rel=0.03), None),
    ]
    assert edges(world, "cluster", "path_model", "gateway", "requests", "errors") == [
        ("east", "west", "gateway", "west-gw", 5, 2)
    ]


def test_octets_are_on_the_edge_of_the_calls(world: ThreeClusters):
    """Forth and back; through a gateway at the level that has its hops, or its cluster."""
    world.calls("frontend", "cart")
    world.flow("frontend", "cart", 500)
    world.flow("cart", "frontend", 9_000)
    world.calls("frontend", "reviews", via=GATEWAY, service="reviews.shop")
    world.flow("frontend", "eastwest", 70)
    world.flow("eastwest", "frontend", 80)
    wire = ("path_model", "requests", "flows", "bytes", "bytes_back")
    assert edges(world, "workload", *wire) == [
        ("east/shop/frontend", "east/data/cart", "local", 1, 1, 500.0, 9_000.0),
        ("east/shop/frontend", "west/load_balancer/eastwest", "gateway", None, 1, 70.0, None),
        ("east/shop/frontend", "west/shop/reviews", "gateway", 1, None, None, None),
        ("west/load_balancer/eastwest", "east/shop/frontend", "gateway", None, 1, 80.0, None),
    ]
    assert edges(world, "cluster", *wire) == [
        ("east", "east", "local", 1, 2, 9_500.0, None),
        ("east", "west", "gateway", 1, 1, 70.0, 80.0),
    ]
    assert edges(world, "gateway", *wire)[1] == (
        *("east", "gateway:west-gw", "gateway", 1),
        *(1, 70.0, 80.0),
    )


def test_calls_both_ways_keep_their_own_octets(world: ThreeClusters):
    """What flows from cart to frontend is no reply alone, once cart calls frontend too."""
    world.calls("frontend", "cart")
    world.calls("cart", "frontend")
    world.flow("frontend", "cart", 500)
    world.flow("cart", "frontend", 9_000)
    assert edges(world, "workload", "bytes", "bytes_back") == [
        ("east/data/cart", "east/shop/frontend", 9_000.0, None),
        ("east/shop/frontend", "east/data/cart", 500.0, None),
    ]


def test_what_two_exporters_saw_is_counted_once(world: ThreeClusters):
    """Of each pair of addresses the one that saw most; other pairs of the workloads are added."""
    world.flow("frontend", "cart", 500, vantage=ROUTER)
    world.flow("frontend", "cart", 300, vantage=NODE)
    world.flow("frontend", "cart", 100, vantage=NODE)
    other = {"src_ip_hi": 0, "src_ip_lo": 0xFFFF_0A00_0055}
    world.flow("frontend", "cart", 40, vantage=NODE, sampling_factor=10.0, **other)
    assert edges(world, "workload", "requests", "state", "flows", "bytes", "packets") == [
        ("east/shop/frontend", "east/data/cart", None, None, 2, 900.0, 22.0)
    ]


def test_flows_without_octets_are_flows(world: ThreeClusters):
    """An exporter that tells packets alone: octets stay null, the rest counts."""
    world.flow("frontend", "cart", None)
    world.flow("frontend", "cart", None)
    assert edges(world, "workload", "flows", "bytes", "packets") == [
        ("east/shop/frontend", "east/data/cart", 2, None, 4.0)
    ]


def test_what_is_outside_or_unknown_is_a_node(world: ThreeClusters):
    """A named range by its name, strangers by the network they were seen in; at every level."""
    ((payments,),) = world.lake.read("SELECT prefix_id FROM prefixes")
    outside = {"dst_method": "external", "dst_resolution": "resolved", "dst_prefix_id": payments}
    world.flow("frontend", "198.51.100.7", 10, **outside)
    world.flow("frontend", "10.77.0.1", 20)
    world.flow("frontend", "10.77.0.2", 30)
    world.calls("frontend", "api.example.com", service="api.example.com")
    world.calls("nobody", "cart", status=None, grpc_status=14)
    found = graph(world.lake.connection)
    assert found.edges.select("source", "target", "path_model", "requests", "bytes").rows() == [
        ("east/shop/frontend", "payments", "external", None, 10.0),
        ("east/shop/frontend", "service:api.example.com", None, 1, None),
        ("east/shop/frontend", "unknown in net-a", None, None, 50.0),
        ("unknown in net-a", "east/data/cart", "local", 1, None),
    ]
    assert dict(found.nodes.select("entity", "kind").rows()) == {
        "east/data/cart": "pod",
        "east/shop/frontend": "pod",
        "payments": "external",
        "service:api.example.com": "service",
        "unknown in net-a": "unknown",
    }
    assert edges(world, "provider", "requests") == [
        ("aws", "aws", 1),
        ("aws", "payments", None),
        ("aws", "services of unknown place", 1),
        ("aws", "unknown in net-a", None),
    ]


def test_nodes_say_where_they_are_and_what_goes_through(world: ThreeClusters):
    """Place where all of that name share it; octets of replies count the other way."""
    served(world)
    world.flow("frontend", "cart", 500)
    world.flow("cart", "frontend", 9_000)
    nodes = graph(world.lake.connection, "workload").nodes
    assert nodes.drop("first_time", "last_time").rows()[1] == (
        *("east/shop/frontend", "pod", "aws", "us-east-1", "east", "net-a", "shop", "frontend"),
        *(0, 0, 11, 9_000.0, 500.0),
    )
    networks = graph(world.lake.connection, "network").nodes
    assert networks.select("entity", "provider", "cluster", "network").rows() == [
        ("net-a", None, None, "net-a"),
        ("net-b", "gcp", "west", "net-b"),
    ]


def test_a_span_holds_what_began_in_it(world: ThreeClusters):
    """From the first instant, inclusive, to the last, exclusive; a server's proxy may log later."""
    world.calls("frontend", "cart", at_s=-0.001)
    world.calls("frontend", "reviews", via=GATEWAY, at_s=59.999, service="reviews.shop")
    own = {"vantage_id": 3, "reporter": "destination", "request_id": "r2", "authority": "reviews"}
    world.lake.add(
        "requests",
        own
        | {"start_time": NOON + timedelta(seconds=61), "method": "GET", "path": "/"}
        | {"duration_ms": 1.0, "dst_endpoint_id": world.ids["reviews"], "response_flags": []},
    )
    world.calls("frontend", "cart", at_s=60)
    world.flow("frontend", "cart", 1, at_s=-0.001)
    world.flow("cart", "frontend", 2, at_s=0)
    minute = graph(world.lake.connection, "workload", NOON, NOON + timedelta(minutes=1))
    assert minute.edges.select("source", "target", "requests", "bytes").rows() == [
        ("east/data/cart", "east/shop/frontend", None, 2.0),
        ("east/shop/frontend", "west/shop/reviews", 1, None),
    ]
    assert minute.observers.select("cluster", "requests", "flows").rows() == [("east", 1, 1)]
    assert newest(world.lake.connection) == NOON + timedelta(seconds=61, microseconds=1)


def test_an_edge_says_what_was_lost_where_it_is_seen_from(world: ThreeClusters):
    """The largest share among its clusters; null where no exporter counts."""
    world.flow("frontend", "cart", 1)
    world.flow("10.77.0.1", "10.77.0.2", 1)
    counts = {"sequence_units_expected": 100, "sequence_units_received": 90}
    others = {"rejected_payloads": 1, "partial_payloads": 2}
    world.lake.add("accounting", {"minute": NOON, "vantage_id": ROUTER} | counts | others)
    found = graph(world.lake.connection, "workload")
    assert found.edges.select("source", "lost_share").rows() == [
        ("east/shop/frontend", 0.1),
        ("unknown in net-a", None),
    ]
    assert found.observers.rows() == [("east", 0, 2, 0.1, 0.5, 3)]


def test_an_edge_says_what_was_sent_again_and_dropped(world: ThreeClusters):
    """Of either direction the worse; of flows that tell of it alone: null where none does."""
    world.calls("frontend", "cart")
    world.flow("frontend", "cart", 500, packets=50, retransmitted_packets=1, rtt_us=4_000)
    world.flow("frontend", "cart", 500, packets=30, retransmitted_packets=3, rtt_us=2_000)
    world.flow("frontend", "cart", 900, packets=900)
    world.flow("cart", "frontend", 9_000, packets=40, retransmitted_packets=0, dropped_packets=2)
    assert edges(world, "workload", "retransmit_share", "drop_share", "rtt_ms") == [
        ("east/shop/frontend", "east/data/cart", 4 / 80, 2 / 40, 3.0)
    ]


def test_nothing_is_a_graph_too(world: ThreeClusters):
    """Of an empty lake: no nodes, no edges, no newest record."""
    found = graph(world.lake.connection, "cluster", NOON, NOON + timedelta(minutes=1))
    assert (found.nodes.height, found.edges.height, found.observers.height) == (0, 0, 0)
    assert newest(world.lake.connection) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("galaxy",), "'galaxy' is no level: provider, region"),
        (("cluster", NOON, NOON), "nothing lies between 2026-11-24T12:00:00"),
    ],
)
def test_what_cannot_be_asked_is_said(world: ThreeClusters, arguments: tuple, message: str):
    """No level of that name, and spans that hold no time."""
    with pytest.raises(UsageError, match=message):
        graph(world.lake.connection, *arguments)


def test_control_planes_are_nodes_of_the_clusters_graph(world: ThreeClusters):
    """From istiod's own answers: whom it serves, and which clusters it reads."""
    pane = Pane()
    for name in ("syncz", "clusterz", "connections", "endpointShardz"):
        raw = (CASES / "istiod_multicluster" / f"{name}.json").read_bytes()
        pane.add("istiod", (f"istiod-1/debug/{name}", 0, raw))
    found = links(pane._duckdb)
    columns = (
        "control_plane",
        "cluster",
        "link",
        "state",
        "proxies",
        "proxies_behind",
        "endpoints",
    )
    assert found.select(columns).rows() == [
        ("istiod-1", "cluster-east", "discovers", "synced", None, None, 7),
        ("istiod-1", "cluster-east", "serves", "healthy", 2, 0, None),
        ("istiod-1", "cluster-gone", "discovers", "timeout", None, None, None),
        ("istiod-1", "cluster-west", "discovers", "synced", None, None, 3),
        ("istiod-1", "cluster-west", "serves", "degraded", 1, 1, None),
    ]
    served(world)
    whole = add(graph(world.lake.connection, "cluster"), found)
    assert whole.edges.select("source", "target", "path_model", "state").rows()[3:] == [
        ("control_plane:istiod-1", "cluster-east", "discovers", "healthy"),
        ("control_plane:istiod-1", "cluster-east", "serves", "healthy"),
        ("control_plane:istiod-1", "cluster-gone", "discovers", "degraded"),
        ("control_plane:istiod-1", "cluster-west", "discovers", "healthy"),
        ("control_plane:istiod-1", "cluster-west", "serves", "degraded"),
    ]
    assert dict(whole.nodes.select("entity", "kind").rows()) == {
        **dict.fromkeys(("east", "edge", "west"), "cluster"),
        **dict.fromkeys(("cluster-east", "cluster-gone", "cluster-west"), "cluster"),
        "control_plane:istiod-1": "control_plane",
    }
