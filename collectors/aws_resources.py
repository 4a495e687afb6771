"""
AWS: what an account is asked for, and what of the answers goes on.

Of an object goes on what `pipeline.inventory.sources.aws` reads, and what tells
people which object it is, by a list of what is kept: no user data, no keys of
VPNs, no tags but a name and those that say which cluster something belongs to.

Source: the API references of EC2, Elastic Load Balancing v2, EKS, Direct Connect.
Before: the account. After: aws.py, which asks.
"""

from typing import Any, Final, NamedTuple

from collectors.trim import Keys, keys, trim


class Resource(NamedTuple):
    """
    One thing to list.

    Attributes
    ----------
    operation
        Call of the service.
    path
        Where in an answer the objects are: keys, each of a list or an object.
    uid
        Key of an object that names it.
    keep
        What goes on of it.
    page
        Objects a page; None: as many as the service likes.
    """

    operation: str
    path: tuple[str, ...]
    uid: str
    keep: Keys
    page: int | None = None


_TAGS: Final = keys("Key", "Value")
_V6: Final = keys("Ipv6CidrBlock", Ipv6CidrBlockState=keys("State"))
_SIDE: Final = keys("VpcId", "OwnerId", "Region")

RESOURCES: Final[dict[str, Resource]] = {
    "ec2.vpcs": Resource(
        "describe_vpcs",
        ("Vpcs",),
        "VpcId",
        keys(
            *("VpcId", "OwnerId", "CidrBlock"),
            CidrBlockAssociationSet=keys("CidrBlock", CidrBlockState=keys("State")),
            Ipv6CidrBlockAssociationSet=_V6,
            Tags=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.subnets": Resource(
        "describe_subnets",
        ("Subnets",),
        "SubnetId",
        keys(
            *("SubnetId", "VpcId", "OwnerId", "CidrBlock"),
            *("AvailabilityZone", "AvailabilityZoneId"),
            Ipv6CidrBlockAssociationSet=_V6,
            Tags=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.network_interfaces": Resource(
        "describe_network_interfaces",
        ("NetworkInterfaces",),
        "NetworkInterfaceId",
        keys(
            *("NetworkInterfaceId", "VpcId", "SubnetId", "OwnerId", "AvailabilityZone"),
            *("InterfaceType", "RequesterManaged", "Description", "PrivateIpAddress"),
            Attachment=keys("InstanceId", "AttachTime", "DeviceIndex"),
            Association=keys("PublicIp"),
            PrivateIpAddresses=keys("PrivateIpAddress", "Primary", Association=keys("PublicIp")),
            Ipv6Addresses=keys("Ipv6Address"),
            Ipv4Prefixes=keys("Ipv4Prefix"),
            TagSet=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.instances": Resource(
        "describe_instances",
        ("Reservations", "Instances"),
        "InstanceId",
        keys(
            *("InstanceId", "VpcId", "SubnetId", "PrivateIpAddress", "PublicIpAddress"),
            State=keys("Name"),
            Placement=keys("AvailabilityZone"),
            Tags=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.addresses": Resource(
        "describe_addresses",
        ("Addresses",),
        "AllocationId",
        keys("AllocationId", "PublicIp", "InstanceId", "NetworkInterfaceId", Tags=_TAGS),
    ),
    "ec2.nat_gateways": Resource(
        "describe_nat_gateways",
        ("NatGateways",),
        "NatGatewayId",
        keys(
            *("NatGatewayId", "VpcId", "SubnetId", "State"),
            NatGatewayAddresses=keys("PublicIp", "PrivateIp", "NetworkInterfaceId"),
            Tags=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.vpc_peering_connections": Resource(
        "describe_vpc_peering_connections",
        ("VpcPeeringConnections",),
        "VpcPeeringConnectionId",
        keys(
            *("VpcPeeringConnectionId"),
            Status=keys("Code"),
            AccepterVpcInfo=_SIDE,
            RequesterVpcInfo=_SIDE,
            Tags=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.transit_gateways": Resource(
        "describe_transit_gateways",
        ("TransitGateways",),
        "TransitGatewayId",
        keys("TransitGatewayId", "OwnerId", "State", Tags=_TAGS),
        page=1_000,
    ),
    "ec2.transit_gateway_attachments": Resource(
        "describe_transit_gateway_attachments",
        ("TransitGatewayAttachments",),
        "TransitGatewayAttachmentId",
        keys(
            *("TransitGatewayAttachmentId", "TransitGatewayId", "ResourceType", "ResourceId"),
            *("ResourceOwnerId", "State"),
            Tags=_TAGS,
        ),
        page=1_000,
    ),
    "ec2.vpn_connections": Resource(
        "describe_vpn_connections",
        ("VpnConnections",),
        "VpnConnectionId",
        keys(
            *("VpnConnectionId", "State", "Type", "CustomerGatewayId", "VpnGatewayId"),
            *("TransitGatewayId"),
            VgwTelemetry=keys("OutsideIpAddress"),
            Tags=_TAGS,
        ),
    ),
    "ec2.vpn_gateways": Resource(
        "describe_vpn_gateways",
        ("VpnGateways",),
        "VpnGatewayId",
        keys("VpnGatewayId", "State", VpcAttachments=keys("VpcId", "State"), Tags=_TAGS),
    ),
    "ec2.prefix_lists": Resource(
        "describe_managed_prefix_lists",
        ("PrefixLists",),
        "PrefixListId",
        keys("PrefixListId", "PrefixListName", "OwnerId", Entries=keys("Cidr")),
        page=100,
    ),
    "ec2.zones": Resource(
        "describe_availability_zones",
        ("AvailabilityZones",),
        "ZoneName",
        keys("ZoneName", "ZoneId", "ZoneType", "RegionName"),
    ),
    "elbv2.load_balancers": Resource(
        "describe_load_balancers",
        ("LoadBalancers",),
        "LoadBalancerArn",
        keys("LoadBalancerArn", "LoadBalancerName", "DNSName", "Scheme", "Type", "VpcId"),
    ),
    "eks.clusters": Resource(
        "list_clusters",
        ("clusters",),
        "arn",
        keys(
            *("name", "arn", "endpoint", "status"),
            resourcesVpcConfig=keys("vpcId", "subnetIds"),
            kubernetesNetworkConfig=keys("serviceIpv4Cidr", "serviceIpv6Cidr", "ipFamily"),
        ),
    ),
    "directconnect.connections": Resource(
        "describe_connections",
        ("connections",),
        "connectionId",
        keys("connectionId", "connectionName", "connectionState", "location", "bandwidth"),
    ),
    "directconnect.virtual_interfaces": Resource(
        "describe_virtual_interfaces",
        ("virtualInterfaces",),
        "virtualInterfaceId",
        keys(
            *("virtualInterfaceId", "virtualInterfaceName", "virtualInterfaceType"),
            *("virtualInterfaceState", "connectionId", "directConnectGatewayId"),
            *("virtualGatewayId", "vlan", "amazonAddress", "customerAddress"),
        ),
    ),
    "directconnect.gateways": Resource(
        "describe_direct_connect_gateways",
        ("directConnectGateways",),
        "directConnectGatewayId",
        keys(
            "directConnectGatewayId",
            "directConnectGatewayName",
            "directConnectGatewayState",
            TagSet=_TAGS,
        ),
    ),
}
"""Service and name of a resource to how it is asked for."""


def kept(item: object, resource: Resource) -> dict[str, Any]:
    """
    What goes on of an answer's object.

    >>> tags = [{"Key": "Name", "Value": "a"}, {"Key": "cost-centre", "Value": "7"}]
    >>> kept({"VpcId": "vpc-1", "IsDefault": True, "Tags": tags}, RESOURCES["ec2.vpcs"])
    {'VpcId': 'vpc-1', 'Tags': [{'Key': 'Name', 'Value': 'a'}]}
    """
    found = trim(item, resource.keep)
    for name in ("Tags", "TagSet"):
        if name in found:
            found[name] = [tag for tag in found[name] if _is_kept(tag.get("Key", ""))]
    return found


def _is_kept(tag: str) -> bool:
    """Whether a tag says what a thing is called, or which cluster it belongs to."""
    owners = ("kubernetes.io/cluster/", "eks:", "aws:eks:")
    return tag == "Name" or tag.startswith(owners) or ".k8s.a" in tag.partition("/")[0]
