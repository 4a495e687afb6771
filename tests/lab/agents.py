"""
The configuration of crosspane that observes the lab, by a channel of choice.

    als      agents take Envoy's access log service, on Unix domain sockets
    files    agents follow the JSON files, which hold the same requests
    both     each request comes twice; of one proxy a third time, by OTLP

One agent stands in each cluster; it also asks its proxies for their
statistics. Proxies which serve a whole node say so nowhere, so a second agent
takes theirs and declares it.

Before: places.py. After: `crosspane up --config`, test_channels.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import tomli_w

from . import inventory
from .mesh import Mesh

if TYPE_CHECKING:
    from pathlib import Path

    from .topology import Cluster, Topology

Channel = Literal["als", "files", "both"]
_SCRAPE_SECONDS = 1.0
CHANNELS: tuple[Channel, ...] = ("als", "files", "both")


OTLP_PROXY = "billing-0"


def otlp_socket(directory: Path) -> Path:
    """Return where that proxy sends OTLP to."""
    return directory / "otlp.sock"


def sockets(topology: Topology, directory: Path) -> dict[str, Path]:
    """Return where the proxies of each cluster stream to, and where its host proxies do."""
    found: dict[str, Path] = {}
    for cluster in topology.clusters:
        found[cluster.name] = directory / f"{cluster.short}.sock"
        found |= {
            own.name: directory / f"{cluster.short}-host.sock" for own in cluster.host_proxies
        }
    return found


def write(topology: Topology, directory: Path, channel: Channel, streams: Path) -> Path:
    """
    Write configuration and inventory of a lab in `directory`; return the configuration.

    Parameters
    ----------
    streams
        Folder of the sockets, as `sockets` was told.
    """
    today = datetime.now(tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    known = directory / "inventory.toml"
    known.write_text(inventory.render(topology, today))
    data = directory / channel
    config: dict[str, Any] = {
        "inventory": str(known),
        "log": {"type": "local", "directory": str(data / "log"), "fsync": "never"},
        "lake": {"directory": str(data / "lake")},
        "job": {"commit_ms": 2_000, "discover_s": 0.5},
        "agents": [
            agent
            for cluster in topology.clusters
            for agent in _agents(topology, cluster, directory, channel, streams)
        ],
    }
    file = directory / f"{channel}.toml"
    file.write_text(tomli_w.dumps(config))
    return file


def _agents(
    topology: Topology, cluster: Cluster, directory: Path, channel: Channel, streams: Path
) -> list[dict[str, Any]]:
    mesh, listen = Mesh(directory, topology), sockets(topology, streams)
    nodes = {pod.name: pod.node_id for pod in cluster.pods if pod.proxy == "sidecar"}
    if cluster.gateway is not None:
        nodes[cluster.gateway.name] = cluster.gateway.node_id
    groups = [("node", listen[cluster.name], "", nodes)]
    groups += [
        (own.name, listen[own.name], "host", {own.name: own.node_id})
        for own in cluster.host_proxies
    ]
    made = []
    for name, socket, model, proxies in groups:
        paths = [str(mesh.log(cluster, proxy)) for proxy in proxies]
        targets = [
            {
                "url": f"unix:{mesh.admin(cluster, proxy)}:/stats/prometheus?usedonly",
                "name": node_id,
            }
            for proxy, node_id in proxies.items()
        ]
        inputs: dict[str, dict[str, Any]] = {
            "als": {"type": "als", "listen": f"unix:{socket}"},
            "files": {"type": "access_log", "paths": paths},
            "": {"type": "prometheus", "targets": targets, "interval_s": _SCRAPE_SECONDS},
        }
        if OTLP_PROXY in proxies:
            inputs["otlp"] = {"type": "otlp_logs", "listen": f"unix:{otlp_socket(streams)}"}
        wanted = {"als", "files", "otlp", ""} if channel == "both" else {channel, ""}
        made.append(
            {
                "name": name,
                "cluster": cluster.name,
                "network": cluster.network.name,
                "inputs": [
                    {**one, "proxy_model": model} for key, one in inputs.items() if key in wanted
                ],
                "batch": {"max_age_ms": 200},
                "spool": {"directory": str(directory / channel / "agent")},
            }
        )
    return made
