"""
The labs: the one place where an address or a workload's name is written.

    net-east            net-west            net-flat
    cluster-east (aws)  cluster-west (gcp)  cluster-onprem    cluster-edge (azure)
    10.0.0.0/24         10.0.0.0/24  (!)    10.20.0.0/24 <--> 10.30.0.0/24
                        node west-node-3:   VM 10.40.0.2
                        host proxy
    VIP 203.0.113.10    VIP 203.0.113.20    VIP 203.0.113.30
           |                   |                   |
           +------ 198.18.0.0/24, the underlay ----+

East and west use the same pod addresses and meet only through their gateways
("gateway" model). Onprem and edge route to each other's pods ("flat" model)
and share one gateway, in onprem. 198.19.0.0/24 is the management network: it
carries flow exports only, so that no exporter sees its own datagrams.

`DEMO` is what pipeline/demo/ was recorded from, and stays as it was then.
`LAB` is all of it and more: a machine outside Kubernetes, a node whose pods
have no sidecars, one sidecar that takes plaintext, and a mesh that checks,
retries and ejects. `TWO_WAYS` is a part of it, where one client reaches one
server pod to pod and through a gateway.

Before: topology.py. After: netns.py, envoy.py, inventory.py, traffic.py.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from .names import HOST_NAMESPACE
from .topology import (
    MANAGEMENT,
    Cluster,
    Denial,
    Edge,
    Gateway,
    HostProxy,
    Network,
    Node,
    Pod,
    Topology,
)

COLLECTOR = MANAGEMENT[1]
UNKNOWN_IP = IPv4Address("198.51.100.77")
"""Answers HTTP on the underlay, and is in no inventory. Deliberately."""
UNKNOWN_PORT = 8443
AMBIGUOUS_IP = IPv4Address("10.20.0.50")
"""One machine, which two inventory rows claim at the same time. Deliberately."""
AMBIGUOUS_PORT = 9100

NET_EAST = Network("net-east", "gateway")
NET_WEST = Network("net-west", "gateway")
NET_FLAT = Network("net-flat", "flat")

_E1, _E2 = Node("east-node-1", "us-east-1a"), Node("east-node-2", "us-east-1b")
_W1, _W2 = Node("west-node-1", "us-west1-a"), Node("west-node-2", "us-west1-b")
_W3 = Node("west-node-3", "us-west1-b")
_O1, _A1 = Node("onprem-node-1", "dc1-r1"), Node("edge-node-1", "1")

_EAST = Cluster(
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
)
_WEST = Cluster(
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
)
_INVENTORY = Pod("inventory", IPv4Address("10.20.0.11"), _O1)
_ONPREM = Cluster(
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
        _INVENTORY,
        Pod("billing", IPv4Address("10.20.0.12"), _O1),
        Pod("batch", AMBIGUOUS_IP, _O1, port=AMBIGUOUS_PORT, proxy="none"),
    ),
    gateway=Gateway("flat-eastwest", IPv4Address("10.20.0.2"), IPv4Address("203.0.113.30")),
)
_EDGE = Cluster(
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
)

DEMO = Topology(
    networks=(NET_EAST, NET_WEST, NET_FLAT),
    clusters=(_EAST, _WEST, _ONPREM, _EDGE),
    services=(
        *("cart", "frontend", "reviews", "ratings"),
        *("recommendations", "inventory", "billing", "telemetry"),
    ),
    edges=(
        Edge("frontend", "cart", 2),
        Edge("frontend", "reviews", 3),
        Edge("frontend", "inventory", 2),
        Edge("frontend", "recommendations", 1, guarded=False),
        Edge("reviews", "ratings", 3),
        Edge("reviews", "cart", 3),
        Edge("billing", "cart", 3),
        Edge("telemetry", "inventory", 0),
        Edge("telemetry", "billing", 1),
    ),
    denials=(Denial("billing", "telemetry", "POST", "ns[shop]-policy[billing-read-only]-rule[0]"),),
    resilient=False,
)

LAB = Topology(
    networks=DEMO.networks,
    clusters=(
        _EAST,
        replace(
            _WEST,
            nodes=(_W1, _W2, _W3),
            pods=(
                *_WEST.pods,
                *(
                    Pod(name, IPv4Address(ip), _W3, proxy="host", namespace=HOST_NAMESPACE)
                    for name, ip in (("reports", "10.0.0.65"), ("exports", "10.0.0.66"))
                ),
            ),
            host_proxies=(HostProxy("nodeproxy-west-node-3", _W3, IPv4Address("10.0.0.3")),),
        ),
        replace(
            _ONPREM,
            pods=(
                replace(_INVENTORY, permissive=True),
                *_ONPREM.pods[1:],
                Pod("ledger", IPv4Address("10.40.0.2"), _O1, kind="vm"),
            ),
            vm_cidr=IPv4Network("10.40.0.0/24"),
        ),
        _EDGE,
    ),
    services=(*DEMO.services, "ledger", "reports", "exports"),
    edges=(
        *DEMO.edges,
        Edge("frontend", "ledger", 3),
        Edge("frontend", "reports", 3),
        Edge("billing", "ledger", 3),
        Edge("telemetry", "ledger", 0),
        Edge("ledger", "billing", 3),
        Edge("ledger", "ratings", 3),
        Edge("reviews", "reports", 2),
        Edge("reports", "ledger", 3),
        Edge("exports", "reviews", 3),
        Edge("exports", "cart", 3),
    ),
    denials=(
        *DEMO.denials,
        Denial("ledger", "telemetry", "POST", "ns[shop]-policy[ledger-read-only]-rule[0]"),
        Denial("reports", "reviews", "POST", "ns[jobs]-policy[reports-read-only]-rule[0]"),
    ),
    resilient=True,
)

TWO_WAYS = Topology(
    networks=(NET_FLAT,),
    clusters=(
        replace(_ONPREM, pods=tuple(pod for pod in _ONPREM.pods if pod.workload != "billing")),
        replace(_EDGE, long_line_ms=20.0),
    ),
    services=("inventory",),
    edges=(Edge("telemetry", "inventory", 0, guarded=False),),
    denials=(),
    resilient=False,
    also_by_gateway=("inventory",),
)
"""The flat network alone; its gateway is far from one cluster, which reaches pods without it."""
