"""
A topology as an inventory file: what a cloud and its clusters would tell.

Every address of the captures is here, as each network sees it, but two on
purpose: `UNKNOWN_IP` has no row, and `AMBIGUOUS_IP` has two, of different
clusters of one network and valid at the same time.

Before: places.py. After: the pipeline's enrichment reads the file.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .names import GATEWAY_NAMESPACE, GATEWAY_PORT, GATEWAY_WORKLOAD, MESH_ID, TRUST_DOMAIN
from .places import AMBIGUOUS_IP
from .topology import MANAGEMENT, UNDERLAY, Cluster, Network, Pod, Topology

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Value = str | int | tuple[str, ...] | datetime
Row = dict[str, Value]


def render(topology: Topology, valid_from: datetime) -> str:
    """Return the inventory as TOML; every endpoint is valid from then on."""
    tables: list[tuple[str, Row]] = [
        *(("networks", _network(net)) for net in topology.networks),
        *(("clusters", _cluster(cluster)) for cluster in topology.clusters),
        *(("prefixes", row) for row in prefixes(topology)),
        *(("endpoints", {**row, "valid_from": valid_from}) for row in endpoints(topology)),
        *(("gateways", row) for row in gateways(topology)),
    ]
    head = "# Written by tests/lab/inventory.py from tests/lab/places.py.\n"
    return head + "".join(_table(name, row) for name, row in tables)


def prefixes(topology: Topology) -> Iterator[Row]:
    """Yield the address ranges of each network."""
    for cluster in topology.clusters:
        for kind, cidr in (("pod", cluster.pod_cidr), ("service", cluster.service_cidr)):
            yield {
                "network": cluster.network.name,
                "cidr": str(cidr),
                "kind": kind,
                "cluster": cluster.name,
                "name": f"{cluster.short} {kind}s",
            }
        if cluster.vm_cidr is not None:
            yield {
                "network": cluster.network.name,
                "cidr": str(cluster.vm_cidr),
                "kind": "subnet",
                "cluster": cluster.name,
                "name": f"{cluster.short} machines",
            }
    for network in topology.networks:
        for cidr, name in ((UNDERLAY, "inter-cloud underlay"), (MANAGEMENT, "management")):
            yield {"network": network.name, "cidr": str(cidr), "kind": "subnet", "name": name}


def endpoints(topology: Topology) -> Iterator[Row]:
    """Yield what each address is, once per network that sees it."""
    for cluster in topology.clusters:
        yield from _own_endpoints(topology, cluster)
    yield {
        "network": topology.home_of("batch")[0].network.name,
        "ip": str(AMBIGUOUS_IP),
        "kind": "vm",
        "cluster": "cluster-edge",
        "workload": "legacy-vm",
        "zone": "1",
    }
    for network in topology.networks:
        for cluster in topology.clusters:
            yield from _shared_endpoints(network, cluster)


def gateways(topology: Topology) -> Iterator[Row]:
    """Yield each gateway's address, once per network whose calls go there."""
    for network in topology.networks:
        for cluster in topology.clusters:
            asked = cluster.network != network or topology.also_by_gateway
            if cluster.gateway is not None and asked:
                yield {
                    "network": network.name,
                    "ip": str(cluster.gateway.vip),
                    "port": GATEWAY_PORT,
                    "cluster": cluster.name,
                    "to_network": cluster.network.name,
                    "name": cluster.gateway.name,
                }


def _own_endpoints(topology: Topology, cluster: Cluster) -> Iterator[Row]:
    """Yield a cluster's pods, gateway, router and service addresses."""
    base: Row = {"network": cluster.network.name, "cluster": cluster.name}
    first = cluster.nodes[0]
    for pod in cluster.pods:
        yield {**base, **_pod(pod)}
    if cluster.gateway is not None:
        yield {
            **base,
            "ip": str(cluster.gateway.ip),
            "kind": "gateway",
            "namespace": GATEWAY_NAMESPACE,
            "workload": GATEWAY_WORKLOAD,
            "pod": f"{GATEWAY_WORKLOAD}-0",
            "node": first.name,
            "zone": first.zone,
        }
    router = {"ip": str(cluster.router_ip), "kind": "node", "node": first.name}
    yield {**base, **router, "zone": first.zone}
    for one in cluster.host_proxies:
        where: Row = {"node": one.node.name, "zone": one.node.zone}
        yield {**base, "ip": str(one.ip), "kind": "node", **where}
    for service in topology.services:
        _, pod = topology.home_of(service)
        yield {
            **base,
            "ip": str(topology.service_ip(cluster, service)),
            "kind": "service",
            "namespace": pod.namespace,
            "service": pod.host_name,
        }


def _pod(pod: Pod) -> Row:
    row: Row = {"ip": str(pod.ip), "kind": pod.kind, "namespace": pod.namespace}
    row["workload"] = pod.workload
    if pod.proxy != "none":
        row["service"] = pod.host_name
    if pod.kind == "pod":
        row |= {"pod": pod.name, "node": pod.node.name}
    row["zone"] = pod.node.zone
    if pod.proxy != "none":
        row["identity"] = pod.identity
    return row


def _shared_endpoints(network: Network, cluster: Cluster) -> Iterator[Row]:
    """Yield a cluster's addresses outside its pod network, as `network` sees them."""
    base: Row = {"network": network.name, "cluster": cluster.name}
    first = cluster.nodes[0]
    where = {"node": first.name, "zone": first.zone}
    yield {**base, "ip": str(cluster.underlay_ip), "kind": "node", **where}
    if network == cluster.network:
        yield {**base, "ip": str(cluster.management_ip), "kind": "node", **where}
    if cluster.gateway is not None:
        yield {
            **base,
            "ip": str(cluster.gateway.vip),
            "kind": "load_balancer",
            "namespace": GATEWAY_NAMESPACE,
            "workload": GATEWAY_WORKLOAD,
            "service": f"{GATEWAY_WORKLOAD}.{GATEWAY_NAMESPACE}.svc.cluster.local",
        }


def _network(network: Network) -> Row:
    return {"name": network.name, "model": network.model}


def _cluster(cluster: Cluster) -> Row:
    return {
        "name": cluster.name,
        "provider": cluster.provider,
        "region": cluster.region,
        "zones": cluster.zones,
        "network": cluster.network.name,
        "mesh": MESH_ID,
        "trust_domain": TRUST_DOMAIN,
    }


def _table(name: str, row: Mapping[str, Value]) -> str:
    lines = "".join(f"{key} = {_value(value)}\n" for key, value in row.items())
    return f"\n[[{name}]]\n{lines}"


def _value(value: Value) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'
