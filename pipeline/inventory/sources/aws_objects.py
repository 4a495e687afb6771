"""
Objects of AWS as they are read: structs and decoders, one a resource.

Keys are written as the services write them; what is not known is skipped, and
what is not there has an empty default, as older answers lack newer fields.

Source: API references of Amazon EC2, Elastic Load Balancing v2 and EKS, data types.
Before: decode.py. After: aws.py.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import field

from pipeline.inventory.sources.linked import Cidr, Ip, Name, reader

_BALANCER: Final = "ELB "


class Part(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Part of an object whose keys are written ``LikeThis``; what is not known is skipped."""


class Tag(Part, frozen=True):
    """A tag."""

    key: Name = ""
    value: Name = ""


class State(Part, frozen=True):
    """State of an association."""

    state: Name = ""


class Cidr4(Part, frozen=True):
    """A range of a VPC."""

    cidr_block: Cidr
    cidr_block_state: State = State("associated")


class Cidr6(Part, frozen=True):
    """An IPv6 range of a VPC or subnet."""

    ipv6_cidr_block: Cidr
    ipv6_cidr_block_state: State = State("associated")


class Vpc(Part, frozen=True):
    """``ec2.vpcs``."""

    owner_id: Name = ""
    cidr_block: Cidr | None = None
    cidr_block_association_set: tuple[Cidr4, ...] = ()
    ipv6_cidr_block_association_set: tuple[Cidr6, ...] = ()
    tags: tuple[Tag, ...] = ()


class Subnet(Part, frozen=True):
    """``ec2.subnets``."""

    vpc_id: Name
    owner_id: Name = ""
    cidr_block: Cidr | None = None
    availability_zone: Name = ""
    availability_zone_id: Name = ""
    ipv6_cidr_block_association_set: tuple[Cidr6, ...] = ()
    tags: tuple[Tag, ...] = ()


class Association(Part, frozen=True):
    """A public address, and what it is an address of."""

    public_ip: Ip | None = None


class Address(Part, frozen=True):
    """An IPv4 address of an interface."""

    private_ip_address: Ip | None = None
    primary: bool = False
    association: Association = Association()


class Address6(Part, frozen=True):
    """An IPv6 address of an interface."""

    ipv6_address: Ip


class Prefix(Part, frozen=True):
    """A range an instance may give addresses of."""

    ipv4_prefix: Cidr


class Attachment(Part, frozen=True):
    """Whom an interface is attached to."""

    instance_id: Name = ""
    attach_time: datetime | None = None


class Interface(Part, frozen=True):
    """``ec2.network_interfaces``."""

    vpc_id: Name = ""
    subnet_id: Name = ""
    availability_zone: Name = ""
    interface_type: Name = ""
    requester_managed: bool = False
    description: Name = ""
    private_ip_address: Ip | None = None
    association: Association = Association()
    attachment: Attachment = Attachment()
    private_ip_addresses: tuple[Address, ...] = ()
    ipv6_addresses: tuple[Address6, ...] = ()
    ipv4_prefixes: tuple[Prefix, ...] = ()
    tag_set: tuple[Tag, ...] = ()

    def addresses(self) -> tuple[Address, ...]:
        """Its IPv4 addresses; the interface's own public address is its primary one's."""
        if self.private_ip_address and not self.private_ip_addresses:
            return (Address(self.private_ip_address, True, self.association),)
        return tuple(
            Address(one.private_ip_address, True, self.association)
            if one.primary and not one.association.public_ip
            else one
            for one in self.private_ip_addresses
        )

    def outside(self) -> list[str]:
        """Public IPv4 addresses it has."""
        return [one.association.public_ip for one in self.addresses() if one.association.public_ip]

    def balancer(self) -> str:
        """
        Load balancer it is for: ``net/name/50dc6c495c0c9188``, or the name of a classic one.

        Empty if it is for none. Anybody may write such a description, so only
        interfaces that AWS made count.
        """
        is_made = self.requester_managed or self.interface_type.endswith("_load_balancer")
        return (
            self.description.removeprefix(_BALANCER)
            if is_made and self.description.startswith(_BALANCER)
            else ""
        )


class InstanceState(Part, frozen=True):
    """Whether it runs."""

    name: Name = ""


class Placement(Part, frozen=True):
    """Where it runs."""

    availability_zone: Name = ""


class Instance(Part, frozen=True):
    """``ec2.instances``."""

    vpc_id: Name = ""
    private_ip_address: Ip | None = None
    public_ip_address: Ip | None = None
    state: InstanceState = InstanceState()
    placement: Placement = Placement()
    tags: tuple[Tag, ...] = ()

    def addresses(self) -> tuple[str | None, str | None]:
        """Its inner and outer address; a terminated one is listed for an hour, and has none."""
        if self.state.name == "terminated":
            return None, None
        return self.private_ip_address, self.public_ip_address


class NatAddress(Part, frozen=True):
    """Addresses of a NAT gateway."""

    public_ip: Ip | None = None
    private_ip: Ip | None = None
    network_interface_id: Name = ""


class Nat(Part, frozen=True):
    """``ec2.nat_gateways``."""

    vpc_id: Name = ""
    state: Name = ""
    nat_gateway_addresses: tuple[NatAddress, ...] = ()

    def addresses(self) -> tuple[NatAddress, ...]:
        """Those it has now: it is listed for an hour after it was deleted."""
        return self.nat_gateway_addresses if self.state in {"available", "deleting"} else ()


class Elastic(Part, frozen=True):
    """``ec2.addresses``: Elastic IPs."""

    public_ip: Ip | None = None
    instance_id: Name = ""
    tags: tuple[Tag, ...] = ()


class Side(Part, frozen=True):
    """One end of a peering."""

    vpc_id: Name = ""


class Status(Part, frozen=True):
    """Whether a peering is accepted."""

    code: Name = ""


class Peering(Part, frozen=True):
    """``ec2.vpc_peering_connections``."""

    status: Status = Status()
    accepter_vpc_info: Side = Side()
    requester_vpc_info: Side = Side()
    tags: tuple[Tag, ...] = ()


class TransitAttachment(Part, frozen=True):
    """``ec2.transit_gateway_attachments``."""

    transit_gateway_id: Name = ""
    resource_type: Name = ""
    resource_id: Name = ""
    state: Name = ""

    def joins(self) -> bool:
        """Whether it joins a VPC now."""
        return self.resource_type == "vpc" and self.state == "available" and bool(self.resource_id)


class Tunnel(Part, frozen=True):
    """One tunnel of a VPN."""

    outside_ip_address: Ip | None = None


class Vpn(Part, frozen=True):
    """``ec2.vpn_connections``."""

    state: Name = ""
    vgw_telemetry: tuple[Tunnel, ...] = ()
    tags: tuple[Tag, ...] = ()


class Entry(Part, frozen=True):
    """One range of a list."""

    cidr: Cidr


class PrefixList(Part, frozen=True):
    """``ec2.prefix_lists``."""

    prefix_list_name: Name = ""
    owner_id: Name = ""
    entries: tuple[Entry, ...] = ()


class Zone(Part, frozen=True):
    """``ec2.zones``."""

    zone_name: Name = ""
    zone_id: Name = ""


class Balancer(Part, frozen=True):
    """``elbv2.load_balancers``."""

    load_balancer_name: Name = ""
    dns_name: Name = field(name="DNSName", default="")


class ClusterVpc(msgspec.Struct, frozen=True, rename="camel"):
    """Where a cluster is."""

    vpc_id: Name = ""


class ClusterNetwork(msgspec.Struct, frozen=True, rename="camel"):
    """What its services have."""

    service_ipv4_cidr: Cidr | None = None
    service_ipv6_cidr: Cidr | None = None


class Cluster(msgspec.Struct, frozen=True, rename="camel"):
    """``eks.clusters``."""

    name: Name
    arn: Name = ""
    resources_vpc_config: ClusterVpc = ClusterVpc()
    kubernetes_network_config: ClusterNetwork = ClusterNetwork()


READERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "ec2.vpcs": reader(Vpc),
    "ec2.subnets": reader(Subnet),
    "ec2.network_interfaces": reader(Interface),
    "ec2.instances": reader(Instance),
    "ec2.nat_gateways": reader(Nat),
    "ec2.addresses": reader(Elastic),
    "ec2.vpc_peering_connections": reader(Peering),
    "ec2.transit_gateway_attachments": reader(TransitAttachment),
    "ec2.vpn_connections": reader(Vpn),
    "ec2.prefix_lists": reader(PrefixList),
    "ec2.zones": reader(Zone),
    "elbv2.load_balancers": reader(Balancer),
    "eks.clusters": reader(Cluster),
}
"""Resources that claim something, or that others read; the rest is kept for people."""
