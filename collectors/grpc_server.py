"""
A gRPC server that hands on raw messages, and holds its clients when nobody takes them.

A message is read from its stream only when there is room for it. Until then
it stays with gRPC, which grants a stream no more than `_WINDOW_BYTES` ahead,
and so with the proxy: HTTP/2's flow control is the queue. What a blocked agent
holds is bounded by that window and one message, for each stream.

Each input has its own event loop, in its own thread, so its `Batcher` has one
thread as it must.

Before: the proxies. After: als.py, otlp.py, which make payloads of messages; intake.py.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc

from collectors.batch import Batcher
from collectors.config import GrpcServer
from collectors.errors import InputError
from collectors.intake import TICK_S, Intake
from collectors.ship import Shipper
from collectors.udp import exporter_text

_WINDOW_BYTES: Final = 256 * 1024
_GRACE_S: Final = 0.5
"""For so long after the end is asked for, what is on its way is still taken."""
_HARD_LIMIT: Final = 2
"""
Times ``max_message_bytes``: what is above that gRPC refuses itself, and ends the stream. To us
that looks as if the client had gone; only the client can count it.
"""


async def read(call: Any, intake: Intake) -> bytes | None:
    """Read the next message of a stream, once there is room for it; None at its end."""
    await intake.room()
    message = await call.read()
    return None if message is grpc.aio.EOF else bytes(message)


def exporter_of(call: Any) -> str:
    """
    Address of the peer of a call, as an exporter's name.

    gRPC tells ``ipv4:192.0.2.1:4711``, ``ipv6:%5B2001:db8::1%5D:4711``, ``unix:/path``.
    """
    family, _, address = str(call.peer()).partition(":")
    if family not in {"ipv4", "ipv6"}:
        return "unix"
    host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return exporter_text(host)


Handler = Callable[[Any, Intake], Awaitable[bytes]]
"""What answers a call: takes its messages by `read`, gives the bytes of the one answer."""


def serve(
    config: GrpcServer,
    batcher: Batcher,
    shipper: Shipper,
    stop: threading.Event,
    *,
    listen: str,
    method: str,
    handler: Handler,
    max_streams: int,
    max_age_s: float | None = None,
    promises: bool = False,
    on_bound: Callable[[int], None] | None = None,
) -> None:
    """
    Serve one method until ``stop`` is set, and take what is on its way then.

    Parameters
    ----------
    config
        TLS and the largest message.
    batcher, shipper
        What comes next.
    stop
        Looked at 50 times a second.
    listen
        'address:port' or 'unix:/path'.
    method
        Full name, ``/package.Service/Method``.
    handler
        What to do with a call.
    max_streams
        Calls at a time of one connection; a client holds back more by itself.
    max_age_s, promises
        See `Intake`.
    on_bound
        Called with the port, once clients can connect.

    Raises
    ------
    InputError
        When the address is not ours, or taken, or TLS cannot be set up.
    """

    async def run() -> None:
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", _HARD_LIMIT * config.max_message_bytes),
                ("grpc.max_concurrent_streams", max_streams),
                ("grpc.http2.bdp_probe", 0),
                ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ]
        )
        intake = Intake(batcher, shipper, max_age_s, promises=promises)

        async def answer(_: object, call: Any) -> bytes:
            return await handler(call, intake)

        service, _, name = method[1:].rpartition("/")
        handlers = {name: grpc.stream_unary_rpc_method_handler(answer)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = _bind(server, config, listen)
        await server.start()
        if on_bound is not None:
            on_bound(port)
        await intake.tick_until(stop)
        stopped = asyncio.ensure_future(server.stop(_GRACE_S))
        while not stopped.done():
            intake.tick(ending=True)
            await asyncio.sleep(TICK_S)
        await intake.end()

    asyncio.run(run())


def _bind(server: Any, config: GrpcServer, listen: str) -> int:
    kind = config.__struct_config__.tag
    try:
        if not config.tls_cert_file:
            return int(server.add_insecure_port(listen))
        certificate = Path(config.tls_cert_file).read_bytes()
        key = Path(config.tls_key_file).read_bytes()
        authority = None
        if config.tls_client_ca_file:
            authority = Path(config.tls_client_ca_file).read_bytes()
        credentials = grpc.ssl_server_credentials(
            [(key, certificate)],
            root_certificates=authority,
            require_client_auth=authority is not None,
        )
        return int(server.add_secure_port(listen, credentials))
    except OSError as error:
        raise InputError(f"{kind} on {listen}: {error}") from error
    except RuntimeError as error:
        raise InputError(
            f"{kind} on {listen}: cannot be bound: choose another `listen`, stop what has that"
            " port, or mend the TLS files"
        ) from error
