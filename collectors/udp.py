"""
Datagrams from one UDP socket. This thread does nothing else.

What is urgent here is to empty the socket: a full one loses datagrams, and the
kernel only counts them. So datagrams are taken as they are, dated once a
round, and handed on in batches; when the queue behind is full they are counted
as ``queue_full``, never waited for. What the kernel had to drop it tells by
``SO_MEMINFO``, read once a batch and counted as ``kernel``.

An exporter is the address a datagram came from, without its port: an exporter
that restarts has a new port and is still the same one. An IPv4 address that
an IPv6 socket shows as ``::ffff:192.0.2.1`` is ``192.0.2.1``.

Before: the exporters. After: batch.py.
"""

import contextlib
import logging
import select
import socket
import struct
import threading
import time
from typing import Any, Final

from collectors.batch import Batcher
from collectors.config import UdpInput
from collectors.envelope import Envelope
from collectors.errors import InputError
from collectors.ship import Parcel, Shipper

_log = logging.getLogger(__name__)

_ROUND: Final = 256
"""Datagrams read before the clock and the batch are looked at."""
_IDLE_MS: Final = 100
_LAST_ROUNDS_S: Final = 1.0
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
_MEMINFO_DROPS: Final = 8


def exporter_text(host: str) -> str:
    """
    Address of a peer as an exporter's name.

    >>> exporter_text("::ffff:192.0.2.1"), exporter_text("2001:db8::1")
    ('192.0.2.1', '2001:db8::1')
    """
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def bind(config: UdpInput) -> socket.socket:
    """
    Open the socket; a receive buffer smaller than asked for is told in the log.

    Raises
    ------
    InputError
        When the address is not ours, or taken.
    """
    host, port = config.address()
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
        bound = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        raise InputError(f"netflow on {config.listen}: {error}") from error
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, config.receive_buffer_bytes)
        except OSError:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, config.receive_buffer_bytes)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise InputError(
            f"netflow on {config.listen}: {error.strerror}: choose another `listen`, or stop what"
            " has that port"
        ) from error
    # The kernel counts its own overhead, doubles what is asked for, and returns that.
    given = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if given < config.receive_buffer_bytes:
        _log.warning(
            "netflow on %s: the kernel gives a receive buffer of %d bytes, not %d:"
            " raise net.core.rmem_max, or lower receive_buffer_bytes",
            config.listen,
            given,
            config.receive_buffer_bytes,
        )
    bound.setblocking(False)
    return bound


def receive(
    config: UdpInput,
    batcher: Batcher,
    shipper: Shipper,
    stop: threading.Event,
    bound: socket.socket | None = None,
) -> None:
    """
    Receive until ``stop`` is set, and then what is in the socket already.

    Parameters
    ----------
    config
        Where to listen, and how.
    batcher, shipper
        What comes next.
    stop
        Looked at ten times a second.
    bound
        A socket from `bind`, if the caller needs to know its port.
    """
    with bound or bind(config) as opened:
        _Receiver(config, batcher, shipper, opened).run(stop)


class _Receiver:
    def __init__(
        self, config: UdpInput, batcher: Batcher, shipper: Shipper, opened: socket.socket
    ) -> None:
        self._rest_s = config.coalesce_ms / 1000
        self._with_port = config.exporter_port
        self._batcher = batcher
        self._shipper = shipper
        self._socket = opened
        self._kernel_drops = 0
        self._names: dict[Any, str] = {}

    def run(self, stop: threading.Event) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        while not stop.is_set():
            if poller.poll(_IDLE_MS) and self._round() < _ROUND and self._rest_s:
                time.sleep(self._rest_s)
            self._hand_on(self._batcher.take_if_older())
            if not len(self._batcher):
                self._count_kernel_drops()
        last_round_s = time.monotonic() + _LAST_ROUNDS_S
        while self._round() == _ROUND and time.monotonic() < last_round_s:
            pass
        self._count_kernel_drops()
        self._hand_on(self._batcher.take())

    def _round(self) -> int:
        """Take what the socket has, a bounded number; how many that were."""
        receive_into = self._socket.recvfrom_into
        ends: list[int] = []
        peers: list[Any] = []
        room, room_bytes = self._batcher.room()
        block, end = self._batcher.block()
        limit, limit_bytes = min(_ROUND, room), end + room_bytes
        # OSError: an ICMP error another datagram of ours caused; nothing was received.
        with memoryview(block) as view, contextlib.suppress(BlockingIOError, OSError):
            while len(ends) < limit and end < limit_bytes:
                size, peer = receive_into(view[end:])
                end += size
                ends.append(end)
                peers.append(peer)
        if not ends:
            return 0
        full = self._batcher.received_into_block(time.time_ns(), self._exporters(peers), ends)
        if full is not None:
            self._count_kernel_drops()
            self._hand_on(full)
            return _ROUND  # the batch ended the round, not the socket
        return len(ends)

    def _exporters(self, peers: list[Any]) -> list[str]:
        names = self._names
        found = []
        for peer in peers:
            key = peer if self._with_port else peer[0]
            name = names.get(key)
            if name is None:
                if len(names) > 65_536:  # noqa: PLR2004 forged addresses must not fill memory
                    names.clear()
                name = exporter_text(peer[0])
                if self._with_port:
                    name = f"[{name}]:{peer[1]}" if ":" in name else f"{name}:{peer[1]}"
                names[key] = name
            found.append(name)
        return found

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is not None and not self._shipper.offer(Parcel(envelope)):
            self._batcher.refuse(envelope, "queue_full")

    def _read_kernel_drops(self) -> int:
        try:
            info = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            return int(_MEMINFO.unpack(info)[_MEMINFO_DROPS])
        except (OSError, struct.error):  # not Linux, or older than 4.12
            return 0

    def _count_kernel_drops(self) -> None:
        drops = self._read_kernel_drops()
        self._batcher.drop("kernel", (drops - self._kernel_drops) & 0xFFFFFFFF)
        self._kernel_drops = drops
