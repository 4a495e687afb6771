"""AWS's API, as moto serves it over HTTP: what the input ships of it, and what that claims."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import boto3
import polars as pl
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from collectors import aws
from collectors.agent import INPUTS
from collectors.aws_resources import RESOURCES
from collectors.batch import Batcher
from collectors.change import Change, decode
from collectors.config import (
    AgentFile,
    AwsInput,
    AwsResource,
    BatchConfig,
    ConfigError,
    decode_toml,
)
from collectors.envelope import Header
from collectors.listing import ListingError
from collectors.ship import Parcel
from pipeline.inventory import file
from pipeline.inventory.file import INTERNET
from pipeline.inventory.registry import Registry
from pipeline.inventory.sources import ClusterClaim, EndpointClaim, Key, PeeringClaim, PrefixClaim
from pipeline.inventory.sources.aws import Aws
from pipeline.schema.inventory import CHANGES

ACCOUNT = "123456789012"
LONDON, OHIO = f"{ACCOUNT}/eu-west-2", f"{ACCOUNT}/us-east-2"
UNSERVED = {"directconnect.virtual_interfaces", "directconnect.gateways"}
"""What moto answers with status 500."""


class Ships:
    """Takes envelopes, as a `Shipper` whose queue always has room."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def put(self, parcel: Parcel, stop: threading.Event) -> bool:  # noqa: ARG002 as `Shipper.put`
        """See `Shipper.put`."""
        self.changes += [decode(row["payload"]) for row in parcel.envelope.payloads.to_pylist()]
        return True


def once(
    monkeypatch: pytest.MonkeyPatch, config: AwsInput, listings: int, **environment: str
) -> tuple[list[Change], Batcher]:
    """All changes until so many listings have ended or failed, by the agent's runner; 60 s at most."""
    given = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    } | environment
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        if name not in environment:
            monkeypatch.delenv(name, raising=False)
    ships = Ships()
    batcher = Batcher(Header("a", "east", "net", "aws"), BatchConfig())
    stop = threading.Event()
    thread = threading.Thread(target=INPUTS["aws"], args=(config, batcher, ships, stop))
    thread.start()
    limit = time.monotonic() + 60
    while time.monotonic() < limit and thread.is_alive():
        if sum(change.op == "end" for change in ships.changes) + batcher.lost.total() >= listings:
            break
        time.sleep(0.02)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    return ships.changes, batcher


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An account in moto, in two regions whose VPCs overlap."""
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def client(url: str, service: str, region: str) -> Any:
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 moto takes any
        config=Config(retries={"total_max_attempts": 1}),
    )


def named(kind: str, name: str) -> list[dict[str, Any]]:
    tags = [{"Key": "Name", "Value": name}, {"Key": "owner", "Value": "someone@example.com"}]
    return [{"ResourceType": kind, "Tags": tags}]


@pytest.fixture(scope="module")
def made(server: str) -> dict[str, str]:
    """Ids of what was made."""
    ids = {}
    for place, region in (("london", "eu-west-2"), ("ohio", "us-east-2")):
        ec2 = client(server, "ec2", region)
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=named("vpc", place))
        ids[f"{place}.vpc"] = vpc["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=ids[f"{place}.vpc"],
            CidrBlock="10.0.1.0/24",
            AvailabilityZone=f"{region}a",
            TagSpecifications=named("subnet", f"{place}-a"),
        )
        ids[f"{place}.subnet"] = subnet["Subnet"]["SubnetId"]
    ec2 = client(server, "ec2", "eu-west-2")
    run = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        UserData="#!/bin/sh\necho password\n",
        SubnetId=ids["london.subnet"],
        PrivateIpAddress="10.0.1.10",
        TagSpecifications=named("instance", "web-1"),
    )
    ids["instance"] = run["Instances"][0]["InstanceId"]
    eni = ec2.create_network_interface(
        SubnetId=ids["london.subnet"], PrivateIpAddress="10.0.1.20", Description="for later"
    )
    ids["eni"] = eni["NetworkInterface"]["NetworkInterfaceId"]
    elastic = ec2.allocate_address(Domain="vpc")
    ids["elastic"] = elastic["PublicIp"]
    nat = ec2.create_nat_gateway(
        SubnetId=ids["london.subnet"], AllocationId=elastic["AllocationId"]
    )["NatGateway"]
    ids["nat"], ids["nat.inside"] = (
        nat["NatGatewayId"],
        nat["NatGatewayAddresses"][0]["PrivateIp"],
    )
    peering = ec2.create_vpc_peering_connection(
        VpcId=ids["london.vpc"], PeerVpcId=ids["ohio.vpc"], PeerRegion="us-east-2"
    )
    ids["peering"] = peering["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    client(server, "ec2", "us-east-2").accept_vpc_peering_connection(
        VpcPeeringConnectionId=ids["peering"]
    )
    second = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=second, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
    ids["second.vpc"] = second
    ids["gateway"] = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    for vpc, sub in ((ids["london.vpc"], ids["london.subnet"]), (second, subnet)):
        ec2.create_transit_gateway_vpc_attachment(
            TransitGatewayId=ids["gateway"], VpcId=vpc, SubnetIds=[sub]
        )
    customer = ec2.create_customer_gateway(Type="ipsec.1", PublicIp="203.0.113.1", BgpAsn=65000)
    vpn = ec2.create_vpn_connection(
        Type="ipsec.1",
        CustomerGatewayId=customer["CustomerGateway"]["CustomerGatewayId"],
        TransitGatewayId=ids["gateway"],
    )
    ids["vpn"] = vpn["VpnConnection"]["VpnConnectionId"]
    ec2.create_managed_prefix_list(
        PrefixListName="offices",
        AddressFamily="IPv4",
        MaxEntries=5,
        Entries=[{"Cidr": "203.0.113.0/24", "Description": "private note"}],
    )
    ids["balancer"] = client(server, "elbv2", "eu-west-2").create_load_balancer(
        Name="front", Subnets=[ids["london.subnet"]], Scheme="internal", Type="network"
    )["LoadBalancers"][0]["DNSName"]
    ids["cluster"] = client(server, "eks", "eu-west-2").create_cluster(
        name="east",
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks",
        resourcesVpcConfig={"subnetIds": [ids["london.subnet"]]},
        kubernetesNetworkConfig={"serviceIpv4Cidr": "172.20.0.0/16"},
    )["cluster"]["arn"]
    return ids


@pytest.fixture(scope="module")
def told(server: str, made: dict[str, str]) -> Iterator[tuple[list[Change], Batcher]]:
    """What the input ships of two regions."""
    assert made
    with pytest.MonkeyPatch.context() as monkeypatch:
        config = AwsInput(regions=("eu-west-2", "us-east-2"), endpoint_url=server)
        yield once(monkeypatch, config, 2 * 18)


def test_every_listing_is_whole_but_those_that_failed(told: tuple[list[Change], Batcher]):
    """All resources of both regions are told, by as many objects as the end says; a failure takes no other along."""
    changes, batcher = told
    ends = {
        (change.scope, change.resource): change.count for change in changes if change.op == "end"
    }
    assert set(ends) == {
        (scope, resource)
        for scope in (LONDON, OHIO)
        for resource in RESOURCES
        if resource not in UNSERVED
    }
    for (scope, resource), count in ends.items():
        uids = [
            change.uid
            for change in changes
            if (change.op, change.scope, change.resource) == ("put", scope, resource)
        ]
        assert count == len(uids) == len(set(uids))
        assert all(uids)
    assert batcher.lost == {"inventory_failed": 4}


def test_nothing_private_leaves_the_agent(told: tuple[list[Change], Batcher]):
    """No user data, keys of VPNs, notes, or tags but names: all of them were there to be read."""
    text = b"".join(bytes(change.object) for change in told[0])
    for private in (b"UserData", b"CustomerGatewayConfiguration", b"PreShared", b"private note"):
        assert private not in text
    assert b"someone@example.com" not in text
    assert b"web-1" in text


def claimed(changes: list[Change]) -> dict[str, set[Any]]:
    """What a world claims of these changes, by resource."""
    world = Aws("east", "net")
    puts = [change for change in changes if change.op == "put"]
    keys = [Key(change.scope, change.resource, change.uid) for change in puts]
    for key, change in zip(keys, puts, strict=True):
        world.put(key, bytes(change.object))
    found: dict[str, set[Any]] = {resource: set() for resource in RESOURCES}
    for key in keys:
        found[key.resource] |= set(world.claims(key))
    return found


def test_what_the_account_claims(told: tuple[list[Change], Batcher], made: dict[str, str]):
    """Two VPCs of one range stay two networks; machines, gateways and links are who they are."""
    claims = claimed(told[0])
    london, ohio, second = (
        f"aws/{made[name]}" for name in ("london.vpc", "ohio.vpc", "second.vpc")
    )

    def of_vpc(vpc: str, cidr: str, kind: str, region: str, name: str | None) -> PrefixClaim:
        return PrefixClaim(
            f"aws/{made[vpc]}",
            cidr,
            kind,
            name=name,
            provider="aws",
            region=region,
            account=ACCOUNT,
            vpc=made[vpc],
        )

    ours = {claim for claim in claims["ec2.vpcs"] if claim.cidr != "172.31.0.0/16"}
    assert ours == {
        of_vpc("london.vpc", "10.0.0.0/16", "vpc", "eu-west-2", "london"),
        of_vpc("ohio.vpc", "10.0.0.0/16", "vpc", "us-east-2", "ohio"),
        of_vpc("second.vpc", "10.7.0.0/16", "vpc", "eu-west-2", None),
    }
    assert {
        of_vpc("london.vpc", "10.0.1.0/24", "subnet", "eu-west-2", "london-a")._replace(
            zone="eu-west-2a", subnet=made["london.subnet"]
        ),
        of_vpc("ohio.vpc", "10.0.1.0/24", "subnet", "us-east-2", "ohio-a")._replace(
            zone="us-east-2a", subnet=made["ohio.subnet"]
        ),
    } <= claims["ec2.subnets"]

    def of_interface(network: str, ip: str, kind: str, workload: str) -> EndpointClaim:
        return EndpointClaim(
            network,
            ip,
            kind,
            workload=workload,
            zone="eu-west-2a",
            provider="aws",
            region="eu-west-2",
        )

    interfaces = {claim._replace(since_us=None) for claim in claims["ec2.network_interfaces"]}
    assert interfaces == {
        of_interface(london, "10.0.1.10", "vm", "web-1"),
        of_interface(london, "10.0.1.20", "interface", "for later"),
        of_interface(london, made["nat.inside"], "gateway", made["nat"]),
        of_interface(INTERNET, made["elastic"], "gateway", made["nat"]),
    }
    assert claims["ec2.instances"] == claims["ec2.nat_gateways"] == claims["ec2.addresses"] == set()
    assert claims["ec2.vpc_peering_connections"] == {
        PeeringClaim(london, ohio, "vpc_peering", made["peering"]),
        PeeringClaim(ohio, london, "vpc_peering", made["peering"]),
    }
    assert claims["ec2.transit_gateway_attachments"] == {
        PeeringClaim(london, second, "transit", made["gateway"]),
        PeeringClaim(second, london, "transit", made["gateway"]),
    }
    assert claims["ec2.prefix_lists"] == {
        PrefixClaim(INTERNET, "203.0.113.0/24", "external", name="offices", account=ACCOUNT)
    }
    assert claims["eks.clusters"] == {ClusterClaim("east", provider="aws", region="eu-west-2")}


def test_what_is_shipped_becomes_the_inventorys_rows(
    told: tuple[list[Change], Batcher], made: dict[str, str]
):
    """Through the registry: who has the one address, in the network its VPC is a member of."""
    rows = [
        {
            "vantage": 0,
            "payload": number,
            "received_ns": 1_800_000_000_000_000_000 + number,
            "kind": "aws",
            "cluster": "east",
            "network": "net",
            **{name: getattr(change, name) for name in ("op", "scope", "resource", "uid")},
            **{name: getattr(change, name) for name in ("version", "count", "time_ns")},
            "object": bytes(change.object),
        }
        for number, change in enumerate(told[0])
    ]
    declared = replace(file.empty(), members={f"aws/{made['london.vpc']}": "london"})
    registry = Registry(declared)
    assert registry.take(pl.DataFrame(rows, CHANGES)) == []
    registry.flush()
    known = registry.inventory
    endpoints = known.endpoints.filter(pl.col("network") == "london")
    named = dict(endpoints.select("workload", "kind").iter_rows())
    assert named == {"web-1": "vm", "for later": "interface", made["nat"]: "gateway"}
    assert set(endpoints["source"]) == {"aws"}
    links = known.peerings.select("network", "peer_network", "kind")
    assert set(links.iter_rows()) == {
        ("london", f"aws/{made['ohio.vpc']}", "vpc_peering"),
        (f"aws/{made['ohio.vpc']}", "london", "vpc_peering"),
        ("london", f"aws/{made['second.vpc']}", "transit"),
        (f"aws/{made['second.vpc']}", "london", "transit"),
    }


def all_but(*resources: str) -> tuple[Any, ...]:
    return tuple(name for name in RESOURCES if name not in resources)


def test_a_role_is_taken_on_and_all_regions_are_asked(server: str, monkeypatch: pytest.MonkeyPatch):
    """The role's account is asked, in each of its regions."""
    config = AwsInput(
        regions=("all",),
        role_arn="arn:aws:iam::111111111111:role/inventory",
        external_id="crosspane",
        endpoint_url=server,
        skip=all_but("eks.clusters"),
    )
    changes, batcher = once(monkeypatch, config, 30, AWS_DEFAULT_REGION="eu-west-2")
    scopes = {change.scope for change in changes if change.op == "end"}
    assert {"111111111111/af-south-1", "111111111111/eu-west-2"} <= scopes
    assert len(scopes) >= 30
    assert {change.resource for change in changes} == {"eks.clusters"}
    assert batcher.lost == {}


def test_the_region_is_the_environments(server: str, monkeypatch: pytest.MonkeyPatch):
    """Without regions in the configuration, one is asked."""
    config = AwsInput(endpoint_url=server, skip=all_but("ec2.zones"))
    changes, _ = once(monkeypatch, config, 1, AWS_DEFAULT_REGION="us-east-2")
    assert {change.scope for change in changes} == {OHIO}
    assert [change.uid for change in changes if change.op == "put"] == [
        "us-east-2a",
        "us-east-2b",
        "us-east-2c",
    ]


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({}, "NoRegion: set regions, or AWS_DEFAULT_REGION in the environment"),
        ({"profile": "nobody"}, "ProfileNotFound: "),
        (
            {"regions": ("eu-west-2",), "endpoint_url": "http://127.0.0.1:1"},
            "EndpointConnectionError: ",
        ),
    ],
)
def test_an_account_that_cannot_be_asked_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, Any],
    kind: str,
):
    """No listing begins, the failure is counted, and the log says what to do, in one line."""
    changes, batcher = once(monkeypatch, AwsInput(**config), 1)
    assert changes == []
    assert batcher.lost["inventory_failed"] >= 1
    (line,) = [r.getMessage() for r in caplog.records if r.name == "collectors.listing"]
    assert line.startswith(f"{config.get('profile', 'aws')} is not told in full: {kind}")
    assert "\n" not in line


class Fake:
    """A client that answers as it is told, a call at a time."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def can_paginate(self, operation: str) -> bool:  # noqa: ARG002 as boto3's
        """No call of it has pages."""
        return False

    def __getattr__(self, operation: str) -> Any:
        def call(**wanted: Any) -> Any:
            self.asked.append({"operation": operation, **wanted})
            answer = self.answers.pop(0)
            if isinstance(answer, str):
                raise ClientError({"Error": {"Code": answer, "Message": "no\nnever"}}, operation)
            return answer

        return call


def test_a_token_leads_to_the_next_page():
    """Calls that botocore has no paginator for are asked until there is no token."""
    one, two = {"connectionId": "dxcon-1"}, {"connectionId": "dxcon-2", "bandwidth": "1Gbps"}
    fake = Fake({"connections": [one], "nextToken": "more"}, {"connections": [two]})
    found = aws._list(fake, "directconnect.connections", threading.Event())
    assert found == [
        ("dxcon-1", b'{"connectionId":"dxcon-1"}'),
        ("dxcon-2", b'{"connectionId":"dxcon-2","bandwidth":"1Gbps"}'),
    ]
    assert fake.asked == [
        {"operation": "describe_connections"},
        {"operation": "describe_connections", "nextToken": "more"},
    ]


def test_a_cluster_that_goes_while_it_is_asked_for_is_left_out():
    """Its listing is whole without it; any other refusal is one of the listing."""
    names = {"clusters": ["old", "new"]}
    new = {"cluster": {"arn": "arn:new", "name": "new", "certificateAuthority": {"data": "x"}}}
    found = aws._list(
        Fake(names, "ResourceNotFoundException", new), "eks.clusters", threading.Event()
    )
    assert found == [("arn:new", b'{"name":"new","arn":"arn:new"}')]
    with pytest.raises(ListingError) as told:
        aws._list(Fake(names, "AccessDeniedException"), "eks.clusters", threading.Event())
    assert told.value.kind == "AccessDeniedException"
    assert "\n" not in str(told.value)


def test_the_configuration_names_every_resource():
    """What may be skipped is what is asked for."""
    assert set(get_args(AwsResource)) == set(RESOURCES)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("regions = ['all', 'eu-west-2']", "'all' stands alone"),
        ("external_id = 'x'", "needs role_arn"),
        ("role_arn = 'inventory'", "role_arn"),
        ("skip = ['ec2.volumes']", "ec2.volumes"),
        ("interval_s = 0", "interval_s"),
    ],
)
def test_bad_configuration_is_refused(line: str, message: str):
    """Each error names the key."""
    text = f"""
        [[agents]]
        name = "a"
        cluster = "east"
        network = "net"
        [[agents.inputs]]
        type = "aws"
        {line}
    """
    with pytest.raises(ConfigError, match=message):
        decode_toml(text.encode(), AgentFile)


def test_the_number_of_an_account_that_may_not_ask_it(monkeypatch: pytest.MonkeyPatch):
    """Denied by STS, an account is known by the owner of its networks."""
    account = aws._Account(AwsInput(regions=("eu-west-2",)))
    account._session = type("Session", (), {"region_name": None})()
    clients = {"sts": Fake("AccessDenied"), "ec2": Fake({"Vpcs": [{"OwnerId": "222222222222"}]})}
    monkeypatch.setattr(account, "_connect", lambda _session, service, _region: clients[service])
    assert account._number() == "222222222222"
