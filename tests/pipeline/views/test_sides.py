"""What a side of a flow says of itself: who, where in which cloud, and how that is known."""

from datetime import UTC, datetime

import duckdb
import polars as pl
import pytest

from pipeline import schema, views
from pipeline.enrich import Identities, enrich_flows
from pipeline.inventory.file import load

INVENTORY = """
networks = [{ name = "net-a", model = "flat" }, { name = "net-b", model = "flat" }]
clusters = [
    { name = "east", provider = "aws", region = "eu-west-1", network = "net-a", mesh = "m1" },
    { name = "west", provider = "gcp", region = "us-west1", network = "net-b" },
]
peerings = [{ networks = ["net-a", "net-b"] }]
range_files = [{ path = "ip-ranges.json" }]
gateways = [{ network = "net-a", ip = "203.0.113.9", port = 443, cluster = "west", to_network = "net-b" }]

[[endpoints]]
network = "net-a"
ip = "10.0.0.1"
kind = "pod"
cluster = "east"
namespace = "shop"
workload = "web"
service = "web.shop"
node = "n1"
zone = "eu-west-1a"
identity = "spiffe://td/ns/shop/sa/web"
[[endpoints]]
network = "net-b"
ip = "10.9.0.1"
kind = "vm"
cluster = "west"
workload = "db"
provider = "onprem"
[[endpoints]]
network = "internet"
ip = "203.0.113.9"
kind = "load_balancer"
cluster = "west"
workload = "eastwest"

[[prefixes]]
network = "net-a"
cidr = "10.0.0.0/24"
kind = "subnet"
name = "a1"
vpc = "vpc-1"
subnet = "subnet-1"
[[prefixes]]
network = "net-b"
cidr = "10.9.0.0/16"
kind = "vpc"
provider = "gcp"
region = "us-west1"
vpc = "vpc-9"
[[prefixes]]
network = "internet"
cidr = "198.51.100.0/24"
kind = "external"
name = "aws S3"
provider = "aws"
region = "us-east-1"
"""
PUBLISHED = """{
    "syncToken": "1790000000", "createDate": "2026-09-21-14-13-20", "ipv6_prefixes": [],
    "prefixes": [
        {"ip_prefix": "192.0.2.0/24", "region": "eu-west-1", "service": "AMAZON"},
        {"ip_prefix": "192.0.2.0/25", "region": "eu-west-1", "service": "AMAZON"},
        {"ip_prefix": "192.0.2.0/25", "region": "eu-west-1", "service": "EC2"}
    ]
}"""
WEB = 0xFFFF_0A00_0001


@pytest.fixture(scope="module")
def side(tmp_path_factory):
    """Columns of the destination of a flow from web to this address; with what it became, too."""
    path = tmp_path_factory.mktemp("sides") / "inventory.toml"
    path.write_text(INVENTORY)
    path.with_name("ip-ranges.json").write_text(PUBLISHED)
    inventory = load(path)
    connection = duckdb.connect()
    for table in schema.TABLES:
        connection.execute(schema.create(table))
    for name, frame in inventory.tables.items():
        connection.register("rows", frame.to_arrow())
        connection.execute(f"INSERT INTO {name} BY NAME FROM rows")
    connection.execute("INSERT INTO vantages (vantage_id, network) VALUES (1, 'net-a')")
    for sql in (*views.MACROS, *map(schema.create_view, views.VIEWS)):
        connection.execute(sql)

    def _side(address: int, translated: int | None = None, name: str = "dst") -> dict[str, object]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        flow = {"vantage_id": 1, "start_time": now, "end_time": now}
        flow |= {"src_ip_hi": 0, "src_ip_lo": WEB, "dst_ip_hi": 0, "dst_ip_lo": address}
        if translated:
            flow |= {"post_nat_dst_ip_hi": 0, "post_nat_dst_ip_lo": translated}
        rows = schema.complete(pl.DataFrame([flow]), schema.FLOWS.schema)
        coded = rows.with_columns(network_code=pl.lit(0, pl.Int32))
        named = enrich_flows(coded, Identities.of(inventory)).select(rows.columns)
        connection.register("rows", named.to_arrow())
        connection.execute("INSERT INTO flows BY NAME FROM rows")
        found = (
            connection.execute(f"SELECT COLUMNS('^{name}_') FROM v_flows").pl().row(0, named=True)
        )
        connection.execute("DELETE FROM flows")
        told = {key.removeprefix(f"{name}_"): value for key, value in found.items() if value}
        return {key: value for key, value in told.items() if key not in ("ip_hi", "ip_lo")}

    return _side


def test_an_endpoint_tells_all_of_itself(side):
    """Cloud and region are its cluster's, VPC and subnet those of the range it is in."""
    assert side(WEB, name="src") == {
        "ip": "10.0.0.1",
        "entity": "east/shop/web",
        "kind": "pod",
        "cluster": "east",
        "namespace": "shop",
        "workload": "web",
        "host": "web.shop",
        "spiffe_id": "spiffe://td/ns/shop/sa/web",
        "node": "n1",
        "mesh": "m1",
        "network": "net-a",
        "provider": "aws",
        "region": "eu-west-1",
        "zone": "eu-west-1a",
        "vpc": "vpc-1",
        "subnet": "subnet-1",
        "resolution": "resolved",
        "method": "exact",
        "prefix": "a1",
    }


def test_an_endpoint_of_a_peer_is_in_its_own_network(side):
    """And what it says of its cloud goes before what its cluster does."""
    assert side(0xFFFF_0A09_0001) == {
        "ip": "10.9.0.1",
        "entity": "west/db",
        "kind": "vm",
        "cluster": "west",
        "workload": "db",
        "network": "net-b",
        "provider": "onprem",
        "region": "us-west1",
        "vpc": "vpc-9",
        "resolution": "resolved",
        "method": "peering",
    }


def test_of_an_address_nobody_has_the_range_tells_where_it_is(side):
    """The peer's range, in the peer's network."""
    assert side(0xFFFF_0A09_0002) == {
        "ip": "10.9.0.2",
        "entity": "net-b/10.9.0.2",
        "network": "net-b",
        "provider": "gcp",
        "region": "us-west1",
        "vpc": "vpc-9",
        "resolution": "unknown",
        "method": "prefix",
    }


def test_a_named_range_outside_is_who_it_is(side):
    """It is resolved, to no endpoint."""
    assert side(0xFFFF_C633_6407) == {
        "ip": "198.51.100.7",
        "entity": "aws S3",
        "kind": "external",
        "network": "internet",
        "provider": "aws",
        "region": "us-east-1",
        "resolution": "resolved",
        "method": "external",
        "prefix": "aws S3",
    }


def test_a_range_that_a_provider_publishes_is_who_it_is(side):
    """The longest one, by its service."""
    assert side(0xFFFF_C000_0207) == {
        "ip": "192.0.2.7",
        "entity": "aws EC2 eu-west-1",
        "kind": "external",
        "network": "internet",
        "provider": "aws",
        "region": "eu-west-1",
        "resolution": "resolved",
        "method": "external",
        "prefix": "aws EC2 eu-west-1",
    }
    assert side(0xFFFF_C000_0287)["entity"] == "aws AMAZON eu-west-1"


def test_what_a_flow_became_is_named_too(side):
    """A gateway's address, translated to an endpoint of the network behind it; else nothing."""
    gateway = 0xFFFF_CB00_7109
    assert side(gateway)["method"] == "gateway"
    assert side(gateway, 0xFFFF_0A09_0001, name="post_nat_dst") == {
        "ip": "10.9.0.1",
        "entity": "west/db",
        "resolution": "resolved",
        "method": "peering",
    }
    assert side(gateway, name="post_nat_dst") == {}
