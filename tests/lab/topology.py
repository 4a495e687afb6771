"""
What a lab is made of: networks, clusters, nodes, pods, gateways, calls.

Before: names.py. After: places.py has the two that exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from .names import NAMESPACE, NODE_NAMESPACE, SERVICE_PORT, host_name, node_id, spiffe

UNDERLAY = IPv4Network("198.18.0.0/24")
MANAGEMENT = IPv4Network("198.19.0.0/24")
FLAT_LINK = IPv4Network("10.255.0.0/30")
"""Between the nodes of the two clusters of a flat network; no exporter watches it."""

FlowFormat = Literal["netflow9", "ipfix"]


@dataclass(frozen=True)
class Network:
    """One IP routing domain."""

    name: str
    model: Literal["gateway", "flat"]


@dataclass(frozen=True)
class Node:
    """A node: a label on pods. One namespace per cluster does the routing."""

    name: str
    zone: str


@dataclass(frozen=True)
class Pod:
    """
    One workload: a pod, or a machine outside Kubernetes.

    Attributes
    ----------
    port
        Where the application listens; without one nothing does.
    proxy
        Its own Envoy, the Envoy of its node, or none.
    permissive
        Its sidecar takes plaintext too, as Istio's does by default.
    """

    workload: str
    ip: IPv4Address
    node: Node
    port: int | None = SERVICE_PORT
    proxy: Literal["sidecar", "host", "none"] = "sidecar"
    kind: Literal["pod", "vm"] = "pod"
    namespace: str = NAMESPACE
    permissive: bool = False

    @property
    def name(self) -> str:
        """The pod's name, as Kubernetes would give it."""
        return f"{self.workload}-0" if self.kind == "pod" else self.workload

    @property
    def host_name(self) -> str:
        """The name of its service in DNS."""
        return host_name(self.workload, self.namespace)

    @property
    def identity(self) -> str:
        """The SPIFFE ID in its certificate."""
        return spiffe(self.workload, self.namespace)

    @property
    def node_id(self) -> str:
        """What its sidecar calls itself."""
        return node_id("sidecar", self.ip, self.name, self.namespace)


@dataclass(frozen=True)
class Gateway:
    """An east-west gateway: a pod, and the address others reach it at."""

    name: str
    ip: IPv4Address
    vip: IPv4Address

    @property
    def node_id(self) -> str:
        """What it calls itself."""
        return node_id("router", self.ip, self.name, NAMESPACE)


@dataclass(frozen=True)
class HostProxy:
    """The proxy of a node, for its pods without sidecars; it has the node's address."""

    name: str
    node: Node
    ip: IPv4Address

    @property
    def node_id(self) -> str:
        """What it calls itself."""
        return node_id("host", self.ip, self.name, NODE_NAMESPACE)


@dataclass(frozen=True)
class Cluster:
    """One cluster; `services_from` is the host part of its first service VIP."""

    name: str
    provider: str
    region: str
    network: Network
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    services_from: int
    host: int
    flow_format: FlowFormat
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    gateway: Gateway | None = None
    host_proxies: tuple[HostProxy, ...] = ()
    vm_cidr: IPv4Network | None = None
    """Where machines outside Kubernetes are; routed, like pods, within the network."""
    long_line_ms: float = 0.0
    """How long a frame takes between it and the underlay, each way: other clouds are far."""

    @property
    def short(self) -> str:
        """`east` of `cluster-east`."""
        return self.name.removeprefix("cluster-")

    @property
    def zones(self) -> tuple[str, ...]:
        """Its zones, in order, each once."""
        return tuple(dict.fromkeys(node.zone for node in self.nodes))

    @property
    def router_ip(self) -> IPv4Address:
        """The pods' default route."""
        return self.pod_cidr[1]

    @property
    def underlay_ip(self) -> IPv4Address:
        """The node's address between clouds: where its pods' calls come from."""
        return UNDERLAY[self.host]

    @property
    def management_ip(self) -> IPv4Address:
        """Where its flow exports come from."""
        return MANAGEMENT[self.host]

    @property
    def node_namespace(self) -> str:
        """The Linux namespace that routes and translates for the cluster."""
        return f"cp-{self.short}-node"

    @property
    def line_namespace(self) -> str:
        """The Linux namespace of its long line to the underlay, if that is one."""
        return f"cp-{self.short}-line"

    def namespace(self, name: str) -> str:
        """Return the Linux namespace of a workload, gateway or host proxy."""
        return f"cp-{self.short}-{name}"

    def pods_of(self, host_proxy: HostProxy) -> tuple[Pod, ...]:
        """Return the pods which a host proxy serves."""
        return tuple(
            pod for pod in self.pods if pod.proxy == "host" and pod.node == host_proxy.node
        )


@dataclass(frozen=True)
class Edge:
    """
    A call some client makes, and after how many requests it reconnects.

    Zero: the connection is kept until its maximum age. An edge which is not
    guarded has no health checks and no outlier detection, so that requests go
    on to a server that never answers.
    """

    client: str
    service: str
    requests_per_connection: int
    guarded: bool = True


@dataclass(frozen=True)
class Denial:
    """A named policy of `service`: `client` may not use `method`."""

    service: str
    client: str
    method: str
    policy: str


@dataclass(frozen=True)
class Topology:
    """
    All that exists at once.

    `resilient` switches on what a mesh in use has: health checks, retries,
    timeouts, outlier detection. `services` have a virtual IP in each cluster;
    those `also_by_gateway` are called through their network's gateway, within
    that network too, by calls that ask for it: as Istio's clients do where a
    subset of a service is what another network has.
    """

    networks: tuple[Network, ...]
    clusters: tuple[Cluster, ...]
    services: tuple[str, ...]
    edges: tuple[Edge, ...]
    denials: tuple[Denial, ...]
    resilient: bool
    also_by_gateway: tuple[str, ...] = ()

    def home_of(self, workload: str) -> tuple[Cluster, Pod]:
        """Return the cluster and the pod of a workload; KeyError without one."""
        for cluster in self.clusters:
            for pod in cluster.pods:
                if pod.workload == workload:
                    return cluster, pod
        raise KeyError(workload)

    def gateway_of(self, network: Network) -> Gateway:
        """Return the gateway through which other networks reach this one."""
        for cluster in self.clusters:
            if cluster.network == network and cluster.gateway is not None:
                return cluster.gateway
        raise KeyError(network.name)

    def proxy_of(self, workload: str) -> str:
        """Return the name of the proxy that serves a workload; KeyError without one."""
        cluster, pod = self.home_of(workload)
        if pod.proxy == "sidecar":
            return pod.name
        for host_proxy in cluster.host_proxies:
            if pod in cluster.pods_of(host_proxy):
                return host_proxy.name
        raise KeyError(workload)

    def edge(self, client: str, service: str) -> Edge:
        """Return how a client calls a service; unguarded where it is not meant to."""
        for edge in self.edges:
            if (edge.client, edge.service) == (client, service):
                return edge
        return Edge(client, service, 0, guarded=False)

    def service_ip(self, cluster: Cluster, service: str) -> IPv4Address:
        """Return the service's virtual IP in a cluster; never on the wire."""
        return cluster.service_cidr[cluster.services_from + self.services.index(service)]
