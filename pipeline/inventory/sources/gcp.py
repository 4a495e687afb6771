"""
Google Cloud: networks, subnetworks, instances, load balancers, gateways, GKE.

    compute.networks         peerings; the whole range of a legacy network
    compute.subnetworks      ranges; secondary ones are pods' or services' where a
                             cluster says so
    compute.instances        addresses of interfaces, inside and outside
    compute.forwardingRules  load balancers
    compute.addresses        addresses of Cloud NAT; ranges lent to service producers
    compute.vpnGateways, compute.vpnTunnels   gateways; networks joined by a VPN
    container.clusters       clusters, their pods' and services' ranges

An object's uid is its path, ``projects/p/regions/r/subnetworks/s``, and its
network's member name ``gcp/`` before the network's. An address in use is claimed
by who uses it, a reserved one by nobody.

Source: Compute Engine API v1 and GKE API v1, resource pages.
Before: gcp_objects.py. After: registry.py.
"""

import ipaddress
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
from pipeline.inventory.sources.gcp_objects import (
    READERS,
    Address,
    Cluster,
    ForwardingRule,
    Instance,
    Network,
    Subnetwork,
    VpnGateway,
    VpnTunnel,
)
from pipeline.inventory.sources.linked import Objects, microseconds, read, single

_PROVIDER: Final = "gcp"


class Gcp:
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
        if isinstance(one, Cluster):
            subnetwork = _subnetwork(key.uid, one)
            names, reads = (_users(subnetwork),), (subnetwork,)
        elif isinstance(one, Subnetwork):
            reads = (_users(key.uid),)
        elif isinstance(one, VpnTunnel):
            reads = (_path(one.vpn_gateway), _path(one.peer_gcp_gateway))
        return self._objects.put(key, one, names, reads)

    def remove(self, key: Key) -> Iterable[Key]:
        """See `World.remove`."""
        return self._objects.remove(key)

    def claims(self, key: Key) -> Iterable[Claim]:
        """See `World.claims`."""
        one = self._objects.get(key)
        return () if one is None else _CLAIMS[key.resource](self._objects, key, one)


def _of_subnetwork(objects: Objects[Any], key: Key, one: Subnetwork) -> Iterator[Claim]:
    clusters = [found for _, found in objects.find(_users(key.uid))]
    cidrs = [one.ip_cidr_range, one.ipv6_cidr_range]
    cidrs += [one.internal_ipv6_prefix, one.external_ipv6_prefix]
    ranges = [(cidr, "subnet", None, one.name) for cidr in dict.fromkeys(cidrs)]
    for part in one.secondary_ip_ranges:
        users = [user for user in clusters if part.range_name in user.ranges()]
        kinds = {user.ranges()[part.range_name] for user in users}
        kind = kinds.pop() if len(kinds) == 1 else "subnet"
        cluster = users[0].name if len(users) == 1 else None
        ranges.append((part.ip_cidr_range, kind, cluster, part.range_name or None))
    for cidr, kind, cluster, name in ranges:
        if cidr:
            yield PrefixClaim(
                _member(one.network),
                cidr,
                kind,
                cluster=cluster,
                name=name,
                provider=_PROVIDER,
                region=_last(one.region),
                account=_project(key.uid),
                vpc=_path(one.network),
                subnet=key.uid,
            )


def _of_cluster(objects: Objects[Any], key: Key, one: Cluster) -> Iterator[Claim]:
    """The cluster, and ranges of it that its subnetwork does not have."""
    region, zone = _region(one.location)
    zones = one.locations or ((zone,) if zone else ())
    yield ClusterClaim(one.name, _PROVIDER, region, tuple(zones))
    subnetwork = _subnetwork(key.uid, one)
    told = {
        part.ip_cidr_range
        for _, found in objects.find(subnetwork)
        for part in found.secondary_ip_ranges
    }
    network = one.network_config.network or one.network
    if "/" not in network:
        network = f"projects/{_project(key.uid)}/global/networks/{network}"
    for cidr, kind in ((one.cluster_ipv4_cidr, "pod"), (one.services_ipv4_cidr, "service")):
        if cidr and cidr not in told and not network.endswith("/"):
            yield PrefixClaim(
                _member(network),
                cidr,
                kind,
                cluster=one.name,
                name=f"{one.name} {kind}s",
                provider=_PROVIDER,
                region=region,
                account=_project(key.uid),
                vpc=_path(network),
            )


def _of_vpn_tunnel(objects: Objects[Any], one: VpnTunnel) -> Iterator[Claim]:
    """Between two gateways of Google's that are both known; the way there."""
    here = objects.find(_path(one.vpn_gateway))
    there = objects.find(_path(one.peer_gcp_gateway))
    if one.status == "ESTABLISHED" and here and there:
        networks = [_member(found[0][1].network) for found in (here, there)]
        yield PeeringClaim(networks[0], networks[1], "vpn", one.name)


def _of_network(key: Key, one: Network) -> Iterator[Claim]:
    network = _member(key.uid)
    if one.range:
        account = _project(key.uid)
        yield PrefixClaim(
            network, one.range, "vpc", name=_last(key.uid), provider=_PROVIDER, account=account,
            vpc=key.uid,
        )  # fmt: skip
    for peering in one.peerings:
        if peering.state == "ACTIVE" and peering.network:
            yield PeeringClaim(network, _member(peering.network), "vpc_peering", peering.name)


def _of_instance(one: Instance) -> Iterator[Claim]:
    """A stopped instance keeps its inner addresses, and has outer ones since its last start."""
    created_us = microseconds(one.creation_timestamp)
    started_us = microseconds(one.last_start_timestamp) or created_us
    zone = _last(one.zone)
    region = _region(zone or "")[0]

    for part in one.network_interfaces:
        inside = _member(part.network) if part.network else ""
        had: list[tuple[str, str | None, str, int | None]]
        had = [(inside, ip, "vm", created_us) for ip in (part.network_ip, part.ipv6_address)]
        had += [(inside, single(alias.ip_cidr_range), "interface", None) for alias in part.aliases]
        for access in (*part.access_configs, *part.ipv6_access_configs):
            had += [
                (INTERNET, ip, "vm", started_us) for ip in (access.nat_ip, access.external_ipv6)
            ]
        for network, ip, kind, since_us in had:
            if network and ip:
                yield EndpointClaim(
                    network, ip, kind, workload=one.name, zone=zone, provider=_PROVIDER,
                    region=region, since_us=since_us,
                )  # fmt: skip


def _of_forwarding_rule(one: ForwardingRule) -> Iterator[Claim]:
    outside = one.load_balancing_scheme.startswith("EXTERNAL")
    if not one.ip or not (outside or one.network) or "SELF_MANAGED" in one.load_balancing_scheme:
        return
    yield EndpointClaim(
        INTERNET if outside else _member(one.network),
        one.ip.partition("/")[0],
        "gateway" if "/targetVpnGateways/" in one.target else "load_balancer",
        workload=one.name,
        provider=_PROVIDER,
        region=_last(one.region),
    )


def _of_address(key: Key, one: Address) -> Iterator[Claim]:
    """Of those that no interface, rule or gateway has: NAT's, and ranges for producers."""
    if not one.address:
        return
    region = _last(one.region)
    if one.purpose == "VPC_PEERING" and one.prefix_length is not None and one.network:
        cidr = str(ipaddress.ip_network(f"{one.address}/{one.prefix_length}", strict=False))
        yield PrefixClaim(
            _member(one.network), cidr, "subnet", name=one.name, provider=_PROVIDER,
            account=_project(key.uid), vpc=_path(one.network),
        )  # fmt: skip
    routers = [user for user in one.users if "/routers/" in user]
    if routers:
        yield EndpointClaim(
            INTERNET, one.address, "gateway", workload=_last(routers[0]), provider=_PROVIDER,
            region=region,
        )  # fmt: skip


def _of_vpn_gateway(one: VpnGateway) -> Iterator[Claim]:
    for interface in one.vpn_interfaces:
        for ip in (interface.ip_address, interface.ipv6_address):
            if ip:
                yield EndpointClaim(
                    INTERNET, ip, "gateway", workload=one.name, provider=_PROVIDER,
                    region=_last(one.region),
                )  # fmt: skip


# --- names -------------------------------------------------------------------


def _path(link: str) -> str:
    """
    What is behind host and version of a link.

    >>> _path("https://www.googleapis.com/compute/v1/projects/p/global/networks/n")
    'projects/p/global/networks/n'
    """
    at = link.find("projects/")
    return link[at:] if at >= 0 else link


def _member(link: str) -> str:
    return f"{_PROVIDER}/{_path(link)}"


def _users(subnetwork: str) -> str:
    """Name by which clusters in a subnetwork are found."""
    return f"clusters in {subnetwork}"


def _subnetwork(uid: str, cluster: Cluster) -> str:
    """Path of the subnetwork a cluster's nodes are in."""
    link = cluster.network_config.subnetwork or cluster.subnetwork
    if "/" in link:
        return _path(link)
    region = _region(cluster.location)[0]
    return f"projects/{_project(uid)}/regions/{region}/subnetworks/{link}"


def _last(link: str) -> str | None:
    return link.rpartition("/")[2] or None


def _project(uid: str) -> str | None:
    """
    Project of a path.

    >>> _project("projects/p/zones/us-east1-b/instances/i")
    'p'
    """
    parts = uid.split("/")
    return parts[1] if len(parts) > 1 and parts[0] == "projects" else None


def _region(location: str) -> tuple[str | None, str | None]:
    """
    Region and zone of a location, which is one or the other.

    >>> _region("us-central1-a"), _region("us-central1")
    (('us-central1', 'us-central1-a'), ('us-central1', None))
    """
    zone = location.count("-") == 2  # noqa: PLR2004 europe-west1-b
    return (location.rpartition("-")[0], location) if zone else (location or None, None)


_CLAIMS: Final[dict[str, Callable[[Objects[Any], Key, Any], Iterable[Claim]]]] = {
    "compute.networks": lambda _, key, one: _of_network(key, one),
    "compute.subnetworks": _of_subnetwork,
    "compute.instances": lambda _, __, one: _of_instance(one),
    "compute.forwardingRules": lambda _, __, one: _of_forwarding_rule(one),
    "compute.addresses": lambda _, key, one: _of_address(key, one),
    "compute.vpnGateways": lambda _, __, one: _of_vpn_gateway(one),
    "compute.vpnTunnels": lambda objects, _, one: _of_vpn_tunnel(objects, one),
    "container.clusters": _of_cluster,
}
"""What objects of a resource claim."""
