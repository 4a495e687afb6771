"""
Envoy's admin interface, over its Unix domain socket.

Before: nothing. After: mesh.py waits by it, faults.py switches by it, report of
`crosspane lab status`.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 2.0
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class State:
    """What a proxy says of itself; `healthy` of `endpoints` of services it calls."""

    live: bool
    endpoints: int
    healthy: int
    certificate_days: int | None


def ask(admin: Path, target: str, method: str = "GET") -> str:
    """Return what an Envoy answers; OSError where it does not, or refuses."""
    connection = http.client.HTTPConnection("admin", timeout=_SECONDS)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.settimeout(_SECONDS)
        opened.connect(str(admin))
        connection.sock = opened
        try:
            connection.request(method, target, headers={"connection": "close"})
            reply = connection.getresponse()
            body = reply.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{admin}: {error!r}") from error
        if reply.status != http.client.OK:
            raise ConnectionError(f"{admin}: {target}: {reply.status} {body}")
        return body


def is_live(admin: Path) -> bool:
    """Ask whether an Envoy takes traffic."""
    try:
        return ask(admin, "/ready").startswith("LIVE")
    except OSError:
        return False


def state(admin: Path) -> State:
    """Return what a proxy knows; not live where it does not answer."""
    try:
        if not is_live(admin):
            return State(live=False, endpoints=0, healthy=0, certificate_days=None)
        found = json.loads(ask(admin, "/clusters?format=json"))["cluster_statuses"]
        certificates = json.loads(ask(admin, "/certs"))["certificates"]
    except OSError:
        return State(live=False, endpoints=0, healthy=0, certificate_days=None)
    health = [
        host["health_status"]
        for cluster in found
        if cluster["name"].startswith("outbound|")
        for host in cluster.get("host_statuses", ())
    ]
    good = sum(set(one) == {"eds_health_status"} for one in health)
    chains = [chain for one in certificates for chain in one.get("cert_chain", ())]
    ends = [time.strptime(chain["expiration_time"], "%Y-%m-%dT%H:%M:%SZ") for chain in chains]
    days = [int((_epoch(end) - time.time()) // _DAY_SECONDS) for end in ends]
    return State(True, len(health), good, min(days) if days else None)


def _epoch(moment: time.struct_time) -> float:
    import calendar  # noqa: PLC0415

    return calendar.timegm(moment)
