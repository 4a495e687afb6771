"""
The scripted calls, and the truth about them as their clients saw it.

Every call has a fixed number of requests, spread evenly over the recording.
A mesh call goes to the service's virtual IP, where the client's sidecar takes
it; a direct one to an address, past the mesh. `Truth` rows come from replies,
never from the script: a script that asks for 900 and gets 899 says 899. What
each proxy must have seen follows from them: `seen_by_proxies`.

`DEMO_SCRIPT` is what pipeline/demo/ holds; `LAB_SCRIPT` has more, for the
machine, the host proxy, retries, gRPC and a query string.

Before: mesh.py. After: record_demo.py writes truth.json.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple

from . import netns
from .apps import number
from .envoy import SUBSET_HEADER
from .names import SERVICE_PORT
from .places import AMBIGUOUS_IP, AMBIGUOUS_PORT, UNKNOWN_IP, UNKNOWN_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .topology import Topology

_TIMEOUT_SECONDS = 10.0
USER_AGENT = "crosspane-lab/1"


@dataclass(frozen=True)
class Call:
    """
    `count` times the same request.

    Attributes
    ----------
    direct
        ADDRESS:PORT, past the mesh.
    at_server
        The status of each attempt as the server's proxy sees it, where there
        is more than one.
    grpc
        It says it is gRPC.
    subset
        Of the service: which of its routes the client's sidecar takes.
    """

    client: str
    service: str
    method: str
    path: str
    status: int
    count: int
    request_bytes: int = 0
    direct: str | None = None
    at_server: tuple[int, ...] = ()
    grpc: bool = False
    subset: str | None = None


DEMO_SCRIPT = (
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
_TRIED_THRICE = (503, 503, 503)
LAB_SCRIPT = (
    *(
        replace(call, at_server=_TRIED_THRICE) if call.service == "recommendations" else call
        for call in DEMO_SCRIPT
    ),
    Call("frontend", "cart", "GET", "/cart/flaky", 200, 18, at_server=(503, 200)),
    Call("frontend", "reviews", "POST", "/shop.Reviews/Get", 200, 60, 40, grpc=True),
    Call("frontend", "reviews", "POST", "/shop.Reviews/Find", 200, 15, 40, grpc=True),
    Call("frontend", "ledger", "GET", "/ledger", 200, 60),
    Call("billing", "ledger", "GET", "/ledger?customer=4711&token=secret", 200, 45),
    Call("telemetry", "ledger", "POST", "/ledger", 403, 12, request_bytes=70),
    Call("ledger", "billing", "GET", "/invoices", 200, 45),
    Call("ledger", "ratings", "GET", "/ratings/1", 200, 30),
    Call("frontend", "reports", "GET", "/reports", 200, 60),
    Call("reviews", "reports", "GET", "/reports", 200, 45),
    Call("reviews", "reports", "POST", "/reports", 403, 12, request_bytes=50),
    Call("reports", "ledger", "GET", "/ledger", 200, 30),
    Call("exports", "reviews", "GET", "/reviews/1", 200, 30),
    Call("exports", "cart", "GET", "/cart", 200, 45),
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


class Seen(NamedTuple):
    """What identifies requests that are alike, in the log of one proxy; without query string."""

    reporter: str
    cluster: str
    proxy: str
    service: str
    method: str
    path: str
    status: int


def scaled(calls: Iterable[Call], divisor: int) -> tuple[Call, ...]:
    """Return the same calls, each with fewer requests, at least one."""
    return tuple(replace(call, count=max(1, call.count // divisor)) for call in calls)


def run(topology: Topology, calls: Iterable[Call], seconds: float) -> list[Truth]:
    """Make all calls within about `seconds`; return what the clients saw."""
    return asyncio.run(_run(topology, tuple(calls), seconds))


def statuses(topology: Topology, call: Call, count: int = 1) -> list[int]:
    """Make one call so many times, one after the other; return the status of each."""

    async def one_by_one() -> list[int]:
        return [(await _request(topology, call))[0] for _ in range(count)]

    return asyncio.run(one_by_one())


def waited(topology: Topology, calls: tuple[Call, ...], rounds: int) -> list[list[float]]:
    """
    Make these calls one after the other, and again; return how long each took its client.

    Each call keeps a connection to its client's sidecar, and asks nothing of the event loop:
    what is timed is the call, and as little else as there can be.

    Returns
    -------
    list[list[float]]
        Of each call, as many as there are rounds: milliseconds from before it is sent until
        the whole reply is there, by the monotonic clock.

    Raises
    ------
    ValueError
        A status is not the scripted one.
    """
    with ExitStack() as opened:
        sent = [(call, opened.enter_context(closing(_opened(topology, call)))) for call in calls]
        turns = [[_timed(*one) for one in sent] for _ in range(rounds)]
    return [list(times) for times in zip(*turns, strict=True)]


def seen_by_proxies(
    topology: Topology, calls: Iterable[Call], rows: Iterable[Truth]
) -> Counter[Seen]:
    """
    Return what the proxies of both sides must have logged, when the clients saw `rows`.

    Gateways are not in it: they see connections.
    """
    at_server = {(call.client, call.service, call.method, call.path): call for call in calls}
    seen: Counter[Seen] = Counter()
    for row in rows:
        if row.direct is not None:
            continue
        call = at_server[row.client, row.service, row.method, row.path]
        what = (row.method, row.path.partition("?")[0])
        server_cluster, pod = topology.home_of(row.service)
        client_cluster, _ = topology.home_of(row.client)
        source = (client_cluster.name, topology.proxy_of(row.client), pod.host_name)
        target = (server_cluster.name, topology.proxy_of(row.service), pod.host_name)
        seen[Seen("source", *source, *what, row.status)] += row.count
        for status in call.at_server or (row.status,):
            seen[Seen("destination", *target, *what, status)] += row.count
    return seen


async def _run(topology: Topology, calls: tuple[Call, ...], seconds: float) -> list[Truth]:
    seen = await asyncio.gather(*(_repeat(topology, call, seconds) for call in calls))
    rows = []
    for call, (counts, sizes) in zip(calls, seen, strict=True):
        cluster, _ = topology.home_of(call.client)
        target = None if call.direct else topology.home_of(call.service)[0].name
        rows += [
            Truth(
                *(call.client, cluster.name, call.service, target, call.direct),
                *(call.method, call.path, status, counts[status], sizes[status]),
            )
            for status in sorted(counts)
        ]
    return rows


async def _repeat(
    topology: Topology, call: Call, seconds: float
) -> tuple[Counter[int], Counter[int]]:
    """Send one call's requests at its pace; replies and bytes by status, 0 for no reply."""
    counts: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    began = time.monotonic()
    for request in range(call.count):
        due = began + seconds * request / call.count
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        try:
            status, size = await _request(topology, call)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            status, size = 0, 0
        counts[status] += 1
        sizes[status] += size
    return counts, sizes


def _opened(topology: Topology, call: Call) -> HTTPConnection:
    """Connect a client to its sidecar, on the way to the service."""
    cluster, _ = topology.home_of(call.client)
    _, pod = topology.home_of(call.service)
    made = HTTPConnection(pod.host_name, SERVICE_PORT)
    made.sock = netns.tcp_socket(cluster.namespace(call.client))
    made.sock.settimeout(_TIMEOUT_SECONDS)
    made.sock.connect((str(topology.service_ip(cluster, call.service)), SERVICE_PORT))
    return made


def _timed(call: Call, connection: HTTPConnection) -> float:
    """Make one request; milliseconds it took."""
    headers = {"user-agent": USER_AGENT, **({SUBSET_HEADER: call.subset} if call.subset else {})}
    began_ns = time.monotonic_ns()
    connection.request(call.method, call.path, headers=headers)
    reply = connection.getresponse()
    reply.read()
    took_ms = (time.monotonic_ns() - began_ns) / 1e6
    if reply.status != call.status:
        raise ValueError(f"{call}: {reply.status}")
    return took_ms


async def _request(topology: Topology, call: Call) -> tuple[int, int]:
    """Make one request on a connection of its own; status and body size."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        cluster, _ = topology.home_of(call.client)
        if call.direct is None:
            _, pod = topology.home_of(call.service)
            address, port = str(topology.service_ip(cluster, call.service)), SERVICE_PORT
            authority = f"{pod.host_name}:{SERVICE_PORT}"
        else:
            address, _, digits = call.direct.partition(":")
            port, authority = int(digits), call.direct
        opened = netns.tcp_socket(cluster.namespace(call.client))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(opened, (address, port))
        reader, writer = await asyncio.open_connection(sock=opened)
        more = "content-type: application/grpc\r\n" if call.grpc else ""
        more += f"{SUBSET_HEADER}: {call.subset}\r\n" if call.subset else ""
        head = (
            f"{call.method} {call.path} HTTP/1.1\r\nhost: {authority}\r\n{more}"
            f"user-agent: {USER_AGENT}\r\ncontent-length: {call.request_bytes}\r\n\r\n"
        )
        writer.write(head.encode() + b"x" * call.request_bytes)
        reply = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        size = number(reply, "content-length", 0)
        await reader.readexactly(size)
        writer.close()
        await writer.wait_closed()
        return int(reply.split(" ", 2)[1]), size


def as_json(rows: Iterable[Truth]) -> list[dict[str, Any]]:
    """Return the rows as plain objects, in script order."""
    return [asdict(row) for row in rows]
