"""
AWS: VPCs, subnets, interfaces and who has them, gateways, links, EKS clusters.

    ec2.vpcs, ec2.subnets            ranges
    ec2.network_interfaces           addresses, inside and outside, of whoever the
                                     interface is for: a machine, a NAT gateway, a
                                     load balancer, a function...
    ec2.instances, elbv2...          names of those; addresses, if no interface tells
    ec2.nat_gateways, ec2.addresses  outer addresses, if no interface tells
    ec2.vpn_connections              outer addresses of AWS's side
    ec2.vpc_peering_connections, ec2.transit_gateway_attachments   links
    ec2.prefix_lists                 named ranges outside
    eks.clusters                     services' ranges; the agent's own cluster

A VPC's member name is ``aws/<vpc-id>``. IPv6 addresses of VPCs are unique
everywhere, unless they are local ones. Where several objects have an address,
one claims it: the interface before the NAT gateway or instance, these before
the Elastic IP; and an object that two accounts tell of is claimed once.

All VPCs of a transit gateway are taken to reach each other: its route tables
are not read. VPNs and Direct Connect lead where no inventory says what is
there, so they are no peerings.

Source: Amazon EC2 API reference, data types; AWS docs, "requester-managed
network interfaces".
Before: decode.py. After: registry.py.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from pipeline.inventory.file import INTERNET
from pipeline.inventory.numbers import PRIVATE
from pipeline.inventory.sources import (
    Claim,
    ClusterClaim,
    EndpointClaim,
    Key,
    PeeringClaim,
    PrefixClaim,
)
from pipeline.inventory.sources.aws_links import (
    holder_of,
    interface_of,
    joined_by,
    links,
    nat_of,
    zone_name,
)
from pipeline.inventory.sources.aws_objects import (
    READERS,
    Cluster,
    Elastic,
    Instance,
    Interface,
    Nat,
    Peering,
    PrefixList,
    Subnet,
    Tag,
    TransitAttachment,
    Vpc,
    Vpn,
)
from pipeline.inventory.sources.linked import Objects, read

_PROVIDER: Final = "aws"
_INTERFACES: Final = ("ec2.network_interfaces",)
_HOLDERS: Final = (*_INTERFACES, "ec2.nat_gateways", "ec2.instances")
"""Resources that have public addresses, before which an Elastic IP steps back."""
_SLOTS: Final = 16
"""Addresses of a prefix that an instance is given: EC2's are /28."""
_NODES: Final = ("kubernetes.io/cluster/", "eks:cluster-name", "aws:eks:cluster-name")
_NAT: Final = re.compile(r"\bnat-[0-9a-f]+\b")


class _Owner(NamedTuple):
    """Whom an address belongs to: columns of `EndpointClaim`."""

    kind: str
    workload: str | None = None
    service: str | None = None
    node: str | None = None


class Aws:
    """What AWS accounts tell: see `pipeline.inventory.sources.World`."""

    def __init__(self, cluster: str, network: str) -> None:  # noqa: ARG002 a World is made so
        self._cluster = cluster
        self._objects: Objects[Any] = Objects()

    def put(self, key: Key, text: bytes) -> Iterable[Key]:
        """See `World.put`."""
        one = read(READERS, key, text)
        if one is None:
            return []
        names, reads = links(key, one)
        return self._objects.put(key, one, names, (key.uid, *reads))

    def remove(self, key: Key) -> Iterable[Key]:
        """See `World.remove`."""
        return self._objects.remove(key)

    def claims(self, key: Key) -> Iterable[Claim]:
        """See `World.claims`."""
        one = self._objects.get(key)
        if one is None or key != min(self._of(key.resource, key.uid)):
            return []
        return list(self._claims(key, one))

    def _claims(self, key: Key, one: Any) -> Iterator[Claim]:
        match one:
            case Subnet():
                yield from _of_subnet(key, one, self._zone(key, one))
            case Interface():
                yield from self._of_interface(key, one)
            case Instance():
                yield from self._of_instance(key, one)
            case Nat():
                yield from self._of_nat(key, one)
            case Elastic():
                yield from self._of_elastic(key, one)
            case TransitAttachment():
                yield from self._of_attachment(one)
            case Cluster():
                yield from _of_cluster(key, one, self._cluster)
            case _:
                yield from _ALONE.get(type(one), _nothing)(key, one)

    def _of(self, resource: str, name: str) -> dict[Key, Any]:
        """Objects of a resource that are found by a name."""
        found = self._objects.find(name)
        return {key: one for key, one in found if key.resource == resource}

    def _first(self, resource: str, name: str) -> tuple[Key, Any] | None:
        """The first of them, by scope and uid: which came first plays no part."""
        return min(self._of(resource, name).items(), default=None, key=lambda found: found[0])

    def _zone(self, key: Key, subnet: Subnet) -> str | None:
        """Name of a zone; as names differ by account, an id is looked up in the subnet's own."""
        if subnet.availability_zone or not subnet.availability_zone_id:
            return subnet.availability_zone or None
        found = self._first("ec2.zones", zone_name(key, subnet.availability_zone_id))
        return found[1].zone_name if found else None

    def _of_interface(self, key: Key, one: Interface) -> Iterator[Claim]:
        owner = self._owner(key, one)
        is_machine = bool(one.attachment.instance_id)
        beside = _Owner("interface", node=owner.workload) if is_machine else owner
        attached_us = _microseconds(one.attachment.attach_time)
        zone = one.availability_zone or None
        for address in one.addresses():
            who = owner if address.primary else beside
            if address.private_ip_address and one.vpc_id:
                since_us = attached_us if address.primary else None
                inside = _member(one.vpc_id)
                yield _endpoint(
                    key, inside, address.private_ip_address, who, zone=zone, since_us=since_us
                )
            if address.association.public_ip:
                yield _endpoint(key, INTERNET, address.association.public_ip, who, zone=zone)
        for number, address6 in enumerate(one.ipv6_addresses):
            ip = address6.ipv6_address
            if network := _network6(one.vpc_id, ip):
                yield _endpoint(key, network, ip, beside if number else owner, zone=zone)
        for prefix in one.ipv4_prefixes:
            given = ip_network(prefix.ipv4_prefix)
            if one.vpc_id and given.num_addresses <= _SLOTS:
                for slot in given:
                    yield _endpoint(key, _member(one.vpc_id), str(slot), beside, zone=zone)

    def _owner(self, key: Key, one: Interface) -> _Owner:
        """Whom an interface is for."""
        if nat := self._first("ec2.nat_gateways", nat_of(key.uid)):
            return _Owner("gateway", nat[0].uid)
        if one.interface_type == "nat_gateway":
            named = _NAT.search(one.description)
            return _Owner("gateway", named[0] if named else None)
        if balancer := one.balancer():
            found = self._first("elbv2.load_balancers", balancer)
            _, _, name = balancer.rpartition("/")[0].partition("/")  # net/name/50dc6c495c0c9188
            return _Owner(
                "load_balancer", name or balancer, found[1].dns_name or None if found else None
            )
        instance_id = one.attachment.instance_id
        if instance_id:
            return self._machine(instance_id)
        return _Owner("interface", _tag(one.tag_set) or one.description or None)

    def _machine(self, instance_id: str) -> _Owner:
        found = self._first("ec2.instances", instance_id)
        return _machine(instance_id, found[1].tags if found else ())

    def _of_instance(self, key: Key, one: Instance) -> Iterator[Claim]:
        """Its addresses, where the interfaces that have them are not known."""
        owner = _machine(key.uid, one.tags)
        zone = one.placement.availability_zone or None
        inside, outside = one.addresses()
        known = self._of("ec2.network_interfaces", interface_of(key.uid))
        if inside and one.vpc_id and not known:
            yield _endpoint(key, _member(one.vpc_id), inside, owner, zone=zone)
        if outside and not self._is_held(outside, _INTERFACES):
            yield _endpoint(key, INTERNET, outside, owner, zone=zone)

    def _of_nat(self, key: Key, one: Nat) -> Iterator[Claim]:
        owner = _Owner("gateway", key.uid)
        for address in one.addresses():
            known = self._of("ec2.network_interfaces", address.network_interface_id)
            if address.private_ip and one.vpc_id and not known:
                yield _endpoint(key, _member(one.vpc_id), address.private_ip, owner, zone=None)
            if address.public_ip and not self._is_held(address.public_ip, _INTERFACES):
                yield _endpoint(key, INTERNET, address.public_ip, owner, zone=None)

    def _of_elastic(self, key: Key, one: Elastic) -> Iterator[Claim]:
        if not one.public_ip or self._is_held(one.public_ip, _HOLDERS):
            return
        if one.instance_id:
            owner = self._machine(one.instance_id)
        else:
            owner = _Owner("interface", _tag(one.tags) or key.uid)
        yield _endpoint(key, INTERNET, one.public_ip, owner, zone=None)

    def _is_held(self, public_ip: str, resources: tuple[str, ...]) -> bool:
        return any(self._of(resource, holder_of(public_ip)) for resource in resources)

    def _of_attachment(self, one: TransitAttachment) -> Iterator[Claim]:
        """From its VPC to the others of the gateway; each of these claims the way back."""
        if not one.joins():
            return
        name = one.transit_gateway_id
        beside = self._of("ec2.transit_gateway_attachments", joined_by(name)).values()
        for vpc_id in sorted({other.resource_id for other in beside} - {one.resource_id}):
            yield PeeringClaim(_member(one.resource_id), _member(vpc_id), "transit", name)


def _machine(instance_id: str, tags: Sequence[Tag]) -> _Owner:
    """A machine; a node of a cluster, by its tags, yields to what its API server tells."""
    name = _tag(tags) or instance_id
    if any(tag.key.startswith(_NODES) for tag in tags):
        return _Owner("interface", name, node=name)
    return _Owner("vm", name)


def _of_vpc(key: Key, one: Vpc) -> Iterator[Claim]:
    v4: list[str | None] = [
        part.cidr_block
        for part in one.cidr_block_association_set
        if part.cidr_block_state.state == "associated"
    ]
    for cidr in (*(v4 or [one.cidr_block]), *_ranges6(one)):
        if cidr:
            yield _prefix(key, key.uid, cidr, "vpc", one)


def _of_subnet(key: Key, one: Subnet, zone: str | None) -> Iterator[Claim]:
    for cidr in (one.cidr_block, *_ranges6(one)):
        if cidr:
            claim = _prefix(key, one.vpc_id, cidr, "subnet", one)
            yield claim._replace(zone=zone, subnet=key.uid)


def _of_peering(key: Key, one: Peering) -> Iterator[Claim]:
    ends = [side.vpc_id for side in (one.requester_vpc_info, one.accepter_vpc_info)]
    if one.status.code == "active" and all(ends):
        name = _tag(one.tags) or key.uid
        for here, there in (ends, ends[::-1]):
            yield PeeringClaim(_member(here), _member(there), "vpc_peering", name)


def _of_vpn(key: Key, one: Vpn) -> Iterator[Claim]:
    if one.state in {"available", "modifying"}:
        owner = _Owner("gateway", _tag(one.tags) or key.uid)
        for tunnel in one.vgw_telemetry:
            if tunnel.outside_ip_address:
                yield _endpoint(key, INTERNET, tunnel.outside_ip_address, owner, zone=None)


def _of_prefix_list(key: Key, one: PrefixList) -> Iterator[Claim]:
    """Ranges the customer has named, where they mean the same everywhere; not Amazon's own."""
    if one.owner_id == "AWS":
        return
    for entry in one.entries:
        if entry.cidr and not _is_local(entry.cidr):
            yield PrefixClaim(
                INTERNET,
                entry.cidr,
                "external",
                name=one.prefix_list_name or key.uid,
                account=one.owner_id or _account(key),
            )


def _of_cluster(key: Key, one: Cluster, agents: str) -> Iterator[Claim]:
    """EKS clusters; ``agents`` is the cluster of the agent that asks."""
    is_ours = agents in {one.name, one.arn}
    if is_ours:
        yield ClusterClaim(agents, provider=_PROVIDER, region=_region(key))
    vpc_id = one.resources_vpc_config.vpc_id
    ranges = one.kubernetes_network_config
    for cidr in (ranges.service_ipv4_cidr, ranges.service_ipv6_cidr):
        if cidr and vpc_id:
            yield PrefixClaim(
                _member(vpc_id),
                cidr,
                "service",
                cluster=agents if is_ours else None,
                name=one.name,
                provider=_PROVIDER,
                region=_region(key),
                account=_account(key),
                vpc=vpc_id,
            )


def _prefix(key: Key, vpc_id: str, cidr: str, kind: str, one: Vpc | Subnet) -> PrefixClaim:
    return PrefixClaim(
        INTERNET if ":" in cidr and not _is_local(cidr) else _member(vpc_id),
        cidr,
        kind,
        name=_tag(one.tags),
        provider=_PROVIDER,
        region=_region(key),
        account=one.owner_id or _account(key),
        vpc=vpc_id,
    )


def _ranges6(one: Vpc | Subnet) -> list[str]:
    return [
        part.ipv6_cidr_block
        for part in one.ipv6_cidr_block_association_set
        if part.ipv6_cidr_block_state.state == "associated"
    ]


def _endpoint(
    key: Key, network: str, ip: str, who: _Owner, *, zone: str | None, since_us: int | None = None
) -> EndpointClaim:
    return EndpointClaim(
        network,
        ip,
        who.kind,
        workload=who.workload,
        service=who.service,
        node=who.node,
        zone=zone,
        provider=_PROVIDER,
        region=_region(key),
        since_us=since_us,
    )


def _member(vpc_id: str) -> str:
    return f"{_PROVIDER}/{vpc_id}"


def _account(key: Key) -> str | None:
    return key.scope.partition("/")[0] or None


def _region(key: Key) -> str | None:
    return key.scope.partition("/")[2] or None


def _tag(tags: Iterable[Tag], name: str = "Name") -> str | None:
    return next((tag.value for tag in tags if tag.key == name and tag.value), None)


def _is_local(cidr: str) -> bool:
    """Whether any of a range's addresses means something else elsewhere."""
    network = ip_network(cidr)
    return any(network.version == local.version and network.overlaps(local) for local in PRIVATE)


def _network6(vpc_id: str, ip: str) -> str | None:
    """Network of an IPv6 address of a VPC; None if it is a local one of no VPC."""
    if not _is_local(ip):
        return INTERNET
    return _member(vpc_id) if vpc_id else None


def _microseconds(time: datetime | None) -> int | None:
    if time is None:
        return None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6)


def _nothing(key: Key, one: object) -> Iterator[Claim]:  # noqa: ARG001 as all others
    """Claims of what others only read."""
    return iter(())


_ALONE: Final[dict[type, Callable[[Key, Any], Iterator[Claim]]]] = {
    Vpc: _of_vpc,
    Peering: _of_peering,
    Vpn: _of_vpn,
    PrefixList: _of_prefix_list,
}
"""Objects that claim what they say themselves."""
