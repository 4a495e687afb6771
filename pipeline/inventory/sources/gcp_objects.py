"""
Google Cloud's objects, as far as they are read: one struct a resource.

Keys and what they mean are the provider's; what is not known is skipped.

Before: linked.py. After: gcp.py.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, field

from pipeline.inventory.sources.linked import Cidr, Ip, Name, Part, Time, reader


class Peering(Part, frozen=True):
    """A network reached from a network; ACTIVE once both sides have it."""

    name: Name | None = None
    network: Name = ""
    state: Name = ""


class Network(Part, frozen=True):
    """A VPC network, of all regions."""

    range: Cidr | None = field(name="IPv4Range", default=None)
    peerings: tuple[Peering, ...] = ()


class Secondary(Part, frozen=True):
    """A second range of a subnetwork: alias addresses are of it."""

    ip_cidr_range: Cidr
    range_name: Name = ""


class Subnetwork(Part, frozen=True):
    """A range of a network in a region."""

    network: Name
    name: Name | None = None
    region: Name = ""
    ip_cidr_range: Cidr | None = None
    ipv6_cidr_range: Cidr | None = None
    internal_ipv6_prefix: Cidr | None = None
    external_ipv6_prefix: Cidr | None = None
    secondary_ip_ranges: tuple[Secondary, ...] = ()


class Access(Part, frozen=True):
    """Outer addresses of an interface."""

    nat_ip: Ip | None = field(name="natIP", default=None)
    external_ipv6: Ip | None = None


class Alias(Part, frozen=True):
    """A range of addresses of an interface, besides its own."""

    ip_cidr_range: Cidr | None = None


class Interface(Part, frozen=True):
    """A network interface of an instance."""

    network: Name = ""
    network_ip: Ip | None = field(name="networkIP", default=None)
    ipv6_address: Ip | None = None
    access_configs: tuple[Access, ...] = ()
    ipv6_access_configs: tuple[Access, ...] = ()
    aliases: tuple[Alias, ...] = field(name="aliasIpRanges", default=())


class Instance(Part, frozen=True):
    """A machine; its name is a GKE node's."""

    name: Name
    zone: Name = ""
    creation_timestamp: Time | None = None
    last_start_timestamp: Time | None = None
    network_interfaces: tuple[Interface, ...] = ()


class ForwardingRule(Part, frozen=True):
    """A load balancer's address, or a VPN's, or a service's that is lent."""

    name: Name
    region: Name = ""
    ip: Cidr | None = field(name="IPAddress", default=None)  # of IPv6 with its length
    load_balancing_scheme: Name = ""
    network: Name = ""
    target: Name = ""


class Address(Part, frozen=True):
    """An address, or range, that is reserved."""

    name: Name
    address: Ip | None = None
    region: Name = ""
    purpose: Name = ""
    prefix_length: Annotated[int, Meta(ge=0, le=32)] | None = None
    network: Name = ""
    users: tuple[Name, ...] = ()


class VpnInterface(Part, frozen=True):
    """An address of a gateway."""

    ip_address: Ip | None = None
    ipv6_address: Ip | None = None


class VpnGateway(Part, frozen=True):
    """A gateway of HA VPN."""

    network: Name
    name: Name | None = None
    region: Name = ""
    vpn_interfaces: tuple[VpnInterface, ...] = ()


class VpnTunnel(Part, frozen=True):
    """A tunnel of HA VPN, as one of its ends has it."""

    name: Name | None = None
    status: Name = ""
    vpn_gateway: Name = ""
    peer_gcp_gateway: Name = ""


class ClusterNetwork(Part, frozen=True):
    """Where the nodes are: paths."""

    network: Name = ""
    subnetwork: Name = ""


class PodRanges(Part, frozen=True):
    """Names of secondary ranges."""

    pod_range_names: tuple[Name, ...] = ()


class Allocation(Part, frozen=True):
    """Secondary ranges a cluster uses, by name."""

    cluster_secondary_range_name: Name = ""
    services_secondary_range_name: Name = ""
    additional_pod_ranges_config: PodRanges = PodRanges()


class PoolNetwork(Part, frozen=True):
    """Secondary range of a pool's pods, by name."""

    pod_range: Name = ""


class NodePool(Part, frozen=True):
    """Nodes that are alike."""

    network_config: PoolNetwork = PoolNetwork()


class Cluster(Part, frozen=True):
    """A GKE cluster."""

    name: Name
    location: Name = ""
    locations: tuple[Name, ...] = ()
    network: Name = ""
    subnetwork: Name = ""
    cluster_ipv4_cidr: Cidr | None = None
    services_ipv4_cidr: Cidr | None = None
    network_config: ClusterNetwork = ClusterNetwork()
    ip_allocation_policy: Allocation = Allocation()
    node_pools: tuple[NodePool, ...] = ()

    def ranges(self) -> dict[str, str]:
        """Name of each secondary range the cluster uses, to what it is for."""
        policy = self.ip_allocation_policy
        pods = [policy.cluster_secondary_range_name]
        pods += policy.additional_pod_ranges_config.pod_range_names
        pods += [pool.network_config.pod_range for pool in self.node_pools]
        return {policy.services_secondary_range_name: "service"} | dict.fromkeys(pods, "pod")


READERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "compute.networks": reader(Network),
    "compute.subnetworks": reader(Subnetwork),
    "compute.instances": reader(Instance),
    "compute.forwardingRules": reader(ForwardingRule),
    "compute.addresses": reader(Address),
    "compute.vpnGateways": reader(VpnGateway),
    "compute.vpnTunnels": reader(VpnTunnel),
    "container.clusters": reader(Cluster),
}
"""What reads an object of a resource; other resources are not read."""
