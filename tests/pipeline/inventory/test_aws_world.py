"""What AWS's objects claim: literal objects, recorded answers, and any order of any changes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.aws_resources import RESOURCES, kept
from pipeline.inventory.file import INTERNET
from pipeline.inventory.sources import (
    Claim,
    ClusterClaim,
    EndpointClaim,
    Key,
    ObjectError,
    PeeringClaim,
    PrefixClaim,
)
from pipeline.inventory.sources.aws import Aws

HERE = "111111111111/eu-west-1"
THERE = "222222222222/us-east-1"


def key(resource: str, uid: str, scope: str = HERE) -> Key:
    return Key(scope, resource, uid)


def put(world: Aws, resource: str, uid: str, scope: str = HERE, **item: Any) -> Key:
    one = key(resource, uid, scope)
    world.put(one, json.dumps(item).encode())
    return one


def named(name: str) -> list[dict[str, str]]:
    return [{"Key": "Name", "Value": name}]


def addresses(claims: Any) -> list[tuple[str, str, str, str | None]]:
    return [(c.network, c.ip, c.kind, c.workload) for c in claims]


def interface(world: Aws, uid: str = "eni-1", ip: str = "10.0.0.5", **more: Any) -> Key:
    return put(
        world,
        "ec2.network_interfaces",
        uid,
        **{
            "VpcId": "vpc-1",
            "AvailabilityZone": "eu-west-1a",
            "PrivateIpAddresses": [{"PrivateIpAddress": ip, "Primary": True}],
        }
        | more,
    )


def test_a_vpc_claims_its_associated_ranges():
    """IPv4 in the VPC's network, IPv6 everywhere; a range that is leaving is none."""
    world = Aws("east", "net")
    vpc = put(
        world,
        "ec2.vpcs",
        "vpc-1",
        OwnerId="999999999999",
        CidrBlock="10.0.0.0/16",
        CidrBlockAssociationSet=[
            {"CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}},
            {"CidrBlock": "10.9.0.0/16", "CidrBlockState": {"State": "disassociated"}},
            {"CidrBlock": "100.64.0.0/16", "CidrBlockState": {"State": "associated"}},
        ],
        Ipv6CidrBlockAssociationSet=[
            {"Ipv6CidrBlock": "2600:1f18:1::/56", "Ipv6CidrBlockState": {"State": "associated"}},
            {"Ipv6CidrBlock": "fd00:1::/56", "Ipv6CidrBlockState": {"State": "associated"}},
        ],
        Tags=named("shop"),
    )
    facts = {"name": "shop", "provider": "aws", "region": "eu-west-1", "account": "999999999999"}
    assert world.claims(vpc) == [
        PrefixClaim("aws/vpc-1", "10.0.0.0/16", "vpc", vpc="vpc-1", **facts),
        PrefixClaim("aws/vpc-1", "100.64.0.0/16", "vpc", vpc="vpc-1", **facts),
        PrefixClaim(INTERNET, "2600:1f18:1::/56", "vpc", vpc="vpc-1", **facts),
        PrefixClaim("aws/vpc-1", "fd00:1::/56", "vpc", vpc="vpc-1", **facts),
    ]


def test_a_subnets_zone_is_looked_up_in_its_own_account():
    """Zone names differ by account: an id means what the subnet's own scope says, whenever it does."""
    world = Aws("east", "net")
    subnet = put(
        world,
        "ec2.subnets",
        "subnet-1",
        VpcId="vpc-1",
        CidrBlock="10.0.1.0/24",
        AvailabilityZoneId="euw1-az1",
    )
    put(world, "ec2.zones", "eu-west-1c", THERE, ZoneName="eu-west-1c", ZoneId="euw1-az1")
    claim = PrefixClaim(
        "aws/vpc-1",
        "10.0.1.0/24",
        "subnet",
        provider="aws",
        region="eu-west-1",
        account="111111111111",
        vpc="vpc-1",
        subnet="subnet-1",
    )
    assert world.claims(subnet) == [claim]
    zone = key("ec2.zones", "eu-west-1a")
    changed = world.put(zone, b'{"ZoneName":"eu-west-1a","ZoneId":"euw1-az1"}')
    assert set(changed) == {zone, subnet}
    assert world.claims(subnet) == [claim._replace(zone="eu-west-1a")]


def test_an_instances_addresses():
    """The first is the machine's, from when it was attached; the rest are of pods, for all AWS says."""
    world = Aws("east", "net")
    eni = interface(
        world,
        Attachment={"InstanceId": "i-1", "AttachTime": "2026-01-02T03:04:05+00:00"},
        PrivateIpAddresses=[
            {
                "PrivateIpAddress": "10.0.0.5",
                "Primary": True,
                "Association": {"PublicIp": "203.0.113.5"},
            },
            {"PrivateIpAddress": "10.0.0.6", "Primary": False},
        ],
        Ipv6Addresses=[{"Ipv6Address": "2600:1f18:1::5"}],
        Ipv4Prefixes=[{"Ipv4Prefix": "10.0.0.32/28"}],
    )
    assert addresses(world.claims(eni))[:3] == [
        ("aws/vpc-1", "10.0.0.5", "vm", "i-1"),
        (INTERNET, "203.0.113.5", "vm", "i-1"),
        ("aws/vpc-1", "10.0.0.6", "interface", None),
    ]
    instance = put(world, "ec2.instances", "i-1", VpcId="vpc-1", Tags=named("web"))
    claims = list(world.claims(eni))
    assert claims[0] == EndpointClaim(
        "aws/vpc-1",
        "10.0.0.5",
        "vm",
        workload="web",
        zone="eu-west-1a",
        provider="aws",
        region="eu-west-1",
        since_us=1_767_323_045_000_000,
    )
    assert claims[2].node == "web"
    assert addresses(claims[3:5]) == [
        (INTERNET, "2600:1f18:1::5", "vm", "web"),
        ("aws/vpc-1", "10.0.0.32", "interface", None),
    ]
    assert [claim.ip for claim in claims[4:]] == [f"10.0.0.{n}" for n in range(32, 48)]
    assert world.claims(instance) == []


def test_an_instance_speaks_for_itself_where_interfaces_may_not_be_listed():
    """Denied interfaces lose what only they know; a terminated machine has no address."""
    world = Aws("east", "net")
    facts = {
        "VpcId": "vpc-1",
        "PrivateIpAddress": "10.0.0.5",
        "PublicIpAddress": "203.0.113.5",
        "Placement": {"AvailabilityZone": "eu-west-1b"},
    }
    instance = put(world, "ec2.instances", "i-1", **facts)
    assert addresses(world.claims(instance)) == [
        ("aws/vpc-1", "10.0.0.5", "vm", "i-1"),
        (INTERNET, "203.0.113.5", "vm", "i-1"),
    ]
    put(world, "ec2.instances", "i-1", **facts, State={"Name": "terminated"})
    assert world.claims(instance) == []


def test_a_node_of_a_cluster_yields_to_its_api_server():
    """Its tags say so: an interface makes nothing ambiguous that the API server tells of."""
    world = Aws("east", "net")
    eni = interface(world, Attachment={"InstanceId": "i-1"})
    tags = [*named("worker-1"), {"Key": "kubernetes.io/cluster/shop", "Value": "owned"}]
    put(world, "ec2.instances", "i-1", VpcId="vpc-1", Tags=tags)
    (claim,) = world.claims(eni)
    assert (claim.kind, claim.workload, claim.node) == ("interface", "worker-1", "worker-1")


OWNERS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "a NAT gateway, by its description": (
        {"InterfaceType": "nat_gateway", "Description": "Interface for NAT Gateway nat-0ab1"},
        "gateway",
        "nat-0ab1",
    ),
    "a NAT gateway nobody names": ({"InterfaceType": "nat_gateway"}, "gateway", None),
    "a network load balancer": (
        {"InterfaceType": "network_load_balancer", "Description": "ELB net/web/50dc6c495c0c9188"},
        "load_balancer",
        "web",
    ),
    "an application load balancer": (
        {"RequesterManaged": True, "Description": "ELB app/shop/0a1b2c3d4e5f6a7b"},
        "load_balancer",
        "shop",
    ),
    "a classic load balancer": (
        {"RequesterManaged": True, "Description": "ELB old"},
        "load_balancer",
        "old",
    ),
    "somebody's text": ({"Description": "ELB net/web/1"}, "interface", "ELB net/web/1"),
    "a function": (
        {"InterfaceType": "lambda", "Description": "AWS Lambda VPC ENI-pay-1b2c"},
        "interface",
        "AWS Lambda VPC ENI-pay-1b2c",
    ),
    "an endpoint": (
        {"InterfaceType": "vpc_endpoint", "Description": "VPC Endpoint Interface vpce-0a"},
        "interface",
        "VPC Endpoint Interface vpce-0a",
    ),
    "a name of ours": (
        {"TagSet": named("spare"), "Description": "for later"},
        "interface",
        "spare",
    ),
    "nothing": ({}, "interface", None),
}


@pytest.mark.parametrize("what", OWNERS)
def test_whom_an_interface_is_for(what: str):
    """By type, by who made it and how they describe it; never by text that anybody may write."""
    facts, kind, workload = OWNERS[what]
    world = Aws("east", "net")
    assert addresses(world.claims(interface(world, **facts))) == [
        ("aws/vpc-1", "10.0.0.5", kind, workload)
    ]


def test_a_load_balancers_host_name_joins_its_interfaces():
    """The description's end is the ARN's: the interface's service is what clients call."""
    world = Aws("east", "net")
    eni = interface(world, RequesterManaged=True, Description="ELB net/web/50dc6c495c0c9188")
    arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/net/web/50dc6c495c0c9188"
    put(world, "elbv2.load_balancers", arn, LoadBalancerName="web", DNSName="web.elb.example")
    (claim,) = world.claims(eni)
    assert (claim.workload, claim.service) == ("web", "web.elb.example")


def test_a_public_address_has_one_claimant():
    """Interface before NAT gateway before Elastic IP: two owners of one address would be ambiguous."""
    world = Aws("east", "net")
    elastic = put(
        world, "ec2.addresses", "eipalloc-1", PublicIp="203.0.113.9", Tags=named("egress")
    )
    assert addresses(world.claims(elastic)) == [(INTERNET, "203.0.113.9", "interface", "egress")]
    held = {
        "PublicIp": "203.0.113.9",
        "PrivateIp": "10.0.0.9",
        "NetworkInterfaceId": "eni-9",
    }
    nat = put(
        world,
        "ec2.nat_gateways",
        "nat-1",
        VpcId="vpc-1",
        State="available",
        NatGatewayAddresses=[held],
    )
    assert world.claims(elastic) == []
    assert addresses(world.claims(nat)) == [
        ("aws/vpc-1", "10.0.0.9", "gateway", "nat-1"),
        (INTERNET, "203.0.113.9", "gateway", "nat-1"),
    ]
    eni = interface(
        world,
        "eni-9",
        InterfaceType="nat_gateway",
        PrivateIpAddresses=[
            {
                "PrivateIpAddress": "10.0.0.9",
                "Primary": True,
                "Association": {"PublicIp": "203.0.113.9"},
            }
        ],
    )
    assert (world.claims(elastic), world.claims(nat)) == ([], [])
    assert addresses(world.claims(eni)) == [
        ("aws/vpc-1", "10.0.0.9", "gateway", "nat-1"),
        (INTERNET, "203.0.113.9", "gateway", "nat-1"),
    ]
    put(world, "ec2.nat_gateways", "nat-1", State="deleted", NatGatewayAddresses=[held])
    world.remove(eni)
    assert addresses(world.claims(elastic)) == [(INTERNET, "203.0.113.9", "interface", "egress")]


def test_a_peering_is_claimed_both_ways_and_once():
    """Only an active one; told by both accounts, one of them claims it."""
    world = Aws("east", "net")
    facts = {"RequesterVpcInfo": {"VpcId": "vpc-1"}, "AccepterVpcInfo": {"VpcId": "vpc-2"}}
    resource = "ec2.vpc_peering_connections"
    peering = put(world, resource, "pcx-1", **facts, Status={"Code": "pending-acceptance"})
    assert world.claims(peering) == []
    put(world, resource, "pcx-1", **facts, Status={"Code": "active"}, Tags=named("shop-pay"))
    other = put(world, resource, "pcx-1", THERE, **facts, Status={"Code": "active"})
    assert world.claims(peering) == [
        PeeringClaim("aws/vpc-1", "aws/vpc-2", "vpc_peering", "shop-pay"),
        PeeringClaim("aws/vpc-2", "aws/vpc-1", "vpc_peering", "shop-pay"),
    ]
    assert world.claims(other) == []
    assert set(world.remove(peering)) == {peering, other}
    assert [claim.name for claim in world.claims(other)] == ["pcx-1", "pcx-1"]


def test_vpcs_of_a_transit_gateway_reach_each_other():
    """Each attachment claims the ways out of its VPC; what is no VPC, or not there yet, has none."""
    world = Aws("east", "net")

    def attach(uid: str, gateway: str, vpc_id: str, state: str, kind: str = "vpc") -> Key:
        return put(
            world,
            "ec2.transit_gateway_attachments",
            uid,
            TransitGatewayId=gateway,
            ResourceType=kind,
            ResourceId=vpc_id,
            State=state,
        )

    first = attach("tgw-attach-1", "tgw-1", "vpc-1", "available")
    attach("tgw-attach-2", "tgw-1", "vpc-2", "available")
    attach("tgw-attach-3", "tgw-1", "vpc-3", "pendingAcceptance")
    vpn = attach("tgw-attach-4", "tgw-1", "vpn-4", "available", "vpn")
    attach("tgw-attach-5", "tgw-2", "vpc-5", "available")
    third = attach("tgw-attach-3", "tgw-1", "vpc-3", "available")
    assert world.claims(first) == [
        PeeringClaim("aws/vpc-1", "aws/vpc-2", "transit", "tgw-1"),
        PeeringClaim("aws/vpc-1", "aws/vpc-3", "transit", "tgw-1"),
    ]
    assert world.claims(vpn) == []
    assert first in world.remove(third)
    assert world.claims(first) == [PeeringClaim("aws/vpc-1", "aws/vpc-2", "transit", "tgw-1")]


def test_a_vpns_outer_addresses_are_gateways():
    """AWS's side of a VPN, while it is there; where it leads nobody says."""
    world = Aws("east", "net")
    ends = [{"OutsideIpAddress": "203.0.113.20"}, {"OutsideIpAddress": "203.0.113.21"}]
    vpn = put(world, "ec2.vpn_connections", "vpn-1", State="available", VgwTelemetry=ends)
    assert addresses(world.claims(vpn)) == [
        (INTERNET, "203.0.113.20", "gateway", "vpn-1"),
        (INTERNET, "203.0.113.21", "gateway", "vpn-1"),
    ]
    put(world, "ec2.vpn_connections", "vpn-1", State="deleted", VgwTelemetry=ends)
    assert world.claims(vpn) == []


def test_prefix_lists_name_ranges_outside():
    """The customer's, and only ranges that mean the same everywhere; Amazon's own are many and change."""
    world = Aws("east", "net")
    entries = [
        {"Cidr": cidr}
        for cidr in ("203.0.113.0/24", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "fd00::/8")
    ]
    ours = put(
        world,
        "ec2.prefix_lists",
        "pl-1",
        PrefixListName="offices",
        OwnerId="111111111111",
        Entries=entries,
    )
    theirs = put(
        world, "ec2.prefix_lists", "pl-2", PrefixListName="s3", OwnerId="AWS", Entries=entries
    )
    assert world.claims(ours) == [
        PrefixClaim(INTERNET, cidr, "external", name="offices", account="111111111111")
        for cidr in ("203.0.113.0/24", "2001:db8::/32")
    ]
    assert world.claims(theirs) == []


@pytest.mark.parametrize("agents", ["shop", "arn:aws:eks:eu-west-1:1:cluster/shop", "other"])
def test_an_eks_cluster(agents: str):
    """Its services' range is in its VPC; the agent's own cluster is known by name or ARN."""
    world = Aws(agents, "net")
    arn = "arn:aws:eks:eu-west-1:1:cluster/shop"
    cluster = put(
        world,
        "eks.clusters",
        arn,
        name="shop",
        arn=arn,
        resourcesVpcConfig={"vpcId": "vpc-1"},
        kubernetesNetworkConfig={"serviceIpv4Cidr": "172.20.0.0/16"},
    )
    ours = agents != "other"
    services = PrefixClaim(
        "aws/vpc-1",
        "172.20.0.0/16",
        "service",
        cluster=agents if ours else None,
        name="shop",
        provider="aws",
        region="eu-west-1",
        account="111111111111",
        vpc="vpc-1",
    )
    known: list[Claim] = [ClusterClaim(agents, provider="aws", region="eu-west-1")] if ours else []
    assert world.claims(cluster) == [*known, services]


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        ("ec2.vpcs", b"{"),
        ("ec2.vpcs", b"[]"),
        ("ec2.subnets", b"{}"),
        ("ec2.vpcs", b'{"CidrBlock":"10.0.0.0/33"}'),
        ("ec2.network_interfaces", b'{"PrivateIpAddress":"10.0.0.256"}'),
        ("ec2.network_interfaces", b'{"Ipv6Addresses":[{"Ipv6Address":"fe80::1%eth0"}]}'),
        ("ec2.prefix_lists", b'{"Entries":[{"Cidr":7}]}'),
        ("eks.clusters", b'{"name":"a\\u0000b"}'),
    ],
)
def test_an_object_that_is_none_is_refused_and_what_was_known_stays(resource: str, text: bytes):
    """`ObjectError`, with the object's name; the claims of before hold."""
    world = Aws("east", "net")
    good = {
        "ec2.vpcs": {"CidrBlock": "10.0.0.0/16"},
        "ec2.subnets": {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24"},
        "ec2.network_interfaces": {"VpcId": "vpc-1", "PrivateIpAddress": "10.0.0.1"},
        "ec2.prefix_lists": {"Entries": [{"Cidr": "203.0.113.0/24"}]},
        "eks.clusters": {
            "name": "shop",
            "resourcesVpcConfig": {"vpcId": "vpc-1"},
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.20.0.0/16"},
        },
    }
    one = put(world, resource, "uid-1", **good[resource])
    before = list(world.claims(one))
    with pytest.raises(ObjectError, match=f"{resource} uid-1: "):
        world.put(one, text)
    assert world.claims(one) == before != []


@given(st.sampled_from([*RESOURCES, "pods"]), st.binary(max_size=200))
def test_any_bytes_claim_something_or_are_refused(resource: str, text: bytes):
    """Nothing an object holds raises but `ObjectError`."""
    world = Aws("east", "net")
    try:
        changed = world.put(key(resource, "x"), text)
    except ObjectError:
        return
    for one in changed:
        list(world.claims(one))


IPS = st.sampled_from(["203.0.113.1", "203.0.113.2"])
ENIS = st.sampled_from(["eni-1", "eni-2"])
NAMES = st.sampled_from([[], named("a"), named("b")])
ITEMS: dict[str, tuple[list[str], st.SearchStrategy[dict[str, Any]]]] = {
    "ec2.network_interfaces": (
        ["eni-1", "eni-2"],
        st.fixed_dictionaries(
            {
                "VpcId": st.just("vpc-1"),
                "InterfaceType": st.sampled_from(["interface", "nat_gateway"]),
                "Attachment": st.sampled_from([{}, {"InstanceId": "i-1"}]),
                "RequesterManaged": st.booleans(),
                "Description": st.sampled_from(["", "ELB net/web/1"]),
                "PrivateIpAddress": st.sampled_from(["10.0.0.1", "10.0.0.2"]),
                "Association": st.one_of(st.just({}), st.builds(lambda ip: {"PublicIp": ip}, IPS)),
            }
        ),
    ),
    "ec2.instances": (
        ["i-1"],
        st.fixed_dictionaries(
            {
                "VpcId": st.just("vpc-1"),
                "PrivateIpAddress": st.just("10.0.0.1"),
                "PublicIpAddress": IPS,
                "State": st.sampled_from([{"Name": "running"}, {"Name": "terminated"}]),
                "Tags": NAMES,
            }
        ),
    ),
    "ec2.nat_gateways": (
        ["nat-1", "nat-2"],
        st.fixed_dictionaries(
            {
                "VpcId": st.just("vpc-1"),
                "State": st.sampled_from(["available", "deleted"]),
                "NatGatewayAddresses": st.lists(
                    st.fixed_dictionaries(
                        {
                            "PublicIp": IPS,
                            "PrivateIp": st.just("10.0.0.2"),
                            "NetworkInterfaceId": ENIS,
                        }
                    ),
                    max_size=2,
                ),
            }
        ),
    ),
    "ec2.addresses": (
        ["eipalloc-1"],
        st.fixed_dictionaries(
            {"PublicIp": IPS, "InstanceId": st.sampled_from(["", "i-1"]), "Tags": NAMES}
        ),
    ),
    "elbv2.load_balancers": (
        ["arn:x:loadbalancer/net/web/1"],
        st.fixed_dictionaries({"DNSName": st.sampled_from(["a.example", "b.example"])}),
    ),
    "ec2.subnets": (
        ["subnet-1"],
        st.fixed_dictionaries(
            {
                "VpcId": st.just("vpc-1"),
                "CidrBlock": st.just("10.0.0.0/24"),
                "AvailabilityZone": st.sampled_from(["", "z"]),
                "AvailabilityZoneId": st.sampled_from(["az1", "az2"]),
            }
        ),
    ),
    "ec2.zones": (
        ["za", "zb"],
        st.fixed_dictionaries(
            {"ZoneName": st.sampled_from(["za", "zb"]), "ZoneId": st.sampled_from(["az1", "az2"])}
        ),
    ),
    "ec2.transit_gateway_attachments": (
        ["tgw-attach-1", "tgw-attach-2", "tgw-attach-3"],
        st.fixed_dictionaries(
            {
                "TransitGatewayId": st.sampled_from(["tgw-1", "tgw-2"]),
                "ResourceType": st.just("vpc"),
                "ResourceId": st.sampled_from(["vpc-1", "vpc-2", "vpc-3"]),
                "State": st.sampled_from(["available", "deleting"]),
            }
        ),
    ),
    "ec2.vpc_peering_connections": (
        ["pcx-1"],
        st.fixed_dictionaries(
            {
                "RequesterVpcInfo": st.just({"VpcId": "vpc-1"}),
                "AccepterVpcInfo": st.just({"VpcId": "vpc-2"}),
                "Status": st.sampled_from([{"Code": "active"}, {"Code": "deleted"}]),
                "Tags": NAMES,
            }
        ),
    ),
}


@st.composite
def changes(draw: st.DrawFn) -> tuple[Key, dict[str, Any] | None]:
    resource = draw(st.sampled_from(sorted(ITEMS)))
    uids, items = ITEMS[resource]
    one = Key(draw(st.sampled_from([HERE, THERE])), resource, draw(st.sampled_from(uids)))
    return one, draw(st.one_of(st.none(), items, items))


@given(st.lists(changes(), max_size=25), st.randoms(use_true_random=False))
def test_any_order_of_changes_ends_in_the_same_claims(
    told: list[tuple[Key, dict[str, Any] | None]], random: Any
):
    """Claims asked again where `put` and `remove` say so equal those of a world told only the end."""
    world = Aws("east", "net")
    known: dict[Key, list[Claim]] = {}
    last: dict[Key, dict[str, Any]] = {}
    for one, item in told:
        if item is None:
            last.pop(one, None)
            changed = world.remove(one)
        else:
            last[one] = item
            changed = world.put(one, json.dumps(item).encode())
        for other in changed:
            known[other] = list(world.claims(other))
    fresh = Aws("east", "net")
    order = list(last)
    random.shuffle(order)
    for one in order:
        fresh.put(one, json.dumps(last[one]).encode())
    expected = {one: list(fresh.claims(one)) for one in last}
    assert {one: claims for one, claims in known.items() if claims} == {
        one: claims for one, claims in expected.items() if claims
    }


# --- recorded answers --------------------------------------------------------


def revived(item: Any) -> Any:
    """Placebo's JSON to what boto3 gave."""
    if isinstance(item, list):
        return [revived(one) for one in item]
    if isinstance(item, dict):
        if item.get("__class__") == "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return datetime(*(item[part] for part in parts), tzinfo=UTC)
        return {name: revived(one) for name, one in item.items()}
    return item


ANSWERS = {  # call to its resource, and to how many files, objects and claims there are
    "ec2.DescribeVpcs": ("ec2.vpcs", 26, 52, 55),
    "ec2.DescribeSubnets": ("ec2.subnets", 39, 86, 86),
    "ec2.DescribeNetworkInterfaces": ("ec2.network_interfaces", 17, 58, 75),
    "ec2.DescribeNatGateways": ("ec2.nat_gateways", 6, 7, 14),
    "ec2.DescribeVpcPeeringConnections": ("ec2.vpc_peering_connections", 1, 1, 2),
    "eks.DescribeCluster": ("eks.clusters", 11, 11, 5),
    "directconnect.DescribeConnections": ("directconnect.connections", 1, 2, 0),
    "directconnect.DescribeDirectConnectGateways": ("directconnect.gateways", 1, 1, 0),
}


def recorded(folder: Path, call: str) -> list[dict[str, Any]]:
    """Objects of all recorded answers of a call."""
    resource = RESOURCES[ANSWERS[call][0]]
    found = []
    files = sorted(folder.glob(f"*/{call}_*.json"))
    assert len(files) == ANSWERS[call][1]
    for file in files:
        data = revived(json.loads(file.read_text("utf-8"))["data"])
        if call == "eks.DescribeCluster":
            found += [data["cluster"]] if "cluster" in data else []
        else:
            found += data.get(resource.path[0], [])
    return found


@pytest.mark.parametrize("call", ANSWERS)
def test_every_recorded_answer_is_read(corpus: Path, call: str):
    """What AWS answered to Cloud Custodian: each object is trimmed and read; as many claims as counted in the files."""
    name, _, objects, claims = ANSWERS[call]
    world = Aws("east", "net")
    items = recorded(corpus / "cloud-custodian-aws", call)
    assert len(items) == objects
    keys = [key(name, f"{item.get(RESOURCES[name].uid, '')}#{n}") for n, item in enumerate(items)]
    for one, item in zip(keys, items, strict=True):
        world.put(one, msgspec.json.encode(kept(item, RESOURCES[name])))
    assert sum(len(list(world.claims(one))) for one in keys) == claims


def test_what_recorded_interfaces_claim(corpus: Path):
    """Owners of real interfaces: a machine, NAT gateways, endpoints, functions, mount targets."""
    world = Aws("east", "net")
    found = set()
    for item in recorded(corpus / "cloud-custodian-aws", "ec2.DescribeNetworkInterfaces"):
        one = key("ec2.network_interfaces", item["NetworkInterfaceId"])
        text = msgspec.json.encode(kept(item, RESOURCES[one.resource]))
        world.put(one, text)
        assert b"RequesterId" not in text
        assert b"GroupName" not in text
        found |= {
            (claim.network, claim.ip, claim.kind, claim.workload, claim.since_us)
            for claim in world.claims(one)
        }
    machine = ("vm", "i-05fccf7da99ad47f7")
    assert {
        ("aws/vpc-08bbc74c36b8a08dd", "10.146.96.42", *machine, 1_698_168_102_000_000),
        (INTERNET, "107.20.239.31", *machine, None),
        ("aws/vpc-064a31b839b9d0de4", "10.4.9.47", "interface", None, None),
    } <= found
    gateways = {workload for _, _, kind, workload, _ in found if kind == "gateway"}
    assert len(gateways) == 4
    assert all(workload.startswith("nat-0") for workload in gateways)
