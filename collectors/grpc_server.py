"""
A gRPC server that hands on raw messages, and holds its clients when nobody takes them.

    proxies → h2 → `Intake.read` → `Intake.add` → batch → shipper
                        ↑ waits while a full batch waits for room ↲

A message is read from its stream only when there is room for it. Until then
it stays with gRPC, which grants a stream no more than `_WINDOW_BYTES` ahead,
and so with the proxy: HTTP/2's flow control is the queue. What a blocked agent
holds is bounded by that window and one message, for each stream.

Each input has its own event loop, in its own thread, so its `Batcher` has one
thread as it must. Nothing is awaited between the end of a read and the batch:
a message that was read is in a batch, whatever is cancelled then.

Before: the proxies. After: als.py, otlp.py, which make payloads of messages.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc

from collectors.batch import MAX_PAYLOAD_BYTES, Batcher
from collectors.config import GrpcServer
from collectors.envelope import Envelope
from collectors.ship import Parcel, Shipper
from collectors.udp import InputError, exporter_text

PIECE_BYTES: Final = 512 * 1024
"""Larger payloads are cut by their input: a batch of one must fit into a message of Kafka."""

_WINDOW_BYTES: Final = 256 * 1024
_TICK_S: Final = 0.02
_GRACE_S: Final = 0.5
"""For so long after the end is asked for, what is on its way is still taken."""
_END_S: Final = 5.0
_CUT_S: Final = 0.05
"""A stream that ended for a message above the limit is cancelled within this time."""


class Intake:
    """
    Messages of all streams of one input to one batcher. For one event loop.

    Parameters
    ----------
    batcher, shipper
        What comes next.
    max_age_s
        Seconds after which a batch is closed, if earlier than the batcher's own.
    """

    def __init__(self, batcher: Batcher, shipper: Shipper, max_age_s: float | None = None) -> None:
        self._batcher = batcher
        self._shipper = shipper
        self._max_age_s = max_age_s
        self._open = asyncio.Event()
        self._open.set()
        self._waiting: deque[Parcel] = deque()
        self._loop = asyncio.get_running_loop()
        self._in_batch: asyncio.Future[None] | None = None

    async def read(self, call: Any) -> bytes | None:
        """
        Read the next message of a stream, once there is room for it; None at its end.

        One that is larger than the server takes ends the stream, and is counted.
        """
        await self._open.wait()
        message = await call.read()
        if message is not grpc.aio.EOF:
            return bytes(message)
        try:
            await asyncio.sleep(_CUT_S)
        except asyncio.CancelledError:
            self._batcher.drop("message_too_large")
            raise
        return None

    def add(self, exporter: str, payload: bytes) -> None:
        """Put one payload into the batch; what that fills goes on, or waits and holds `read`."""
        _, room_bytes = self._batcher.room()
        if len(self._batcher) and len(payload) > room_bytes + MAX_PAYLOAD_BYTES:
            self._hand_on(self._batcher.take())
        self._hand_on(self._batcher.add(time.time_ns(), exporter, payload))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what is not handed on."""
        self._batcher.drop(reason, count)

    def safe(self) -> Awaitable[None]:
        """Wait until what was added so far is on disk or in the log for good."""
        if not len(self._batcher):
            done = self._loop.create_future()
            done.set_result(None)
            return done
        if self._in_batch is None:
            self._in_batch = self._loop.create_future()
        return asyncio.shield(self._in_batch)

    def tick(self, *, ending: bool = False) -> None:
        """Hand on what is old enough, or everything; to be called some times a second."""
        self._offer()
        if not self._waiting:
            take = self._batcher.take if ending else self._take_if_older
            self._hand_on(take())

    async def end(self) -> None:
        """Hand on what is left; what nobody takes in time is counted as ``queue_full``."""
        until_s = time.monotonic() + _END_S
        self.tick(ending=True)
        while self._waiting and time.monotonic() < until_s:
            await asyncio.sleep(_TICK_S)
            self.tick(ending=True)
        while self._waiting:
            self._batcher.refuse(self._waiting.pop().envelope, "queue_full")

    def _take_if_older(self) -> Envelope | None:
        return self._batcher.take_if_older(self._max_age_s)

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is None:
            return
        shipped = None
        if self._in_batch is not None:
            future, self._in_batch = self._in_batch, None

            def shipped() -> None:
                self._loop.call_soon_threadsafe(_resolve, future)

        self._waiting.append(Parcel(envelope, shipped))
        self._offer()

    def _offer(self) -> None:
        while self._waiting and self._shipper.offer(self._waiting[0]):
            self._waiting.popleft()
        if self._waiting:
            self._open.clear()
        else:
            self._open.set()


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


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
"""What answers a call: reads its messages by `Intake.read`, gives the one answer's bytes."""


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
    max_age_s
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
                ("grpc.max_receive_message_length", config.max_message_bytes),
                ("grpc.max_concurrent_streams", max_streams),
                ("grpc.http2.bdp_probe", 0),
                ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ]
        )
        intake = Intake(batcher, shipper, max_age_s)

        async def answer(_: object, call: Any) -> bytes:
            return await handler(call, intake)

        service, _, name = method[1:].rpartition("/")
        handlers = {name: grpc.stream_unary_rpc_method_handler(answer)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = _bind(server, config, listen)
        await server.start()
        if on_bound is not None:
            on_bound(port)
        while not stop.is_set():
            intake.tick()
            await asyncio.sleep(_TICK_S)
        stopped = asyncio.ensure_future(server.stop(_GRACE_S))
        while not stopped.done():
            intake.tick(ending=True)
            await asyncio.sleep(_TICK_S)
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
