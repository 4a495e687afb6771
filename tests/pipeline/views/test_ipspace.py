"""The audit of the address space: each kind of problem, by hand; and overlaps as Python sees them."""

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lake import SmallLake, emptied

from pipeline.views.ranges import CONTEND, cidr, declared, pairs

NETWORKS = """
[[networks]]
name = "corp"
model = "flat"

[[networks]]
name = "lab"
model = "gateway"

[[clusters]]
name = "east"
provider = "aws"
network = "corp"

[[clusters]]
name = "west"
provider = "gcp"
network = "corp"

[[clusters]]
name = "test"
provider = "onprem"
network = "lab"
"""
DAY = datetime(2026, 1, 2, tzinfo=UTC)


def prefix(cidr: str, kind: str, cluster: str = "", network: str = "corp", **more: str) -> str:
    keys = {"network": network, "cidr": cidr, "kind": kind, "cluster": cluster, **more}
    lines = [f'{key} = "{value}"' for key, value in keys.items() if value]
    return "\n[[prefixes]]\n" + "\n".join(lines) + "\n"


def pod(ip: str, name: str, cluster: str = "east", kind: str = "pod", **more: str) -> str:
    keys = {"network": "corp", "ip": ip, "kind": kind, "cluster": cluster, "pod": name, **more}
    return "\n[[endpoints]]\n" + "\n".join(f'{key} = "{value}"' for key, value in keys.items())


@pytest.fixture
def lake(tmp_path):
    """A function (inventory) to a lake with it."""

    def make(text: str = "") -> SmallLake:
        lake = emptied()
        lake.inventory(tmp_path, NETWORKS + text)
        lake.add("vantages", {"vantage_id": 1, "cluster": "east", "network": "corp"})
        lake.add("accounting", {"vantage_id": 1, "minute": DAY})
        return lake

    return make


DECLARED = """SELECT severity, network, range, kind, cluster, other_network, other_range, other_kind,
    other_cluster, addresses FROM v_ipspace WHERE problem = 'declared_overlap' ORDER BY ALL"""


def test_pods_of_two_clusters_in_one_network_contend(lake):
    """The inner range is what both claim: 256 addresses of the 65,536."""
    found = lake(prefix("10.1.0.0/16", "pod", "east") + prefix("10.1.7.0/24", "pod", "west"))
    assert found.read(DECLARED) == [
        ("error", "corp", "10.1.0.0/16", "pod", "east", "corp", "10.1.7.0/24", "pod", "west", 256.0)
    ]


@pytest.mark.parametrize(
    "ranges",
    [
        pytest.param(
            prefix("10.0.0.0/8", "vpc", vpc="v1")
            + prefix("10.1.0.0/16", "subnet", vpc="v1", subnet="s1")
            + prefix("10.1.2.0/24", "node", "east", vpc="v1")
            + prefix("10.1.3.0/24", "pod", "east", vpc="v1")
            + prefix("10.1.4.0/24", "pod", "west"),
            id="inside a cloud network, of it or of nobody known to be elsewhere",
        ),
        pytest.param(
            prefix("10.1.0.0/16", "pod", "east")
            + prefix("10.1.3.0/24", "pod", "east", name="node-3"),
            id="a node's share of its cluster's range",
        ),
        pytest.param(
            prefix("10.0.0.0/8", "external", name="the office")
            + prefix("10.1.0.0/16", "pod", "east"),
            id="a named range outside",
        ),
        pytest.param(
            prefix("10.1.0.0/16", "subnet", "east", vpc="v1")
            + prefix("10.1.0.0/17", "pod", "west", vpc="v1"),
            id="one cloud network serves two clusters",
        ),
        pytest.param(
            prefix("10.1.0.0/16", "pod", "east") + prefix("10.2.0.0/16", "pod", "west"),
            id="side by side",
        ),
    ],
)
def test_what_is_no_overlap(lake, ranges):
    """A range inside ground that is its own, or not known to be another's, is in its place."""
    assert lake(ranges).read(DECLARED) == []


@pytest.mark.parametrize(
    ("ranges", "kinds"),
    [
        (
            prefix("10.1.0.0/16", "pod", "east") + prefix("10.1.2.0/24", "service", "east"),
            ("pod", "service"),
        ),
        (
            prefix("10.1.0.0/16", "node", "east") + prefix("10.1.2.0/24", "service", "east"),
            ("node", "service"),
        ),
        (
            prefix("10.1.0.0/16", "pod", "east") + prefix("10.1.2.0/24", "subnet", "east"),
            ("pod", "subnet"),
        ),
        (
            prefix("10.1.0.0/16", "subnet", vpc="v1")
            + prefix("10.1.2.0/24", "pod", "east", vpc="v2"),
            ("subnet", "pod"),
        ),
        (
            prefix("10.1.0.0/16", "subnet", vpc="v1", subnet="a")
            + prefix("10.1.2.0/24", "subnet", vpc="v1", subnet="b"),
            ("subnet", "subnet"),
        ),
        (
            prefix("10.1.0.0/16", "vpc", vpc="v1", name="one")
            + prefix("10.1.0.0/16", "vpc", vpc="v2", name="two"),
            ("vpc", "vpc"),
        ),
    ],
)
def test_what_is_an_overlap_within_a_network(lake, ranges, kinds):
    """Two uses of one address, or ground of two owners, whoever the cluster is."""
    query = "SELECT kind, other_kind FROM v_ipspace WHERE problem = 'declared_overlap'"
    assert lake(ranges).read(query) == [kinds]


def test_between_networks_only_outermost_ranges_count(lake):
    """It is no error until they are to be routed to each other; then it is one."""
    ranges = (
        prefix("10.0.0.0/8", "vpc", vpc="v1")
        + prefix("10.1.0.0/16", "pod", "east")
        + prefix("10.1.0.0/16", "pod", "test", "lab")
        + prefix("10.1.5.0/24", "pod", "test", "lab", name="node-5")
    )
    row = ("corp", "10.0.0.0/8", "vpc", None, "lab", "10.1.0.0/16", "pod", "test", 65_536.0)
    assert lake(ranges).read(DECLARED) == [("info", *row)]
    peered = '\n[[peerings]]\nnetworks = ["lab", "corp"]\n'
    assert lake(ranges + peered).read(DECLARED) == [("error", *row)]


def test_ground_of_one_name_in_two_networks_is_one(lake):
    """What two networks declare alike, without a cluster, is the same ground."""
    name = {"name": "underlay"}
    both = prefix("198.18.0.0/24", "subnet", **name) + prefix(
        "198.18.0.0/24", "subnet", network="lab", **name
    )
    assert lake(both).read(DECLARED) == []


CONFLICTS = """SELECT network, range, kind, cluster, name, other_kind, other_cluster, other_name, first_time
    FROM v_ipspace WHERE problem = 'observed_conflict'"""


def test_two_live_owners_of_one_address(lake):
    """From when the second came; a third, at another address or time, is none."""
    found = lake(
        pod("10.1.0.5", "a", valid_from="2026-01-01T00:00:00Z")
        + pod("10.1.0.5", "b", "west", valid_from="2026-01-01T05:00:00Z")
        + pod("10.1.0.6", "c", "west")
    )
    assert found.read(CONFLICTS) == [
        (
            *("corp", "10.1.0.5/32", "pod", "east", "a", "pod", "west", "b"),
            datetime(2026, 1, 1, 5, tzinfo=UTC),
        )
    ]


@pytest.mark.parametrize(
    "endpoints",
    [
        pod("10.1.0.5", "a", valid_to="2099-01-01T05:00:00Z")
        + pod("10.1.0.5", "b", valid_from="2099-01-01T05:00:00Z"),
        pod("10.1.0.5", "a") + pod("10.1.0.5", "a", valid_from="2026-01-01T05:00:00Z"),
        pod("10.1.0.5", "a") + pod("10.1.0.5", "eni", kind="interface"),
        pod("10.1.0.5", "a") + pod("10.1.0.5", "b", network="lab", cluster="test"),
    ],
    ids=["one after the other", "the same twice", "an interface yields", "two networks"],
)
def test_what_is_no_conflict(lake, endpoints):
    """Owners contend at one time, of one rank, in one network."""
    assert lake(endpoints).read(CONFLICTS) == []


FLOW = {
    "vantage_id": 1,
    "received_time": DAY,
    "start_time": DAY - timedelta(seconds=9),
    "src_ip": "10.1.7.1",
    "dst_ip": "10.1.7.2",
    "src_resolution": "ambiguous",
    "dst_resolution": "ambiguous",
    "bytes": 100,
    "packets": 1,
    "sampling_factor": 2.0,
}
REQUEST = {
    "vantage_id": 1,
    "received_time": DAY,
    "start_time": DAY,
    "reporter": "source",
    "downstream_remote_ip": "127.0.0.1",
    "upstream_local_ip": "10.1.7.1",
    "upstream_remote_ip": "10.9.0.9",
    "src_resolution": "ambiguous",
    "dst_resolution": "resolved",
    "bytes_received": 30,
    "bytes_sent": 12,
}


def test_traffic_that_is_ambiguous_because_of_it(lake):
    """A record counts once a problem, though both its ends have it; older than a day, not at all."""
    found = lake(prefix("10.1.0.0/16", "pod", "east") + prefix("10.1.7.0/24", "pod", "west"))
    found.add("flows", FLOW, FLOW | {"received_time": DAY - timedelta(days=2)})
    found.add("flows", FLOW | {"dst_ip": "10.4.0.4", "dst_resolution": "unknown"})
    found.add("requests", REQUEST)
    query = """SELECT problem, range, flows, flow_bytes, requests, request_bytes, first_time, last_time
        FROM v_ipspace WHERE problem <> 'unowned' ORDER BY ALL"""
    assert found.read(query) == [
        (
            *("declared_overlap", "10.1.0.0/16", 2, 400.0, 1, 42.0),
            *(DAY - timedelta(seconds=9), DAY),
        )
    ]


def test_ambiguous_traffic_that_nothing_explains(lake):
    """An address that changed hands within a record is a problem of its own."""
    found = lake()
    found.add("flows", FLOW | {"dst_resolution": "resolved"})
    query = "SELECT problem, severity, range, flows, requests FROM v_ipspace"
    assert found.read(query) == [("ambiguous_traffic", "warning", "10.1.7.1/32", 1, 0)]


def test_addresses_nobody_owns(lake):
    """By declared range, else by /24; what is public is one row."""
    found = lake(prefix("10.1.0.0/16", "pod", "east", name="east pods"))
    ((inside,),) = found.read("SELECT prefix_id FROM prefixes")
    unknown = FLOW | {"src_resolution": "unknown", "dst_resolution": "resolved"}
    for ip in ("10.1.7.1", "10.1.7.2"):
        found.add("flows", unknown | {"src_ip": ip, "src_prefix_id": inside})
    for ip in ("172.20.3.4", "172.20.3.5", "8.8.8.8", "93.184.216.34"):
        found.add("flows", unknown | {"src_ip": ip})
    found.add("flows", unknown | {"src_ip": "1.1.1.1", "src_method": "external"})
    query = """SELECT severity, range, cluster, name, addresses, flows, detail FROM v_ipspace
        WHERE problem = 'unowned' ORDER BY range"""
    assert found.read(query) == [
        ("info", "0.0.0.0/0", None, None, 2.0, 2, "public addresses no range names"),
        (
            *("warning", "10.1.0.0/16", "east", "east pods", 2.0, 2),
            "in a declared range, with no owner known",
        ),
        ("warning", "172.20.3.0/24", None, None, 2.0, 2, "in no declared range"),
    ]


_FAMILIES = (
    st.integers(0, 8).flatmap(
        lambda length: st.integers(0, (1 << length) - 1).map(
            lambda top: ipaddress.ip_network((0x0A000000 | top << (8 - length), 24 + length))
        )
    ),
    st.integers(0, 8).flatmap(
        lambda length: st.integers(0, (1 << length) - 1).map(
            lambda top: ipaddress.ip_network((0xFD << 120 | top << (64 - length), 64 + length))
        )
    ),
    st.sampled_from([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]),
)


@settings(max_examples=25)
@given(st.lists(st.one_of(_FAMILIES), min_size=2, max_size=12))
def test_overlaps_as_python_sees_them(ranges):
    """Ranges of as many clusters: those that intersect are pairs, and no others."""
    base = emptied()
    rows = []
    for row, one in enumerate(ranges):
        v4 = one.version == 4
        first = int(one.network_address) | (0xFFFF << 32 if v4 else 0)
        rows.append(
            {
                "prefix_id": row,
                "network": "n",
                "kind": "pod",
                "cluster": f"{row:02}",
                "prefix_ip_hi": first >> 64,
                "prefix_ip_lo": first & (1 << 64) - 1,
                "prefix_length": one.prefixlen + (96 if v4 else 0),
            }
        )
    base.add("prefixes", *rows)
    found = base.read(
        f"""WITH held AS ({declared("now()")}), pairs AS ({pairs("held", CONTEND)})
        SELECT o.cluster, i.cluster, {cidr("o.first", "o.length")}, {cidr("i.first", "i.length")}
        FROM pairs"""
    )
    mapped = [one.version == 6 and one.prefixlen == 0 for one in ranges]  # ::/0 holds v4-mapped too
    wanted = {
        frozenset((a, b))
        for a, one in enumerate(ranges)
        for b, other in enumerate(ranges)
        if a < b
        and (mapped[a] or mapped[b] or (one.version == other.version and one.overlaps(other)))
    }
    assert {frozenset((int(a), int(b))) for a, b, *_ in found} == wanted
    assert len(found) == len(wanted)
    for a, b, outer, inner in found:
        assert (str(ranges[int(a)]), str(ranges[int(b)])) == (outer, inner)
