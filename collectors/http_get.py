"""
One HTTP GET, bounded in time and bytes, by asyncio and nothing else.

The answer is read as its length, its chunks or its end say, and unpacked if it
is gzip. Redirects are not followed: whoever is asked is named in the
configuration.

Before: scrape.py. After: scrape.py.
"""

import asyncio
import http.client
import io
import ssl
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_HEAD_BYTES: Final = 65_536
_OK: Final = 200
_BODY_ERRORS: Final = (
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
    http.client.HTTPException,
    ValueError,
    zlib.error,
)


class GetError(Exception):
    """
    There is no usable answer.

    ``reason`` is one of: ``scrape_timeout``, ``scrape_refused`` (no
    connection), ``scrape_tls`` (no trust, or no TLS), ``scrape_status`` (any
    but 200), ``scrape_too_large``, ``scrape_malformed`` (not HTTP, or cut).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Place(NamedTuple):
    """Where to ask: a host's port or a Unix socket, and the path there."""

    host: str
    port: int
    socket: str
    path: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> "Place":
        """
        Read a URL, ``http(s)://host:port/path`` or ``unix:/socket:/path``.

        >>> Place.of("unix:/run/envoy/admin.sock:/stats/prometheus?usedonly").socket
        '/run/envoy/admin.sock'

        Raises
        ------
        ValueError
            For a port that is none.
        """
        if url.startswith("unix:"):
            socket, _, path = url.removeprefix("unix:").partition(":")
            return cls("localhost", 0, socket, path, tls=False)
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), "", path, tls)

    @property
    def authority(self) -> str:
        """Host and port, as a request names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


async def get(
    place: Place,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    max_bytes: int,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
) -> bytes:
    """
    Ask for one document; its bytes, unpacked.

    Parameters
    ----------
    headers
        Besides ``Host``, ``Accept-Encoding`` and ``Connection``.
    timeout_s
        For all of it, from the name's lookup to the last byte.
    max_bytes
        Bound of the answer, packed and unpacked.
    tls, server_name
        For https: whom to trust, and the name the server must prove; empty:
        the host's.

    Raises
    ------
    GetError
        See there.
    """
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            if place.socket:
                reader, writer = await asyncio.open_unix_connection(place.socket, limit=_HEAD_BYTES)
            else:
                reader, writer = await asyncio.open_connection(
                    place.host,
                    place.port,
                    limit=_HEAD_BYTES,
                    ssl=tls if place.tls else None,
                    server_hostname=(server_name or place.host) if place.tls else None,
                )
            writer.write(_request(place, headers))
            return await _answer(reader, max_bytes)
    except TimeoutError:
        raise GetError("scrape_timeout", f"no answer in {timeout_s:g} s") from None
    except ssl.SSLError as error:
        raise GetError("scrape_tls", str(error)) from error
    except ConnectionResetError as error:
        raise GetError("scrape_malformed", str(error)) from error
    except OSError as error:
        raise GetError("scrape_refused", str(error)) from error
    except _BODY_ERRORS as error:
        raise GetError("scrape_malformed", str(error)[:200]) from error
    finally:
        if writer is not None:
            writer.transport.abort()


def _request(place: Place, headers: Mapping[str, str]) -> bytes:
    fields = {
        "Host": place.authority,
        "Accept-Encoding": "gzip",
        "Connection": "close",
        "User-Agent": "crosspane",
        **headers,
    }
    lines = [f"GET {place.path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _answer(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    first, _, rest = head.partition(b"\r\n")
    version, status, *_ = first.decode("latin-1").split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not HTTP: {version[:20]}")
    if int(status) != _OK:
        raise GetError("scrape_status", f"status {int(status)}")
    headers = http.client.parse_headers(io.BytesIO(rest))
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        body = await _chunks(reader, max_bytes)
    elif "Content-Length" in headers:
        size = int(headers["Content-Length"])
        _check(size, max_bytes)
        body = await reader.readexactly(size)
    else:
        body = await _to_end(reader, max_bytes)
    packed = headers.get("Content-Encoding", "").lower() == "gzip"
    return _unpacked(body, max_bytes) if packed else body


async def _chunks(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        total += size
        _check(total, max_bytes)
        parts.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk is not as long as it says")
    return b"".join(parts)


async def _to_end(reader: asyncio.StreamReader, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while part := await reader.read(_HEAD_BYTES):
        total += len(part)
        _check(total, max_bytes)
        parts.append(part)
    return b"".join(parts)


def _unpacked(body: bytes, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text = unpacker.decompress(body, max_bytes + 1)
    _check(len(text), max_bytes)
    if not unpacker.eof:
        raise ValueError("gzip that is cut")
    return text


def _check(size: int, max_bytes: int) -> None:
    if size < 0:
        raise ValueError("a length below zero")
    if size > max_bytes:
        raise GetError("scrape_too_large", f"more than {max_bytes} bytes")
