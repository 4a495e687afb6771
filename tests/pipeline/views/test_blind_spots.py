"""What nobody sees: a small fleet, and who reported what of it."""

from datetime import UTC, datetime, timedelta

import pytest
from small_lake import SmallLake, emptied

INVENTORY = """
[[networks]]
name = "corp"
model = "flat"

[[clusters]]
name = "east"
provider = "aws"
network = "corp"

[[clusters]]
name = "west"
provider = "gcp"
network = "corp"

[[prefixes]]
network = "corp"
cidr = "10.1.0.0/24"
kind = "subnet"
name = "east nodes"

[[prefixes]]
network = "corp"
cidr = "10.9.0.0/24"
kind = "subnet"
name = "empty"

[[gateways]]
network = "corp"
ip = "10.1.0.250"
port = 15443
cluster = "west"
to_network = "corp"
name = "way-out"

[[endpoints]]
network = "corp"
ip = "10.1.0.1"
kind = "node"
cluster = "east"
node = "n1"

[[endpoints]]
network = "corp"
ip = "10.1.0.2"
kind = "node"
cluster = "east"
node = "n2"

[[endpoints]]
network = "corp"
ip = "10.2.0.7"
kind = "pod"
cluster = "east"
namespace = "shop"
pod = "web-1"
node = "n1"

[[endpoints]]
network = "corp"
ip = "10.2.0.8"
kind = "pod"
cluster = "east"
namespace = "shop"
pod = "web-2"
node = "n2"
"""
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=3)
BLIND = "SELECT entity, state, seen_by FROM v_blind_spots ORDER BY entity"
SEEN = {"10.1.0.0/24 east nodes", "east", "east/n1", "east/n2", "way-out", "west"}


@pytest.fixture
def lake(tmp_path):
    """The fleet; a vantage of each cluster exists, and only an unrelated one reported."""
    lake = emptied()
    lake.inventory(tmp_path, INVENTORY)
    for number, cluster in ((1, "east"), (2, "west"), (3, "other")):
        row = {"vantage_id": number, "cluster": cluster, "network": "corp"}
        lake.add("vantages", row | {"agent": "a", "exporter": "192.0.2.9", "format": "ipfix"})
    report(lake, 3)
    return lake


def report(lake: SmallLake, vantage: int, time: datetime = NOW) -> None:
    row = {"vantage_id": vantage, "minute": time, "received_payloads": 1}
    lake.add("accounting", row)


def rename(lake: SmallLake, vantage: int, exporter: str) -> None:
    lake.connection.execute(
        "UPDATE vantages SET exporter = ? WHERE vantage_id = ?", [exporter, vantage]
    )


def flow(lake: SmallLake, vantage: int, ip: str, time: datetime = NOW) -> None:
    query = "SELECT endpoint_id FROM v_endpoints WHERE ip = ?"
    ids = [row[0] for row in lake.connection.execute(query, [ip]).fetchall()]
    lake.add(
        "flows",
        {
            "vantage_id": vantage,
            "received_time": time,
            "start_time": time,
            "src_ip": ip,
            "dst_ip": "10.9.9.9",
            "src_endpoint_id": ids[0] if ids else None,
        },
    )


def blind(lake: SmallLake) -> dict[str, str]:
    return {entity: state for entity, state, _ in lake.read(BLIND)}


def test_what_is_expected(lake):
    """Nodes, gateways, clusters, and subnets in use; an empty subnet is not."""
    assert blind(lake) == dict.fromkeys(SEEN, "never_seen")
    expected = "SELECT entity, expected FROM v_blind_spots ORDER BY entity LIMIT 3"
    assert lake.read(expected) == [
        ("10.1.0.0/24 east nodes", "2 live addresses"),
        ("east", "a cluster of the inventory"),
        ("east/n1", "runs 1 pods"),
    ]


@pytest.mark.parametrize(
    "exporter",
    [
        *("10.1.0.1", "east/n1", "10.2.0.7", "10.2.0.7:15020"),
        "sidecar~10.2.0.7~web-1.shop~shop.svc.cluster.local",
        "sidecar~10.99.0.1~web-1.shop~shop.svc.cluster.local",
        "/var/log/pods/shop_web-1_3f1c/istio-proxy/0.log",
    ],
)
def test_a_vantage_on_the_node(lake, exporter):
    """An exporter at its address, or the proxy or log of one of its pods; the other node stays blind."""
    rename(lake, 1, exporter)
    report(lake, 1)
    assert SEEN - blind(lake).keys() == {"east", "east/n1"}


def test_a_name_is_its_own_clusters(lake):
    """A vantage of another cluster with the same names is on another node."""
    rename(lake, 2, "10.1.0.1")
    report(lake, 2)
    assert SEEN - blind(lake).keys() == {"west"}


def test_traffic_seen_by_its_cluster_and_by_others(lake):
    """Own vantages see a node; what only others see is said to be so."""
    flow(lake, 1, "10.2.0.7")
    flow(lake, 2, "10.2.0.8")
    assert lake.read(BLIND) == [
        ("10.1.0.0/24 east nodes", "never_seen", []),
        ("east", "others_only", ["east", "west"]),
        ("east/n2", "others_only", ["west"]),
        ("way-out", "never_seen", []),
        ("west", "never_seen", []),
    ]


def test_silent_since(lake):
    """What was observed, but not in the last hour, is silent since then."""
    flow(lake, 1, "10.2.0.7", LONG_AGO)
    report(lake, 2, LONG_AGO)
    found = lake.read("SELECT entity, last_time FROM v_blind_spots WHERE state = 'silent'")
    assert sorted(found) == [
        ("east/n1", LONG_AGO),
        ("west", LONG_AGO + timedelta(minutes=1)),
    ]


def test_a_gateway_and_a_subnet_that_are_seen(lake):
    """A gateway by its address in a flow of its network; a subnet by any address in it."""
    flow(lake, 1, "10.1.0.250")
    ((subnet,),) = lake.read("SELECT prefix_id FROM prefixes WHERE name = 'east nodes'")
    lake.connection.execute("UPDATE flows SET src_prefix_id = ?", [subnet])
    assert SEEN - blind(lake).keys() == {"way-out", "10.1.0.0/24 east nodes"}


def test_a_source_of_inventory_that_fell_silent(lake):
    """Against the newest of what was heard at all."""
    source = {"source_id": 1, "kind": "aws", "cluster": "east", "scope": "1/eu", "resource": "vpcs"}
    lake.add("inventory_sources", source | {"heard_time": LONG_AGO})
    lake.add("inventory_sources", source | {"resource": "subnets", "heard_time": NOW})
    query = "SELECT entity, state, last_time FROM v_blind_spots WHERE kind = 'source'"
    assert lake.read(query) == [("aws/east/1/eu/vpcs", "silent", LONG_AGO)]


def test_coverage(lake):
    """Of two nodes one is observed: half."""
    flow(lake, 1, "10.2.0.7")
    query = """SELECT expected, observed, others_only, silent, never_seen, observed_share
        FROM v_coverage WHERE cluster = 'east' AND kind = 'node'"""
    assert lake.read(query) == [(2, 1, 0, 0, 1, 0.5)]
