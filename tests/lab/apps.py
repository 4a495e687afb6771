"""
The application behind a sidecar: fixed answers to a fixed list of requests.

    python apps.py ADDRESS PORT

A reply is written at once: separate writes for header and body would cost
40 ms each under delayed acknowledgement. A page's body is its path repeated,
so that the byte counts of a recording can be known beforehand.

A flaky page fails on the first attempt, by the number that a proxy which
retries puts into a header. gRPC is spoken over HTTP/1.1, with its status in a
header: enough for proxies to log it. On SIGUSR1 the application begins to
close connections instead of answering, on SIGUSR2 it answers again; it says so.

Before: mesh.py starts one per pod. After: traffic.py calls it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One answer: status, body size in bytes, how long it takes, and whether it fails at first."""

    status: int
    size: int
    delay_ms: int = 0
    grpc_status: int | None = None
    flaky: bool = False


PAGES = {
    ("GET", "/healthz"): Page(200, 2),
    ("GET", "/cart"): Page(200, 600),
    ("POST", "/cart/items"): Page(201, 90),
    ("GET", "/cart/broken"): Page(500, 60),
    ("GET", "/cart/flaky"): Page(200, 300, flaky=True),
    ("GET", "/reviews/1"): Page(200, 2_400),
    ("GET", "/reviews/slow"): Page(200, 1_200, delay_ms=120),
    ("POST", "/shop.Reviews/Get"): Page(200, 700, grpc_status=0),
    ("POST", "/shop.Reviews/Find"): Page(200, 0, grpc_status=5),
    ("GET", "/ratings/1"): Page(200, 150),
    ("GET", "/stock"): Page(200, 800),
    ("GET", "/invoices"): Page(200, 5_000),
    ("POST", "/invoices"): Page(201, 40),
    ("GET", "/ledger"): Page(200, 1_100),
    ("POST", "/ledger"): Page(201, 20),
    ("GET", "/reports"): Page(200, 1_700),
    ("POST", "/reports"): Page(201, 30),
    ("GET", "/metrics"): Page(200, 3_000),
    ("GET", "/"): Page(200, 500),
}
NOT_FOUND = Page(404, 40)
UNAVAILABLE = Page(503, 50)
_REASONS = {
    200: "OK",
    201: "Created",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_ATTEMPT = "x-envoy-attempt-count"


def page_of(method: str, path: str, attempt: int) -> Page:
    """Return the answer to a request; its query string is not looked at."""
    page = PAGES.get((method, path.partition("?")[0]), NOT_FOUND)
    return UNAVAILABLE if page.flaky and attempt == 1 else page


def response(method: str, path: str, page: Page) -> bytes:
    """Return the whole reply, header and body."""
    unit = f"{method} {path} ".encode()
    body = (unit * (page.size // len(unit) + 1))[: page.size]
    kind = "text/plain" if page.grpc_status is None else "application/grpc"
    more = "" if page.grpc_status is None else f"grpc-status: {page.grpc_status}\r\n"
    head = (
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}\r\n"
        f"content-type: {kind}\r\n{more}content-length: {page.size}\r\n\r\n"
    )
    return head.encode() + body


class Application:
    """Answers, or closes connections without a word."""

    def __init__(self) -> None:
        self.closes = False

    def switch(self, closes: bool) -> None:
        """Begin to close connections, or to answer; say that it is so now."""
        self.closes = closes
        sys.stdout.write("closes\n" if closes else "answers\n")
        sys.stdout.flush()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the peer closes it."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path = head.split(" ", 2)[:2]
                length = number(head, "content-length", 0)
                if length:
                    await reader.readexactly(length)
                if self.closes and path != "/healthz":
                    break
                page = page_of(method, path, number(head, _ATTEMPT, 1))
                if page.delay_ms:
                    await asyncio.sleep(page.delay_ms / 1_000)
                writer.write(response(method, path, page))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def number(head: str, header: str, default: int) -> int:
    """Return the number in an HTTP/1.1 header; the default where it is absent."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == header:
            return int(value)
    return default


async def serve(address: str, port: int) -> None:
    """Listen until killed."""
    application = Application()
    loop = asyncio.get_running_loop()
    for sent, closes in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
        loop.add_signal_handler(sent, application.switch, closes)
    server = await asyncio.start_server(application.answer, address, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
