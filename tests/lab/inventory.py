"""
The topology as an inventory file: what a cloud and its clusters would tell.

Every address of the captures is here, as each network sees it, but two on
purpose: `UNKNOWN_IP` has no row, and `AMBIGUOUS_IP` has two, of different
clusters of one network and valid at the same time.

Before: topology.py. After: the pipeline's enrichment reads the file.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .names import (
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    GATEWAY_WORKLOAD,
    MESH_ID,
    NAMESPACE,
    TRUST_DOMAIN,
    host_name,
)
from .topology import (
    AMBIGUOUS_IP,
    CLUSTERS,
    MANAGEMENT,
    NETWORKS,
    SERVICES,
    UNDERLAY,
    Cluster,
    Network,
    Pod,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Address

Value = str | int | tuple[str, ...] | datetime
Row = dict[str, Value]


def render(valid_from: datetime) -> str:
    """Return the inventory as TOML; every endpoint is valid from then on."""
    tables: list[tuple[str, Row]] = [
        *(("networks", _network(net)) for net in NETWORKS),
        *(("clusters", _cluster(cluster)) for cluster in CLUSTERS),
        *(("prefixes", row) for row in prefixes()),
        *(("endpoints", {**row, "valid_from": valid_from}) for row in endpoints()),
        *(("gateways", row) for row in gateways()),
    ]
    head = "# Written by tests/lab/record_demo.py from tests/lab/topology.py.\n"
    return head + "".join(_table(name, row) for name, row in tables)


def prefixes() -> Iterator[Row]:
    """Yield the address ranges of each network."""
    for cluster in CLUSTERS:
        for kind, cidr in (("pod", cluster.pod_cidr), ("service", cluster.service_cidr)):
            yield {
                "network": cluster.network.name,
                "cidr": str(cidr),
                "kind": kind,
                "cluster": cluster.name,
                "name": f"{cluster.short} {kind}s",
            }
    for network in NETWORKS:
        for cidr, name in ((UNDERLAY, "inter-cloud underlay"), (MANAGEMENT, "management")):
            yield {"network": network.name, "cidr": str(cidr), "kind": "subnet", "name": name}


def endpoints() -> Iterator[Row]:
    """Yield what each address is, once per network that sees it."""
    for cluster in CLUSTERS:
        yield from _own_endpoints(cluster)
    yield {
        "network": _network_of(AMBIGUOUS_IP).name,
        "ip": str(AMBIGUOUS_IP),
        "kind": "vm",
        "cluster": "cluster-edge",
        "workload": "legacy-vm",
        "zone": "1",
    }
    for network in NETWORKS:
        for cluster in CLUSTERS:
            yield from _shared_endpoints(network, cluster)


def gateways() -> Iterator[Row]:
    """Yield each gateway's address, once per other network."""
    for network in NETWORKS:
        for cluster in CLUSTERS:
            if cluster.gateway is not None and cluster.network != network:
                yield {
                    "network": network.name,
                    "ip": str(cluster.gateway.vip),
                    "port": GATEWAY_PORT,
                    "cluster": cluster.name,
                    "to_network": cluster.network.name,
                    "name": cluster.gateway.name,
                }


def _own_endpoints(cluster: Cluster) -> Iterator[Row]:
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
    for service in SERVICES:
        yield {
            **base,
            "ip": str(cluster.service_ip(service)),
            "kind": "service",
            "namespace": NAMESPACE,
            "service": host_name(service),
        }


def _pod(pod: Pod) -> Row:
    row: Row = {"ip": str(pod.ip), "kind": "pod", "namespace": NAMESPACE, "workload": pod.workload}
    if pod.sidecar:
        row["service"] = host_name(pod.workload)
    row |= {"pod": pod.name, "node": pod.node.name, "zone": pod.node.zone}
    if pod.sidecar:
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


def _network_of(address: IPv4Address) -> Network:
    """Return the network of the pod with this address."""
    return next(
        cluster.network for cluster in CLUSTERS if any(pod.ip == address for pod in cluster.pods)
    )


def _table(name: str, row: Mapping[str, Value]) -> str:
    lines = "".join(f"{key} = {_value(value)}\n" for key, value in row.items())
    return f"\n[[{name}]]\n{lines}"


def _value(value: Value) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'
