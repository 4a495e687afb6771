"""What objects of Google Cloud claim: made by hand from the API's pages, and as recorded from it."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import gcp_export
from collectors.listing import ListingError
from pipeline.inventory.file import INTERNET
from pipeline.inventory.sources import (
    ClusterClaim,
    EndpointClaim,
    Key,
    ObjectError,
    PeeringClaim,
    PrefixClaim,
)
from pipeline.inventory.sources.gcp import Gcp

URL = "https://www.googleapis.com/compute/v1/"
NETWORK = "gcp/projects/p/global/networks/n"
SUBNETWORK = "projects/p/regions/europe-west1/subnetworks/s"


def put(world, resource, uid, **keys: object):
    key = Key("p", resource, uid)
    return key, set(world.put(key, json.dumps(keys).encode()))


def claims(world, key):
    return list(world.claims(key))


def subnetwork(world):
    return put(
        world,
        "compute.subnetworks",
        SUBNETWORK,
        name="s",
        network=f"{URL}projects/p/global/networks/n",
        region=f"{URL}projects/p/regions/europe-west1",
        ipCidrRange="10.0.0.0/20",
        secondaryIpRanges=[
            {"rangeName": "a", "ipCidrRange": "10.4.0.0/14"},
            {"rangeName": "b", "ipCidrRange": "10.8.0.0/20"},
            {"rangeName": "free", "ipCidrRange": "10.9.0.0/20"},
        ],
    )


def cluster(world):
    return put(
        world,
        "container.clusters",
        "projects/p/locations/europe-west1-b/clusters/c",
        name="c",
        location="europe-west1-b",
        locations=["europe-west1-b"],
        network="n",
        subnetwork="s",
        clusterIpv4Cidr="10.4.0.0/14",
        servicesIpv4Cidr="34.118.224.0/20",
        ipAllocationPolicy={
            "clusterSecondaryRangeName": "a",
            "additionalPodRangesConfig": {"podRangeNames": ["b"]},
        },
    )


@pytest.mark.parametrize("order", list(itertools.permutations([subnetwork, cluster])))
def test_ranges_of_a_cluster_are_claimed_once_whichever_came_first(order):
    """By the subnetwork that has them, as the cluster uses them; else by the cluster."""
    world = Gcp("agents", "net")
    keys = {make: make(world)[0] for make in order}
    assert [(c.cidr, c.kind, c.cluster, c.name) for c in claims(world, keys[subnetwork])] == [
        ("10.0.0.0/20", "subnet", None, "s"),
        ("10.4.0.0/14", "pod", "c", "a"),
        ("10.8.0.0/20", "pod", "c", "b"),
        ("10.9.0.0/20", "subnet", None, "free"),
    ]
    assert claims(world, keys[cluster]) == [
        ClusterClaim("c", "gcp", "europe-west1", ("europe-west1-b",)),
        PrefixClaim(
            NETWORK,
            "34.118.224.0/20",
            "service",
            cluster="c",
            name="c services",
            provider="gcp",
            region="europe-west1",
            account="p",
            vpc="projects/p/global/networks/n",
        ),
    ]


def test_who_changes_with_a_cluster_is_told():
    """Its subnetwork; and the cluster with its subnetwork, coming and going."""
    world = Gcp("agents", "net")
    theirs, changed = subnetwork(world)
    assert changed == {theirs}
    ours, changed = cluster(world)
    assert changed == {ours, theirs}
    assert set(world.remove(theirs)) == {ours, theirs}
    assert [c.cidr for c in claims(world, ours)[1:]] == ["10.4.0.0/14", "34.118.224.0/20"]
    assert claims(world, theirs) == []
    assert set(world.remove(theirs)) == set()


def test_an_instance_has_inner_addresses_since_it_was_made_and_outer_ones_since_its_start():
    """With alias addresses of one address; a range of them is no address."""
    world = Gcp("agents", "net")
    key, _ = put(
        world,
        "compute.instances",
        "projects/p/zones/europe-west1-b/instances/vm",
        name="vm",
        zone=f"{URL}projects/p/zones/europe-west1-b",
        creationTimestamp="2026-11-24T00:00:00.000-08:00",
        lastStartTimestamp="2026-11-25T00:00:00Z",
        networkInterfaces=[
            {
                "network": f"{URL}projects/p/global/networks/n",
                "networkIP": "10.0.0.2",
                "ipv6Address": "fd20:0:0:1::",
                "accessConfigs": [{"natIP": "34.1.2.3"}, {}],
                "aliasIpRanges": [{"ipCidrRange": "10.4.0.9/32"}, {"ipCidrRange": "10.4.1.0/24"}],
            }
        ],
    )
    same = {
        "workload": "vm",
        "zone": "europe-west1-b",
        "region": "europe-west1",
        "provider": "gcp",
    }
    made_us = 1_795_507_200_000_000
    started_us = 1_795_564_800_000_000
    assert claims(world, key) == [
        EndpointClaim(NETWORK, "10.0.0.2", "vm", since_us=made_us, **same),
        EndpointClaim(NETWORK, "fd20:0:0:1::", "vm", since_us=made_us, **same),
        EndpointClaim(NETWORK, "10.4.0.9", "interface", **same),
        EndpointClaim(INTERNET, "34.1.2.3", "vm", since_us=started_us, **same),
    ]


RULES = [
    (
        {"loadBalancingScheme": "EXTERNAL_MANAGED", "IPAddress": "34.9.9.9"},
        [(INTERNET, "34.9.9.9", "load_balancer")],
    ),
    (
        {"loadBalancingScheme": "EXTERNAL", "IPAddress": "2600:1901:0:1::/96"},
        [(INTERNET, "2600:1901:0:1::", "load_balancer")],
    ),
    (
        {
            "loadBalancingScheme": "INTERNAL",
            "IPAddress": "10.0.0.9",
            "network": f"{URL}projects/p/global/networks/n",
        },
        [(NETWORK, "10.0.0.9", "load_balancer")],
    ),
    (
        {
            "loadBalancingScheme": "EXTERNAL",
            "IPAddress": "34.9.9.8",
            "target": f"{URL}projects/p/regions/r/targetVpnGateways/g",
        },
        [(INTERNET, "34.9.9.8", "gateway")],
    ),
    ({"loadBalancingScheme": "INTERNAL", "IPAddress": "10.0.0.9"}, []),
    (
        {
            "loadBalancingScheme": "INTERNAL_SELF_MANAGED",
            "IPAddress": "0.0.0.0",
            "network": "projects/p/global/networks/n",
        },
        [],
    ),
]


@pytest.mark.parametrize(("keys", "expected"), RULES)
def test_a_forwarding_rule_is_a_load_balancer_where_its_address_is(keys, expected):
    """Outside, or in its network; one of a mesh has no address of its own."""
    world = Gcp("agents", "net")
    key, _ = put(
        world, "compute.forwardingRules", "projects/p/regions/r/forwardingRules/f", name="f", **keys
    )
    assert [(c.network, c.ip, c.kind) for c in claims(world, key)] == expected


def test_an_address_is_claimed_if_nobody_else_would():
    """Cloud NAT's is its router's; one of an instance is the instance's; a free one nobody's."""
    world = Gcp("agents", "net")
    keys = [
        put(
            world,
            "compute.addresses",
            f"projects/p/regions/europe-west1/addresses/a{at}",
            name=f"a{at}",
            address="34.1.1.1",
            region=f"{URL}projects/p/regions/europe-west1",
            users=users,
        )[0]
        for at, users in enumerate(
            (
                [f"{URL}projects/p/regions/europe-west1/routers/nat"],
                [f"{URL}projects/p/zones/europe-west1-b/instances/vm"],
                [],
            )
        )
    ]
    assert [claims(world, key) for key in keys] == [
        [
            EndpointClaim(
                INTERNET, "34.1.1.1", "gateway", workload="nat", provider="gcp",
                region="europe-west1",
            )
        ],
        [],
        [],
    ]  # fmt: skip


def test_networks_are_joined_where_both_sides_say_so():
    """A peering once it is active, with networks of other projects."""
    world = Gcp("agents", "net")
    key, _ = put(
        world,
        "compute.networks",
        "projects/p/global/networks/n",
        peerings=[
            {"name": "up", "state": "ACTIVE", "network": f"{URL}projects/q/global/networks/m"},
            {"name": "half", "state": "INACTIVE", "network": f"{URL}projects/q/global/networks/o"},
        ],
    )
    assert claims(world, key) == [
        PeeringClaim(NETWORK, "gcp/projects/q/global/networks/m", "vpc_peering", "up")
    ]


def test_a_vpn_between_two_gateways_joins_their_networks():
    """Once both are known and the tunnel stands; the gateways' addresses lead there."""
    world = Gcp("agents", "net")
    tunnel, _ = put(
        world,
        "compute.vpnTunnels",
        "projects/p/regions/r/vpnTunnels/t",
        name="t",
        status="ESTABLISHED",
        vpnGateway=f"{URL}projects/p/regions/r/vpnGateways/g",
        peerGcpGateway=f"{URL}projects/q/regions/r/vpnGateways/h",
    )
    assert claims(world, tunnel) == []
    gateways = []
    for project, name, ip in (("p", "g", "35.1.1.1"), ("q", "h", "35.2.2.2")):
        key, changed = put(
            world,
            "compute.vpnGateways",
            f"projects/{project}/regions/r/vpnGateways/{name}",
            name=name,
            network=f"{URL}projects/{project}/global/networks/n",
            vpnInterfaces=[{"id": 0, "ipAddress": ip}],
        )
        gateways.append(key)
        assert changed == {key, tunnel}
    assert claims(world, tunnel) == [
        PeeringClaim(NETWORK, "gcp/projects/q/global/networks/n", "vpn", "t")
    ]
    assert [(c.network, c.ip, c.kind, c.workload) for c in claims(world, gateways[0])] == [
        (INTERNET, "35.1.1.1", "gateway", "g")
    ]


# --- as recorded -------------------------------------------------------------


def _recorded(corpus):
    for path in sorted((corpus / "cloud-custodian-gcp").rglob("*.json")):
        yield path, json.loads(path.read_bytes())["body"]


def test_all_recorded_answers_are_read_and_claimed(corpus):
    """None of the 42 is refused by a world; only errors and other documents by the collector."""
    world = Gcp("agents", "net")
    refused, seen = {}, {}
    for path, body in _recorded(corpus):
        try:
            for one in gcp_export.objects(body):
                seen.setdefault(one.resource, set()).add(one.uid)
                world.put(Key(one.scope, one.resource, one.uid), json.dumps(one.object).encode())
        except ListingError as error:
            refused.setdefault(error.kind, []).append(path.parent.name)
    assert {resource: len(uids) for resource, uids in seen.items()} == {
        "compute.addresses": 4,
        "compute.instances": 4,
        "compute.networks": 1,
        "container.clusters": 6,
    }
    assert {kind: len(folders) for kind, folders in refused.items()} == {
        "error_answer": 2,
        "not_inventory": 5,
    }


def test_recorded_instances_and_their_addresses(corpus):
    """Read off the recorded answer by eye: five addresses of four machines in network default."""
    world = Gcp("agents", "net")
    body = dict(_recorded(corpus))[
        corpus
        / "cloud-custodian-gcp/instance-query/get-compute-v1-projects-cloud-custodian-aggregated-instances_1.json"
    ]
    keys = []
    for one in gcp_export.objects(body):
        keys.append(Key(one.scope, one.resource, one.uid))
        world.put(keys[-1], json.dumps(one.object).encode())
    default = "gcp/projects/cloud-custodian/global/networks/default"
    assert sorted(
        (c.network, c.ip, c.workload, c.zone) for k in keys for c in claims(world, k)
    ) == [
        (default, "10.128.0.2", "drone", "us-central1-b"),
        (default, "10.128.0.3", "c7n-jenkins", "us-central1-b"),
        (default, "10.142.0.2", "custodian", "us-east1-d"),
        (default, "10.142.0.3", "custodian-dev", "us-east1-b"),
        (INTERNET, "104.154.233.11", "c7n-jenkins", "us-central1-b"),
        (INTERNET, "104.196.149.1", "custodian", "us-east1-d"),
    ]


def test_recorded_clusters_and_ranges(corpus):
    """Clusters of routes tell their ranges themselves; a range lent to producers is the network's."""
    world = Gcp("agents", "net")
    keys = set()
    for path, body in _recorded(corpus):
        if path.parent.name in {
            "gke-cluster-filter-effective-firewall",
            "lb-addresses-global-addresses",
        }:
            try:
                for one in gcp_export.objects(body):
                    keys.add(Key(one.scope, one.resource, one.uid))
                    world.put(
                        Key(one.scope, one.resource, one.uid), json.dumps(one.object).encode()
                    )
            except ListingError:
                continue
    networks = "gcp/projects/cloud-custodian/global/networks/"
    found = {c for key in keys for c in claims(world, key)}
    assert {
        (c.network, c.cidr, c.kind, c.cluster) for c in found if isinstance(c, PrefixClaim)
    } == {
        (f"{networks}default", "10.0.0.0/14", "pod", "c7nnode-cluster-1"),
        (f"{networks}default", "10.3.240.0/20", "service", "c7nnode-cluster-1"),
        (f"{networks}gke-test-network", "10.128.0.0/14", "pod", "c7nnode-cluster-2"),
        (f"{networks}gke-test-network", "10.131.240.0/20", "service", "c7nnode-cluster-2"),
        (f"{networks}default", "11.56.96.0/22", "subnet", None),
    }
    assert {c for c in found if isinstance(c, ClusterClaim)} == {
        ClusterClaim(
            f"c7nnode-cluster-{at}", "gcp", "us-central1", tuple(f"us-central1-{z}" for z in zones)
        )
        for at, zones in ((1, "cab"), (2, "fbc"))
    }


@given(
    st.sampled_from(["compute.networks", "compute.instances", "container.clusters", "x"]),
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["name", "zone", "network", "networkInterfaces", "networkIP"])
                    | st.text(max_size=3),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=10,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_object_is_claimed_or_refused(resource, text):
    """Nothing an export can hold raises anything but `ObjectError`."""
    world = Gcp("agents", "net")
    key = Key("p", resource, "projects/p/global/networks/n")
    try:
        for one in world.put(key, text):
            list(world.claims(one))
    except ObjectError:
        assert list(world.claims(key)) == []


def test_what_is_wrong_is_named_and_what_was_known_stays():
    """A refused object changes nothing."""
    world = Gcp("agents", "net")
    key, _ = subnetwork(world)
    before = claims(world, key)
    with pytest.raises(ObjectError, match=r"subnetworks/s: .*10\.0\.0\.0/40.* `\$\.ipCidrRange`"):
        world.put(key, b'{"network": "n", "ipCidrRange": "10.0.0.0/40"}')
    assert claims(world, key) == before
