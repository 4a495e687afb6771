"""
The application behind a sidecar: fixed answers to a fixed list of requests.

    python apps.py ADDRESS PORT

A reply is written at once: separate writes for header and body would cost
40 ms each under delayed acknowledgement. A page's body is its path repeated,
so that the byte counts of a recording can be known beforehand.

Before: mesh.py starts one per pod. After: traffic.py calls it.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One answer: status, body size in bytes, and how long it takes."""

    status: int
    size: int
    delay_ms: int = 0


PAGES = {
    ("GET", "/cart"): Page(200, 600),
    ("POST", "/cart/items"): Page(201, 90),
    ("GET", "/cart/broken"): Page(500, 60),
    ("GET", "/reviews/1"): Page(200, 2_400),
    ("GET", "/reviews/slow"): Page(200, 1_200, delay_ms=120),
    ("GET", "/ratings/1"): Page(200, 150),
    ("GET", "/stock"): Page(200, 800),
    ("GET", "/invoices"): Page(200, 5_000),
    ("POST", "/invoices"): Page(201, 40),
    ("GET", "/metrics"): Page(200, 3_000),
    ("GET", "/"): Page(200, 500),
}
NOT_FOUND = Page(404, 40)
_REASONS = {200: "OK", 201: "Created", 404: "Not Found", 500: "Internal Server Error"}


def response(method: str, path: str, page: Page) -> bytes:
    """Return the whole reply, header and body."""
    unit = f"{method} {path} ".encode()
    body = (unit * (page.size // len(unit) + 1))[: page.size]
    head = (
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}\r\n"
        f"content-type: text/plain\r\ncontent-length: {page.size}\r\n\r\n"
    )
    return head.encode() + body


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until the peer closes it."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path = head.split(" ", 2)[:2]
            length = content_length(head)
            if length:
                await reader.readexactly(length)
            page = PAGES.get((method, path), NOT_FOUND)
            if page.delay_ms:
                await asyncio.sleep(page.delay_ms / 1_000)
            writer.write(response(method, path, page))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def content_length(head: str) -> int:
    """Return the body's length by an HTTP/1.1 header; 0 where it has none."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


async def serve(address: str, port: int) -> None:
    """Listen until killed."""
    server = await asyncio.start_server(answer, address, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
