"""What objects of NetBox claim; made by hand from the serializers of NetBox 4.x."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inventory.file import INTERNET
from pipeline.inventory.sources import EndpointClaim, Key, ObjectError, PrefixClaim
from pipeline.inventory.sources.netbox import Netbox


def claims(resource, **keys: object):
    world = Netbox("agents", "net-dc")
    key = Key("", resource, "7")
    assert set(world.put(key, json.dumps(keys).encode())) == {key}
    return list(world.claims(key))


def test_a_prefix_with_all_that_is_read_of_it():
    """The VRF is its network, the site its zone, the tenant its account."""
    assert claims(
        "ipam.prefixes",
        prefix="10.1.0.0/16",
        status={"value": "active"},
        vrf={"name": "blue"},
        scope_type="dcim.site",
        scope={"name": "dc1"},
        tenant={"name": "shop"},
        role={"name": "servers"},
        description="racks 1 to 9",
    ) == [
        PrefixClaim(
            "netbox/vrf/blue",
            "10.1.0.0/16",
            "subnet",
            name="racks 1 to 9",
            zone="dc1",
            account="shop",
        )
    ]


PREFIXES = [
    ({"prefix": "10.1.0.0/16"}, ("net-dc", "subnet", None, None, None)),
    ({"prefix": "198.51.100.0/24"}, (INTERNET, "subnet", None, None, None)),
    (
        {"prefix": "198.51.100.0/24", "vrf": {"name": "blue"}},
        ("netbox/vrf/blue", "subnet", None, None, None),
    ),
    ({"prefix": "fd00::/8", "status": {"value": "container"}}, ("net-dc", "vpc", None, None, None)),
    (
        {"prefix": "10.1.0.0/16", "status": {"value": "reserved"}, "role": {"name": "lab"}},
        ("net-dc", "subnet", "lab", None, None),
    ),
    (
        {"prefix": "10.1.0.0/16", "scope_type": "dcim.region", "scope": {"name": "eu"}},
        ("net-dc", "subnet", None, "eu", None),
    ),
    (
        {"prefix": "10.1.0.0/16", "site": {"name": "dc2"}},
        ("net-dc", "subnet", None, None, "dc2"),
    ),
    ({"prefix": "10.1.0.0/16", "status": {"value": "deprecated"}}, None),
]


@pytest.mark.parametrize(("keys", "expected"), PREFIXES)
def test_where_a_prefix_is_and_what(keys, expected):
    """In its VRF, else the agent's network, else outside; deprecated ones are nobody's."""
    found = [(c.network, c.kind, c.name, c.region, c.zone) for c in claims("ipam.prefixes", **keys)]
    assert found == ([expected] if expected else [])


ACTIVE = {"value": "active"}
ADDRESSES = [
    (
        {"assigned_object": {"name": "eth0", "virtual_machine": {"name": "db-1"}}},
        EndpointClaim("net-dc", "10.1.2.3", "vm", workload="db-1"),
    ),
    (
        {
            "assigned_object": {"name": "ge0", "device": {"name": "r1"}},
            "dns_name": "r1.example.com",
        },
        EndpointClaim("net-dc", "10.1.2.3", "node", node="r1", service="r1.example.com"),
    ),
    (
        {"role": {"value": "vip"}, "dns_name": "shop.example.com"},
        EndpointClaim("net-dc", "10.1.2.3", "load_balancer", service="shop.example.com"),
    ),
    (
        {"role": {"value": "vrrp"}, "assigned_object_type": "ipam.fhrpgroup"},
        EndpointClaim("net-dc", "10.1.2.3", "gateway"),
    ),
    ({}, EndpointClaim("net-dc", "10.1.2.3", "interface")),
    ({"vrf": {"name": "blue"}}, EndpointClaim("netbox/vrf/blue", "10.1.2.3", "interface")),
    ({"address": "8.8.8.8/32"}, EndpointClaim(INTERNET, "8.8.8.8", "interface")),
    ({"address": "2001:db8::1/64"}, EndpointClaim(INTERNET, "2001:db8::1", "interface")),
    ({"status": {"value": "reserved"}}, None),
    ({"status": {"value": "deprecated"}}, None),
]


@pytest.mark.parametrize(("keys", "expected"), ADDRESSES)
def test_an_address_in_use_is_what_it_is_assigned_to(keys, expected):
    """Without its mask; reserved and deprecated ones are nobody's."""
    given_keys = {"address": "10.1.2.3/24", "status": ACTIVE} | keys
    assert claims("ipam.ip-addresses", **given_keys) == ([expected] if expected else [])


def test_an_object_that_goes_claims_nothing():
    """Nor does another resource."""
    world = Netbox("agents", "net-dc")
    key = Key("", "ipam.prefixes", "7")
    world.put(key, b'{"prefix": "10.0.0.0/8"}')
    assert set(world.remove(key)) == {key}
    assert list(world.claims(key)) == []
    assert list(world.put(Key("", "dcim.devices", "1"), b"{}")) == []


@given(
    st.sampled_from(["ipam.prefixes", "ipam.ip-addresses"]),
    st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["prefix", "address", "status", "vrf", "assigned_object"]),
            st.text(max_size=20)
            | st.dictionaries(st.sampled_from(["name", "value"]), st.text(max_size=5)),
        ).map(lambda keys: json.dumps(keys).encode()),
    ),
)
def test_any_object_is_claimed_or_refused(resource, text):
    """Nothing a server can answer raises anything but `ObjectError`."""
    world = Netbox("agents", "net-dc")
    key = Key("", resource, "7")
    try:
        world.put(key, text)
    except ObjectError:
        assert list(world.claims(key)) == []
    else:
        assert len(list(world.claims(key))) <= 1
