"""
Azure: virtual networks, interfaces, load balancers, gateways, AKS.

    microsoft.network/virtualnetworks          ranges, subnets, peerings
    microsoft.network/networkinterfaces        addresses, of a machine if there is one
    microsoft.network/loadbalancers            inner frontends
    microsoft.network/publicipaddresses        outer addresses, by what they are put at
    microsoft.network/natgateways              outer addresses of NAT
    microsoft.network/virtualnetworkgateways, microsoft.network/connections   VPNs
    microsoft.compute/virtualmachines          zones
    microsoft.containerservice/managedclusters clusters, pods' and services' ranges

Objects come as the collector trims them: ``properties`` beside the other keys.
An object's uid is its resource id in lower case, since Azure's ids have none,
and its network's member name ``azure/`` before the virtual network's. A zone is
``eastus-1``, as a node's label has it.

Source: Azure Resource Manager REST reference, resource pages.
Before: azure_objects.py. After: registry.py.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pipeline.inventory.file import INTERNET
from pipeline.inventory.sources import (
    Claim,
    ClusterClaim,
    EndpointClaim,
    Key,
    PeeringClaim,
    PrefixClaim,
)
from pipeline.inventory.sources.azure_objects import (
    READERS,
    Cluster,
    Connection,
    Gateway,
    Interface,
    LoadBalancer,
    Machine,
    NatGateway,
    PublicAddress,
    VirtualNetwork,
)
from pipeline.inventory.sources.linked import Objects, read

_PROVIDER: Final = "azure"


class Azure:
    """See `pipeline.inventory.sources.World`."""

    def __init__(self, cluster: str, network: str) -> None:
        del cluster, network  # objects name their own
        self._objects: Objects[Any] = Objects()

    def put(self, key: Key, text: bytes) -> Iterable[Key]:
        """See `World.put`."""
        one = read(READERS, key, text)
        if one is None:
            return ()
        names: tuple[str, ...] = ()
        reads: tuple[str, ...] = ()
        match one:
            case VirtualNetwork():
                names = (_networks_of(_group(key.uid)),)
            case Interface():
                reads = (one.virtual_machine.id.lower(),)
            case PublicAddress():
                reads = (_owner(one),)
            case NatGateway():
                reads = tuple(address.id.lower() for address in one.public_ip_addresses)
            case Connection():
                reads = tuple(gateway.lower() for gateway in _gateways(one))
            case Cluster() if not one.subnet():
                reads = (_networks_of(_node_group(key.uid, one)),)
        return self._objects.put(key, one, names, reads)

    def remove(self, key: Key) -> Iterable[Key]:
        """See `World.remove`."""
        return self._objects.remove(key)

    def claims(self, key: Key) -> Iterable[Claim]:
        """See `World.claims`."""
        one = self._objects.get(key)
        return () if one is None else _CLAIMS[key.resource](self._objects, key, one)


def _found(objects: Objects[Any], uid: str) -> Any:
    found = objects.find(uid.lower())
    return found[0][1] if found else None


def _of_interface(objects: Objects[Any], one: Interface) -> Iterator[Claim]:
    for part in one.ip_configurations:
        network = _network(part.subnet.id)
        if part.ip and network:
            yield _at_interface(objects, one, f"{_PROVIDER}/{network}", part.ip)


def _at_interface(objects: Objects[Any], one: Interface, network: str, ip: str) -> EndpointClaim:
    """An address of an interface: the machine's, if it is at one."""
    machine = one.virtual_machine.id
    return EndpointClaim(
        network,
        ip,
        "vm" if machine else "interface",
        workload=_last(machine) if machine else one.name,
        zone=_zone(_found(objects, machine)),
        provider=_PROVIDER,
        region=one.location,
    )


def _of_public_address(objects: Objects[Any], one: PublicAddress) -> Iterator[Claim]:
    """By what it is put at; one that is put at nothing is nobody's."""
    owner = _owner(one)
    kind = _OWNERS.get(_resource(owner))
    if not one.ip_address or kind is None:
        return
    interface = _found(objects, owner)
    if isinstance(interface, Interface):
        yield _at_interface(objects, interface, INTERNET, one.ip_address)
    else:
        yield EndpointClaim(
            INTERNET, one.ip_address, kind, workload=_last(owner), provider=_PROVIDER,
            region=one.location,
        )  # fmt: skip


def _of_nat_gateway(objects: Objects[Any], one: NatGateway) -> Iterator[Claim]:
    """Addresses that do not say themselves where they are put."""
    for ref in one.public_ip_addresses:
        address = _found(objects, ref.id)
        if isinstance(address, PublicAddress) and address.ip_address and not _owner(address):
            yield EndpointClaim(
                INTERNET, address.ip_address, "gateway", workload=one.name.lower(),
                provider=_PROVIDER, region=one.location,
            )  # fmt: skip


def _of_connection(objects: Objects[Any], one: Connection) -> Iterator[Claim]:
    """Between two gateways that are both known; the way there."""
    if one.connection_type.lower() != "vnet2vnet" or one.connection_status != "Connected":
        return
    networks = []
    for uid in _gateways(one):
        gateway = _found(objects, uid)
        parts = gateway.ip_configurations if isinstance(gateway, Gateway) else ()
        networks += [n for part in parts if (n := _network(part.subnet.id))][:1]
    if len(networks) == 2:  # noqa: PLR2004 here and there
        here, there = (f"{_PROVIDER}/{network}" for network in networks)
        yield PeeringClaim(here, there, "vpn", one.name)


def _of_cluster(objects: Objects[Any], key: Key, one: Cluster) -> Iterator[Claim]:
    """
    A cluster, and its ranges.

    Its network is its nodes' subnet's; where Azure made that, the only one of
    the resource group of its nodes. Else it is not known, and no range claimed.
    """
    zones = {zone for pool in one.agent_pool_profiles for zone in pool.availability_zones}
    named = tuple(f"{one.location}-{zone}" for zone in sorted(zones) if one.location)
    yield ClusterClaim(one.name, _PROVIDER, one.location, named)
    network = _network(one.subnet())
    if not one.subnet():
        own = objects.find(_networks_of(_node_group(key.uid, one)))
        network = own[0][0].uid if len({found.uid for found, _ in own}) == 1 else ""
    profile = one.network_profile
    pods = dict.fromkeys((profile.pod_cidr, *profile.pod_cidrs), "pod")
    services = dict.fromkeys((profile.service_cidr, *profile.service_cidrs), "service")
    for cidr, kind in (pods | services).items():
        if cidr and network:
            yield PrefixClaim(
                f"{_PROVIDER}/{network}",
                cidr,
                kind,
                cluster=one.name,
                name=f"{one.name} {kind}s",
                provider=_PROVIDER,
                region=one.location,
                account=_subscription(key.uid),
                vpc=network,
            )


_OWNERS: Final = {
    "microsoft.network/networkinterfaces": "interface",
    "microsoft.compute/virtualmachinescalesets": "interface",
    "microsoft.network/loadbalancers": "load_balancer",
    "microsoft.network/applicationgateways": "load_balancer",
    "microsoft.network/natgateways": "gateway",
    "microsoft.network/virtualnetworkgateways": "gateway",
    "microsoft.network/azurefirewalls": "gateway",
    "microsoft.network/bastionhosts": "gateway",
}
"""Resource a public address is put at, to what has the address then."""


def _of_network(key: Key, one: VirtualNetwork) -> Iterator[Claim]:
    network = f"{_PROVIDER}/{key.uid}"

    def claim(cidr: str, kind: str, name: str | None, subnet: str | None) -> PrefixClaim:
        return PrefixClaim(
            network, cidr, kind, name=name, provider=_PROVIDER, region=one.location,
            account=_subscription(key.uid), vpc=key.uid, subnet=subnet,
        )  # fmt: skip

    yield from (claim(c, "vpc", one.name, None) for c in one.address_space.address_prefixes if c)
    for part in one.subnets:
        cidrs = dict.fromkeys((part.address_prefix, *part.address_prefixes))
        yield from (claim(c, "subnet", part.name, part.id.lower() or None) for c in cidrs if c)
    for peering in one.virtual_network_peerings:
        remote = peering.remote_virtual_network.id.lower()
        open_to = peering.peering_state == "Connected" and peering.allow_virtual_network_access
        if open_to and remote:
            yield PeeringClaim(network, f"{_PROVIDER}/{remote}", "vpc_peering", peering.name)


def _of_load_balancer(one: LoadBalancer) -> Iterator[Claim]:
    for part in one.frontends:
        network = _network(part.subnet.id)
        if part.ip and network:
            yield EndpointClaim(
                f"{_PROVIDER}/{network}", part.ip, "load_balancer", workload=one.name,
                provider=_PROVIDER, region=one.location,
            )  # fmt: skip


# --- ids ---------------------------------------------------------------------


def _network(subnet: str) -> str:
    """
    Virtual network of a subnet's id; empty if it is none.

    >>> _network("/subscriptions/S/resourceGroups/g/providers/Microsoft.Network/"
    ...     "virtualNetworks/v/subnets/a")
    '/subscriptions/s/resourcegroups/g/providers/microsoft.network/virtualnetworks/v'
    """
    network, found, _ = subnet.lower().partition("/subnets/")
    return network if found else ""


def _top(part: str) -> str:
    """Id of the resource that a part of it belongs to, in lower case."""
    return "/".join(part.lower().split("/")[:9])


def _resource(uid: str) -> str:
    """Namespace and type of an id."""
    return "/".join(uid.split("/")[6:8])


def _owner(one: PublicAddress) -> str:
    """What a public address is put at; empty if it does not say."""
    return _top(one.ip_configuration.id) or one.nat_gateway.id.lower()


def _gateways(one: Connection) -> tuple[str, str]:
    return one.virtual_network_gateway1.id, one.virtual_network_gateway2.id


def _group(uid: str) -> str:
    """Id of the resource group."""
    return "/".join(uid.lower().split("/")[:5])


def _node_group(uid: str, one: Cluster) -> str:
    """Id of the resource group of a cluster's nodes."""
    return f"{'/'.join(uid.lower().split('/')[:4])}/{one.node_resource_group.lower()}"


def _networks_of(group: str) -> str:
    """Name by which virtual networks of a resource group are found."""
    return f"networks of {group}"


def _subscription(uid: str) -> str | None:
    parts = uid.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "subscriptions" else None  # noqa: PLR2004


def _last(uid: str) -> str | None:
    return uid.rpartition("/")[2] or None


def _zone(machine: Any) -> str | None:
    """A machine's zone, as a node's label has it; the numbers alone differ by subscription."""
    if isinstance(machine, Machine) and len(machine.zones) == 1 and machine.location:
        return f"{machine.location}-{machine.zones[0]}"
    return None


_CLAIMS: Final[dict[str, Callable[[Objects[Any], Key, Any], Iterable[Claim]]]] = {
    "microsoft.network/virtualnetworks": lambda _, key, one: _of_network(key, one),
    "microsoft.network/networkinterfaces": lambda objects, _, one: _of_interface(objects, one),
    "microsoft.network/loadbalancers": lambda _, __, one: _of_load_balancer(one),
    "microsoft.network/publicipaddresses": lambda objects, _, one: _of_public_address(objects, one),
    "microsoft.network/natgateways": lambda objects, _, one: _of_nat_gateway(objects, one),
    "microsoft.network/virtualnetworkgateways": lambda _, __, ___: (),
    "microsoft.network/connections": lambda objects, _, one: _of_connection(objects, one),
    "microsoft.compute/virtualmachines": lambda _, __, ___: (),
    "microsoft.containerservice/managedclusters": _of_cluster,
}
"""What objects of a resource claim; of gateways and machines, others do."""
