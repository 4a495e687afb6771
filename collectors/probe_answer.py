"""
What answers the probes of other agents: 204 to HTTP, an echo to anything else.

A connection has one exchange, a few seconds and a few bytes; more connections
than `MAX_CONNECTIONS` are cut.

Before: other agents' probe.py. After: none; it is all said there.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from typing import Final

from collectors.config import ProbeInput
from collectors.errors import InputError

MAX_CONNECTIONS: Final = 256
_ANSWER_S: Final = 10.0
_HEAD_BYTES: Final = 8_192
_ECHO_BYTES: Final = 65_536
_REQUEST: Final = re.compile(rb"[A-Z]{3,10} \S+ HTTP/1\.[01]\r\n")
_NO_CONTENT: Final = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Answers:
    """
    A listening socket, answered by the running event loop until it is closed.

    Raises
    ------
    InputError
        When it cannot listen there, or a file TLS needs cannot be read.
    """

    def __init__(self, config: ProbeInput) -> None:
        self._config = config
        self._socket = _bind(config)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Port it listens at."""
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Begin to answer."""
        try:
            tls = _tls(self._config)
        except OSError as error:
            self._socket.close()
            raise InputError(
                f"{self._config.listen_cert_file}: {error}: set listen_cert_file"
            ) from (error)
        self._server = await asyncio.start_server(
            self._take,
            sock=self._socket,
            ssl=tls,
            limit=_HEAD_BYTES,
            ssl_handshake_timeout=_ANSWER_S if tls else None,
        )

    async def close(self) -> None:
        """Cut what is open, and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(_answer(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_ANSWER_S):
                said = await reader.read(_HEAD_BYTES)
                while said.startswith((b"GET ", b"HEAD ", b"OPTIONS ")) and len(said) < _HEAD_BYTES:
                    if b"\r\n\r\n" in said or not (more := await reader.read(_HEAD_BYTES)):
                        break
                    said += more
                if _REQUEST.match(said):
                    writer.write(_NO_CONTENT)
                else:
                    await _echo(said, reader, writer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
    finally:
        writer.transport.abort()


async def _echo(said: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back what comes until the other side ends, or it is enough."""
    total = 0
    while said and (total := total + len(said)) <= _ECHO_BYTES:
        writer.write(said)
        await writer.drain()
        said = await reader.read(_HEAD_BYTES)


def _bind(config: ProbeInput) -> socket.socket:
    host, port = config.listen_address()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, dualstack_ipv6=family == socket.AF_INET6 and host == "::"
        )
    except OSError as error:
        raise InputError(f"{config.listen}: {error.strerror}: set listen") from error


def _tls(config: ProbeInput) -> ssl.SSLContext | None:
    if not config.listen_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.listen_cert_file, config.listen_key_file or None)
    if config.listen_client_ca_file:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(config.listen_client_ca_file)
    return context
