"""
Namespaces, bridges, veths, routes and address translation.

    pod eth0 --- bridge `pods` in the node's namespace --- wan0 --- cp-wan

A node translates the source of what leaves its cluster (to its underlay
address) and the destination of what arrives at its gateway's VIP. A pod
redirects as Istio does: calls to a service's VIP go to its sidecar's outbound
port, calls to its service port to the inbound one. IPv6 is off, so that no
neighbour discovery is in the flows.

    pod eth0 --- v65 in the host proxy's namespace --- eth0 --- bridge `pods`

Pods without sidecars are behind their node, which answers ARP for them and
redirects what passes, both ways, to its proxy. A machine outside Kubernetes
is routed by its cluster's node, without a bridge.

    wan0 --- near [cp-SHORT-line] far --- cp-wan

A cluster that is far away has a long line between its node and the underlay:
two ends that no kernel connects; a program does, later.

Before: places.py. After: mesh.py starts processes in the namespaces.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .names import GATEWAY_PORT, SERVICE_PORT
from .places import COLLECTOR, UNKNOWN_IP
from .topology import FLAT_LINK, MANAGEMENT, UNDERLAY, Cluster, HostProxy, Pod, Topology

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address

PREFIX = "cp-"
WAN = "cp-wan"
COLLECTOR_NAMESPACE = "cp-mgmt"
BRIDGE = "pods"
NEAR, FAR = "near", "far"
"""The ends of a long line, which long_line.py connects."""
OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def namespaces() -> list[str]:
    """Return the lab's namespaces which exist now."""
    listed = _run("ip", "netns", "list").splitlines()
    return [line.split()[0] for line in listed if line.startswith(PREFIX)]


def pids(namespace: str) -> list[int]:
    """Return the processes that run in a namespace."""
    return [int(pid) for pid in _run("ip", "netns", "pids", namespace).split()]


def delete(namespace: str) -> None:
    """Delete a namespace, and with it its interfaces and rules."""
    _run("ip", "netns", "delete", namespace)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Put the calling thread into a namespace; sockets made there stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _setns(there)
        yield
    finally:
        _setns(home)
        os.close(there)
        os.close(home)


def tcp_socket(namespace: str) -> socket.socket:
    """Return a non-blocking TCP socket which belongs to `namespace`."""
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def build(topology: Topology) -> None:
    """Make every namespace of the topology and connect them."""
    _switch(WAN, (f"{UNDERLAY[1]}/{UNDERLAY.prefixlen}", f"{UNKNOWN_IP}/32"))
    _switch(COLLECTOR_NAMESPACE, (f"{COLLECTOR}/{MANAGEMENT.prefixlen}",))
    for cluster in topology.clusters:
        _node(topology, cluster)
        if cluster.gateway is not None:
            _attach(cluster, cluster.gateway.name, cluster.gateway.ip)
        for pod in cluster.pods:
            if pod.kind == "vm":
                _attach_machine(cluster, pod)
            elif pod.proxy != "host":
                _attach(cluster, pod.workload, pod.ip)
            if pod.proxy == "sidecar":
                nft(cluster.namespace(pod.workload), _redirect_rules(cluster, pod))
        for host_proxy in cluster.host_proxies:
            _attach_host(cluster, host_proxy)
    flat = [cluster for cluster in topology.clusters if cluster.network.model == "flat"]
    _join_flat(flat)


def _node(topology: Topology, cluster: Cluster) -> None:
    node = cluster.node_namespace
    _switch(node, (f"{cluster.router_ip}/{cluster.pod_cidr.prefixlen}",))
    if cluster.long_line_ms:
        _add(cluster.line_namespace)
        _veth(node, "wan0", cluster.line_namespace, NEAR)
        _veth(cluster.line_namespace, FAR, WAN, f"v-{cluster.short}")
    else:
        _veth(node, "wan0", WAN, f"v-{cluster.short}")
    _veth(node, "mgmt0", COLLECTOR_NAMESPACE, f"v-{cluster.short}")
    commands = [
        f"addr add {cluster.underlay_ip}/{UNDERLAY.prefixlen} dev wan0",
        f"addr add {cluster.management_ip}/{MANAGEMENT.prefixlen} dev mgmt0",
        f"route add {UNKNOWN_IP}/32 via {UNDERLAY[1]}",
    ]
    commands += [
        f"route add {other.gateway.vip}/32 via {other.underlay_ip}"
        for other in topology.clusters
        if other.gateway is not None and other is not cluster
    ]
    _ip(node, commands)
    nft(node, _node_rules(cluster))


def _join_flat(members: list[Cluster]) -> None:
    """Route the pods and machines of both clusters of the flat network to each other."""
    one, two = members
    _veth(one.node_namespace, "flat0", two.node_namespace, "flat0")
    for here, there, own, peer in ((one, two, 1, 2), (two, one, 2, 1)):
        _ip(
            here.node_namespace,
            [
                f"addr add {FLAT_LINK[own]}/{FLAT_LINK.prefixlen} dev flat0",
                *(
                    f"route add {cidr} via {FLAT_LINK[peer]}"
                    for cidr in (there.pod_cidr, there.vm_cidr)
                    if cidr is not None
                ),
            ],
        )


def _node_rules(cluster: Cluster) -> str:
    rules = [
        *("chain out {", "type nat hook postrouting priority 100;"),
        *(f'oifname "wan0" snat to {cluster.underlay_ip}', "}"),
    ]
    if cluster.gateway is not None:
        own = cluster.gateway
        rules += [
            *("chain in {", "type nat hook prerouting priority -100;"),
            *(f"ip daddr {own.vip} tcp dport {GATEWAY_PORT} dnat to {own.ip}", "}"),
        ]
    return _rules(*rules)


def _redirect_rules(cluster: Cluster, pod: Pod) -> str:
    called = f"ip daddr {cluster.service_cidr} tcp dport {SERVICE_PORT}"
    served = f'iifname "eth0" ip daddr {pod.ip} tcp dport {SERVICE_PORT}'
    return _rules(
        *("chain out {", "type nat hook output priority -100;"),
        *(f"{called} redirect to :{OUTBOUND_PORT}", "}"),
        *("chain in {", "type nat hook prerouting priority -100;"),
        *(f"{served} redirect to :{INBOUND_PORT}", "}"),
    )


def _host_redirect_rules(cluster: Cluster, own: HostProxy) -> str:
    """Return rules that need no address on the pods' interfaces, for there is none."""
    addresses = ", ".join(str(pod.ip) for pod in cluster.pods_of(own))
    called = f'iifname != "eth0" ip daddr {cluster.service_cidr} tcp dport {SERVICE_PORT}'
    served = f'iifname "eth0" ip daddr {{ {addresses} }} tcp dport {SERVICE_PORT}'
    return _rules(
        *("chain in {", "type nat hook prerouting priority -100;"),
        f"{called} dnat to {own.ip}:{OUTBOUND_PORT}",
        *(f"{served} dnat to {own.ip}:{INBOUND_PORT}", "}"),
    )


def _rules(*lines: str) -> str:
    return "\n".join(["table ip lab {", *lines, "}", ""])


def _switch(namespace: str, addresses: tuple[str, ...]) -> None:
    """Make a forwarding namespace with a bridge that has `addresses`."""
    _add(namespace)
    _ip(
        namespace,
        [
            f"link add {BRIDGE} type bridge",
            *(f"addr add {address} dev {BRIDGE}" for address in addresses),
            f"link set {BRIDGE} up",
        ],
    )


def _attach(cluster: Cluster, name: str, address: IPv4Address) -> None:
    namespace = cluster.namespace(name)
    _add(namespace)
    host = int(address) & 0xFF
    _veth(namespace, "eth0", cluster.node_namespace, f"v{host}")
    _ip(
        namespace,
        [
            f"addr add {address}/{cluster.pod_cidr.prefixlen} dev eth0",
            f"route add default via {cluster.router_ip}",
        ],
    )
    _ip(cluster.node_namespace, [f"link set v{host} master {BRIDGE}"])


def _attach_machine(cluster: Cluster, machine: Pod) -> None:
    """Connect a machine outside Kubernetes to its cluster's node, by a cable of its own."""
    if cluster.vm_cidr is None:
        raise ValueError(f"{cluster.name} has no network for machines")
    namespace, node = cluster.namespace(machine.workload), cluster.node_namespace
    router, length = cluster.vm_cidr[1], cluster.vm_cidr.prefixlen
    _add(namespace)
    _veth(namespace, "eth0", node, "vm0")
    _ip(node, [f"addr add {router}/{length} dev vm0"])
    address = f"addr add {machine.ip}/{length} dev eth0"
    _ip(namespace, [address, f"route add default via {router}"])


def _attach_host(cluster: Cluster, host_proxy: HostProxy) -> None:
    """Connect a node that has a host proxy to the bridge, and its pods to the node."""
    node = cluster.namespace(host_proxy.name)
    _attach(cluster, host_proxy.name, host_proxy.ip)
    with inside(node):
        # The node answers for its pods, and at once.
        Path("/proc/sys/net/ipv4/conf/eth0/proxy_arp").write_text("1")
        Path("/proc/sys/net/ipv4/neigh/eth0/proxy_delay").write_text("0")
    for pod in cluster.pods_of(host_proxy):
        namespace, inner = cluster.namespace(pod.workload), f"v{int(pod.ip) & 0xFF}"
        _add(namespace)
        _veth(namespace, "eth0", node, inner)
        _ip(
            namespace,
            [
                f"addr add {pod.ip}/32 dev eth0",
                f"route add {host_proxy.ip}/32 dev eth0",
                f"route add default via {host_proxy.ip}",
            ],
        )
        _ip(node, [f"route add {pod.ip}/32 dev {inner}"])
    nft(node, _host_redirect_rules(cluster, host_proxy))


def _veth(namespace: str, name: str, peer_namespace: str, peer_name: str) -> None:
    _run(
        *("ip", "link", "add", name, "netns", namespace, "type", "veth"),
        *("peer", "name", peer_name, "netns", peer_namespace),
    )
    _ip(namespace, [f"link set {name} up"])
    bridged = peer_namespace in {WAN, COLLECTOR_NAMESPACE}
    master = [f"link set {peer_name} master {BRIDGE}"] if bridged else []
    _ip(peer_namespace, [*master, f"link set {peer_name} up"])


def _add(namespace: str) -> None:
    _run("ip", "netns", "add", namespace)
    with inside(namespace):
        for name, value in (
            ("ipv6/conf/all/disable_ipv6", "1"),
            ("ipv6/conf/default/disable_ipv6", "1"),
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/default/send_redirects", "0"),
        ):
            setting = Path("/proc/sys/net", name)
            if setting.exists():
                setting.write_text(value)
    _ip(namespace, ["link set lo up"])


def _ip(namespace: str, commands: list[str]) -> None:
    _run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(commands) + "\n")


def nft(namespace: str, rules: str) -> None:
    """Load rules into a namespace."""
    _run("ip", "netns", "exec", namespace, "nft", "-f", "-", stdin=rules)


def _setns(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(command)}: {done.stderr.strip()}\n{stdin}"
        raise RuntimeError(message)
    return done.stdout
