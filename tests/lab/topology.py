"""
What the lab contains: the one place where an address or a name is written.

    net-east            net-west            net-flat
    cluster-east (aws)  cluster-west (gcp)  cluster-onprem    cluster-edge (azure)
    10.0.0.0/24         10.0.0.0/24  (!)    10.20.0.0/24 <--> 10.30.0.0/24
    VIP 203.0.113.10    VIP 203.0.113.20    VIP 203.0.113.30
           |                   |                   |
           +------ 198.18.0.0/24, the underlay ----+

East and west use the same pod addresses and meet only through their gateways
("gateway" model). Onprem and edge route to each other's pods ("flat" model)
and share one gateway, in onprem. 198.19.0.0/24 is the management network: it
carries flow exports only, so that no exporter sees its own datagrams.

Before: names.py. After: netns.py, envoy.py, inventory.py read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from .names import SERVICE_PORT, spiffe

UNDERLAY = IPv4Network("198.18.0.0/24")
MANAGEMENT = IPv4Network("198.19.0.0/24")
COLLECTOR = IPv4Address("198.19.0.1")
FLAT_LINK = IPv4Network("10.255.0.0/30")
"""Between the nodes of onprem and edge; no exporter watches it."""

UNKNOWN_IP = IPv4Address("198.51.100.77")
"""Answers HTTP on the underlay, and is in no inventory. Deliberately."""
UNKNOWN_PORT = 8443
AMBIGUOUS_IP = IPv4Address("10.20.0.50")
"""One machine, which two inventory rows claim at the same time. Deliberately."""
AMBIGUOUS_PORT = 9100

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
    """One pod. Without `port` nothing listens behind its sidecar."""

    workload: str
    ip: IPv4Address
    node: Node
    port: int | None = SERVICE_PORT
    sidecar: bool = True

    @property
    def name(self) -> str:
        """The pod's name, as Kubernetes would give it."""
        return f"{self.workload}-0"

    @property
    def identity(self) -> str:
        """The SPIFFE ID in its certificate."""
        return spiffe(self.workload)


@dataclass(frozen=True)
class Gateway:
    """An east-west gateway: a pod, and the address others reach it at."""

    name: str
    ip: IPv4Address
    vip: IPv4Address


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

    def namespace(self, pod: str) -> str:
        """Return the Linux namespace of a pod or gateway, by its name."""
        return f"cp-{self.short}-{pod}"

    def service_ip(self, service: str) -> IPv4Address:
        """Return the service's virtual IP in this cluster; never on the wire."""
        return self.service_cidr[self.services_from + SERVICES.index(service)]


@dataclass(frozen=True)
class Edge:
    """
    A call some client makes, and after how many requests it reconnects.

    Zero: the connection is kept until its maximum age.
    """

    client: str
    service: str
    requests_per_connection: int


@dataclass(frozen=True)
class Denial:
    """A named policy of `service`: `client` may not use `method`."""

    service: str
    client: str
    method: str
    policy: str


SERVICES = (
    "cart",
    "frontend",
    "reviews",
    "ratings",
    "recommendations",
    "inventory",
    "billing",
    "telemetry",
)

NET_EAST = Network("net-east", "gateway")
NET_WEST = Network("net-west", "gateway")
NET_FLAT = Network("net-flat", "flat")
NETWORKS = (NET_EAST, NET_WEST, NET_FLAT)

_E1, _E2 = Node("east-node-1", "us-east-1a"), Node("east-node-2", "us-east-1b")
_W1, _W2 = Node("west-node-1", "us-west1-a"), Node("west-node-2", "us-west1-b")
_O1, _A1 = Node("onprem-node-1", "dc1-r1"), Node("edge-node-1", "1")

CLUSTERS = (
    Cluster(
        "cluster-east",
        provider="aws",
        region="us-east-1",
        network=NET_EAST,
        pod_cidr=IPv4Network("10.0.0.0/24"),
        service_cidr=IPv4Network("10.96.0.0/16"),
        services_from=16,
        host=10,
        flow_format="netflow9",
        nodes=(_E1, _E2),
        pods=(
            Pod("frontend", IPv4Address("10.0.0.11"), _E1),
            Pod("cart", IPv4Address("10.0.0.12"), _E2),
        ),
        gateway=Gateway("east-eastwest", IPv4Address("10.0.0.2"), IPv4Address("203.0.113.10")),
    ),
    Cluster(
        "cluster-west",
        provider="gcp",
        region="us-west1",
        network=NET_WEST,
        pod_cidr=IPv4Network("10.0.0.0/24"),
        service_cidr=IPv4Network("10.96.0.0/16"),
        services_from=14,
        host=20,
        flow_format="ipfix",
        nodes=(_W1, _W2),
        pods=(
            Pod("reviews", IPv4Address("10.0.0.11"), _W1),
            Pod("ratings", IPv4Address("10.0.0.12"), _W2),
            Pod("recommendations", IPv4Address("10.0.0.13"), _W2, port=None),
        ),
        gateway=Gateway("west-eastwest", IPv4Address("10.0.0.2"), IPv4Address("203.0.113.20")),
    ),
    Cluster(
        "cluster-onprem",
        provider="onprem",
        region="dc1",
        network=NET_FLAT,
        pod_cidr=IPv4Network("10.20.0.0/24"),
        service_cidr=IPv4Network("10.120.0.0/16"),
        services_from=16,
        host=30,
        flow_format="ipfix",
        nodes=(_O1,),
        pods=(
            Pod("inventory", IPv4Address("10.20.0.11"), _O1),
            Pod("billing", IPv4Address("10.20.0.12"), _O1),
            Pod("batch", AMBIGUOUS_IP, _O1, port=AMBIGUOUS_PORT, sidecar=False),
        ),
        gateway=Gateway("flat-eastwest", IPv4Address("10.20.0.2"), IPv4Address("203.0.113.30")),
    ),
    Cluster(
        "cluster-edge",
        provider="azure",
        region="westeurope",
        network=NET_FLAT,
        pod_cidr=IPv4Network("10.30.0.0/24"),
        service_cidr=IPv4Network("10.130.0.0/16"),
        services_from=16,
        host=40,
        flow_format="netflow9",
        nodes=(_A1,),
        pods=(Pod("telemetry", IPv4Address("10.30.0.11"), _A1),),
    ),
)

EDGES = (
    Edge("frontend", "cart", 2),
    Edge("frontend", "reviews", 3),
    Edge("frontend", "inventory", 2),
    Edge("frontend", "recommendations", 1),
    Edge("reviews", "ratings", 3),
    Edge("reviews", "cart", 3),
    Edge("billing", "cart", 3),
    Edge("telemetry", "inventory", 0),
    Edge("telemetry", "billing", 1),
)

DENIALS = (Denial("billing", "telemetry", "POST", "ns[shop]-policy[billing-read-only]-rule[0]"),)


def home_of(workload: str) -> tuple[Cluster, Pod]:
    """Return the cluster and the pod of a workload; KeyError without one."""
    for cluster in CLUSTERS:
        for pod in cluster.pods:
            if pod.workload == workload:
                return cluster, pod
    raise KeyError(workload)


def gateway_of(network: Network) -> Gateway:
    """Return the gateway through which other networks reach this one."""
    for cluster in CLUSTERS:
        if cluster.network == network and cluster.gateway is not None:
            return cluster.gateway
    raise KeyError(network.name)
