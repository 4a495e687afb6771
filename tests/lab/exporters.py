"""
Flow export: softflowd on each cluster's pod bridge, tcpdump on what it sends.

A softflowd sees what its cluster's pods send and receive, before source
translation and after destination translation, and nothing of another cluster.
Its datagrams leave by the management network, where one tcpdump per exporter
writes them. Timeouts are short, and a flow that lives is cut every 20 s, so
that a minute of recording has flows to show in each part of it.

Before: mesh.py. After: record_demo.py copies the captures.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from . import netns
from .places import COLLECTOR
from .processes import LabError

if TYPE_CHECKING:
    from pathlib import Path

    from .mesh import Mesh
    from .topology import Cluster

PORTS = {"netflow9": 2055, "ipfix": 4739}
_VERSIONS = {"netflow9": "9", "ipfix": "10"}
_TIMEOUTS = {
    "general": 10,
    "tcp": 10,
    "tcp.rst": 2,
    "tcp.fin": 2,
    "udp": 5,
    "maxlife": 20,
    "expint": 2,
}
_START_SECONDS = 10.0
_PUSH_FRAMES = 600


def capture(mesh: Mesh, cluster: Cluster) -> Path:
    """Return the file that gets a cluster's flow exports."""
    return mesh.directory / f"{cluster.short}.{cluster.flow_format}.pcap"


def start(mesh: Mesh) -> list[socket.socket]:
    """
    Start the captures, then the exporters.

    Returns
    -------
    list[socket.socket]
        The collector's sockets: nobody reads them, but while they are open
        the kernel does not answer the exporters "port unreachable".
    """
    sinks = [_sink(port) for port in sorted(PORTS.values())]
    for cluster in mesh.topology.clusters:
        mesh.start(
            *(f"tcpdump-{cluster.short}", netns.COLLECTOR_NAMESPACE),
            *("tcpdump", "-i", netns.BRIDGE, "-n", "-U", "--immediate-mode", "-Z", "root"),
            *("-w", str(capture(mesh, cluster))),
            f"udp and src host {cluster.management_ip} and dst host {COLLECTOR}",
        )
    _await_captures(mesh)
    for cluster in mesh.topology.clusters:
        timeouts = [f"{name}={seconds}" for name, seconds in _TIMEOUTS.items()]
        mesh.start(
            *(f"softflowd-{cluster.short}", cluster.node_namespace),
            *("softflowd", "-d", "-i", netns.BRIDGE, "-v", _VERSIONS[cluster.flow_format]),
            *("-n", f"{COLLECTOR}:{PORTS[cluster.flow_format]}"),
            *("-p", str(mesh.directory / f"{cluster.short}.softflowd.pid")),
            *("-c", str(mesh.directory / f"{cluster.short}.softflowd.ctl")),
            *(word for timeout in timeouts for word in ("-t", timeout)),
        )
    time.sleep(1.0)
    return sinks


def stop(mesh: Mesh) -> None:
    """
    Let every exporter send what it holds, then end the captures.

    softflowd 1.1.0 gets packets from the kernel only in full blocks, so its
    last 256 KiB would stay unread: frames which are not IP, and which it
    counts as ignored, fill the block. Then it is told to expire all flows.
    """
    for cluster in mesh.topology.clusters:
        _push(cluster)
    time.sleep(1.0)
    for cluster in mesh.topology.clusters:
        control(mesh, cluster, "expire-all")
    time.sleep(1.0)
    mesh.stop(*(f"softflowd-{cluster.short}" for cluster in mesh.topology.clusters))
    time.sleep(1.0)
    mesh.stop(*(f"tcpdump-{cluster.short}" for cluster in mesh.topology.clusters), by=signal.SIGINT)


def control(mesh: Mesh, cluster: Cluster, command: str) -> str:
    """Return what softflowctl answers to a command for a cluster's exporter."""
    path = mesh.directory / f"{cluster.short}.softflowd.ctl"
    done = subprocess.run(
        ["softflowctl", "-c", str(path), command],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _push(cluster: Cluster) -> None:
    """Send frames of an experimental type over a cluster's bridge, to nobody."""
    frame = bytes.fromhex("020000000001 020000000002 88b5") + bytes(1_400)
    with netns.inside(cluster.node_namespace):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with made:
        made.bind((netns.BRIDGE, 0))
        for _ in range(_PUSH_FRAMES):
            made.send(frame)


def _sink(port: int) -> socket.socket:
    with netns.inside(netns.COLLECTOR_NAMESPACE):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((str(COLLECTOR), port))
    return made


def _await_captures(mesh: Mesh) -> None:
    """Wait until each tcpdump has written its file's header."""
    limit = time.monotonic() + _START_SECONDS
    for cluster in mesh.topology.clusters:
        file = capture(mesh, cluster)
        while not file.exists() or file.stat().st_size == 0:
            if time.monotonic() > limit:
                raise LabError(f"tcpdump does not write {file}")
            time.sleep(0.05)
