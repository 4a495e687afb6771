"""
Azure's objects, as far as they are read: one struct a resource.

Keys and what they mean are the provider's; what is not known is skipped.

Before: linked.py. After: azure.py.
"""

from typing import Any, Final

import msgspec
from msgspec import field

from pipeline.inventory.sources.linked import Cidr, Ip, Name, Part, reader


class Ref(Part, frozen=True):
    """The id of another object."""

    id: Name = ""


class Space(Part, frozen=True):
    """All ranges of a virtual network."""

    address_prefixes: tuple[Cidr, ...] = ()


class Subnet(Part, frozen=True):
    """A range of a virtual network."""

    id: Name = ""
    name: Name | None = None
    address_prefix: Cidr | None = None
    address_prefixes: tuple[Cidr, ...] = ()


class Peering(Part, frozen=True):
    """A virtual network reached from a virtual network."""

    name: Name | None = None
    peering_state: Name = ""
    allow_virtual_network_access: bool = True
    remote_virtual_network: Ref = Ref()


class VirtualNetwork(Part, frozen=True):
    """A virtual network, of one region."""

    name: Name | None = None
    location: Name | None = None
    address_space: Space = Space()
    subnets: tuple[Subnet, ...] = ()
    virtual_network_peerings: tuple[Peering, ...] = ()


class IpConfiguration(Part, frozen=True):
    """An address of an interface, a gateway, or a load balancer."""

    ip: Ip | None = field(name="privateIPAddress", default=None)
    subnet: Ref = Ref()
    zones: tuple[Name, ...] = ()


class Interface(Part, frozen=True):
    """A network interface."""

    name: Name
    location: Name | None = None
    virtual_machine: Ref = Ref()
    ip_configurations: tuple[IpConfiguration, ...] = ()


class LoadBalancer(Part, frozen=True):
    """A load balancer."""

    name: Name
    location: Name | None = None
    frontends: tuple[IpConfiguration, ...] = field(name="frontendIPConfigurations", default=())


class PublicAddress(Part, frozen=True):
    """An address that means the same everywhere, once it is given out."""

    name: Name
    location: Name | None = None
    ip_address: Ip | None = None
    ip_configuration: Ref = Ref()
    nat_gateway: Ref = Ref()


class NatGateway(Part, frozen=True):
    """A NAT gateway."""

    name: Name
    location: Name | None = None
    public_ip_addresses: tuple[Ref, ...] = ()


class Gateway(Part, frozen=True):
    """A VPN or ExpressRoute gateway."""

    ip_configurations: tuple[IpConfiguration, ...] = ()


class Connection(Part, frozen=True):
    """What a gateway is connected to."""

    name: Name | None = None
    connection_type: Name = ""
    connection_status: Name = ""
    virtual_network_gateway1: Ref = Ref()
    virtual_network_gateway2: Ref = Ref()


class Machine(Part, frozen=True):
    """A virtual machine."""

    name: Name
    location: Name | None = None
    zones: tuple[Name, ...] = ()


class ClusterNetwork(Part, frozen=True):
    """Ranges of a cluster."""

    pod_cidr: Cidr | None = None
    pod_cidrs: tuple[Cidr, ...] = ()
    service_cidr: Cidr | None = None
    service_cidrs: tuple[Cidr, ...] = ()


class Pool(Part, frozen=True):
    """Nodes that are alike."""

    vnet_subnet_id: Name = field(name="vnetSubnetID", default="")
    availability_zones: tuple[Name, ...] = ()


class Cluster(Part, frozen=True):
    """An AKS cluster."""

    name: Name
    location: Name | None = None
    node_resource_group: Name = ""
    network_profile: ClusterNetwork = ClusterNetwork()
    agent_pool_profiles: tuple[Pool, ...] = ()

    def subnet(self) -> str:
        """Id of the subnet its nodes are in; empty where Azure made one."""
        return next((p.vnet_subnet_id for p in self.agent_pool_profiles if p.vnet_subnet_id), "")


READERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "microsoft.network/virtualnetworks": reader(VirtualNetwork),
    "microsoft.network/networkinterfaces": reader(Interface),
    "microsoft.network/loadbalancers": reader(LoadBalancer),
    "microsoft.network/publicipaddresses": reader(PublicAddress),
    "microsoft.network/natgateways": reader(NatGateway),
    "microsoft.network/virtualnetworkgateways": reader(Gateway),
    "microsoft.network/connections": reader(Connection),
    "microsoft.compute/virtualmachines": reader(Machine),
    "microsoft.containerservice/managedclusters": reader(Cluster),
}
"""What reads an object of a resource; other resources are not read."""
