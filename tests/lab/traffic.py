"""
The scripted calls, and the truth about them as their clients saw it.

Every call has a fixed number of requests, spread evenly over the recording.
A mesh call goes to the service's virtual IP, where the client's sidecar takes
it; a direct one to an address, past the mesh. `Truth` rows come from replies,
never from the script: a script that asks for 900 and gets 899 says 899.

Before: mesh.py. After: record_demo.py writes truth.json.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import netns
from .apps import content_length
from .names import SERVICE_PORT, host_name
from .topology import (
    AMBIGUOUS_IP,
    AMBIGUOUS_PORT,
    UNKNOWN_IP,
    UNKNOWN_PORT,
    home_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT_SECONDS = 10.0
USER_AGENT = "crosspane-lab/1"


@dataclass(frozen=True)
class Call:
    """`count` times the same request; `direct` is ADDRESS:PORT, past the mesh."""

    client: str
    service: str
    method: str
    path: str
    status: int
    count: int
    request_bytes: int = 0
    direct: str | None = None


SCRIPT = (
    Call("frontend", "cart", "GET", "/cart", 200, 330),
    Call("frontend", "cart", "POST", "/cart/items", 201, 120, request_bytes=180),
    Call("frontend", "cart", "GET", "/cart/broken", 500, 24),
    Call("frontend", "reviews", "GET", "/reviews/1", 200, 330),
    Call("frontend", "reviews", "GET", "/reviews/slow", 200, 45),
    Call("frontend", "inventory", "GET", "/stock", 200, 210),
    Call("frontend", "recommendations", "GET", "/for-you", 503, 36),
    Call("reviews", "ratings", "GET", "/ratings/1", 200, 240),
    Call("reviews", "ratings", "GET", "/ratings/unknown", 404, 30),
    Call("reviews", "cart", "GET", "/cart", 200, 120),
    Call("billing", "cart", "GET", "/cart", 200, 75),
    Call("telemetry", "inventory", "GET", "/stock", 200, 210),
    Call("telemetry", "billing", "GET", "/invoices", 200, 150),
    Call("telemetry", "billing", "POST", "/invoices", 403, 28, request_bytes=90),
    Call(
        *("frontend", "unknown", "GET", "/", 200, 24),
        direct=f"{UNKNOWN_IP}:{UNKNOWN_PORT}",
    ),
    Call(
        *("telemetry", "metrics", "GET", "/metrics", 200, 30),
        direct=f"{AMBIGUOUS_IP}:{AMBIGUOUS_PORT}",
    ),
)


@dataclass(frozen=True)
class Truth:
    """What a client saw: so many replies of one status, and their bytes."""

    client: str
    client_cluster: str
    service: str
    service_cluster: str | None
    direct: str | None
    method: str
    path: str
    status: int
    count: int
    response_body_bytes: int


def once(calls: Iterable[Call] = SCRIPT) -> tuple[Call, ...]:
    """Return the same calls, one request each."""
    return tuple(Call(**{**asdict(call), "count": 1}) for call in calls)


def run(calls: Iterable[Call], seconds: float) -> list[Truth]:
    """Make all calls within about `seconds`; return what the clients saw."""
    return asyncio.run(_run(tuple(calls), seconds))


async def _run(calls: tuple[Call, ...], seconds: float) -> list[Truth]:
    seen = await asyncio.gather(*(_repeat(call, seconds) for call in calls))
    rows = []
    for call, (statuses, sizes) in zip(calls, seen, strict=True):
        cluster, _ = home_of(call.client)
        target = None if call.direct else home_of(call.service)[0].name
        rows += [
            Truth(
                *(call.client, cluster.name, call.service, target, call.direct),
                *(call.method, call.path, status, statuses[status], sizes[status]),
            )
            for status in sorted(statuses)
        ]
    return rows


async def _repeat(call: Call, seconds: float) -> tuple[Counter[int], Counter[int]]:
    """Send one call's requests at its pace; replies and bytes by status."""
    statuses: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    began = time.monotonic()
    for number in range(call.count):
        due = began + seconds * number / call.count
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            status, size = await _request(call)
        statuses[status] += 1
        sizes[status] += size
    return statuses, sizes


async def _request(call: Call) -> tuple[int, int]:
    """Make one request on a connection of its own; status and body size."""
    cluster, _ = home_of(call.client)
    if call.direct is None:
        address, port = str(cluster.service_ip(call.service)), SERVICE_PORT
        authority = f"{host_name(call.service)}:{SERVICE_PORT}"
    else:
        address, _, digits = call.direct.partition(":")
        port, authority = int(digits), call.direct
    opened = netns.tcp_socket(cluster.namespace(call.client))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(opened, (address, port))
    reader, writer = await asyncio.open_connection(sock=opened)
    head = (
        f"{call.method} {call.path} HTTP/1.1\r\nhost: {authority}\r\n"
        f"user-agent: {USER_AGENT}\r\ncontent-length: {call.request_bytes}\r\n\r\n"
    )
    writer.write(head.encode() + b"x" * call.request_bytes)
    reply = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    size = content_length(reply)
    await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    return int(reply.split(" ", 2)[1]), size


def as_json(rows: Iterable[Truth]) -> list[dict[str, Any]]:
    """Return the rows as plain objects, in script order."""
    return [asdict(row) for row in rows]
