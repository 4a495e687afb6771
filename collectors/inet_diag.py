"""
TCP connections of a network namespace, as the kernel counts them: messages of ``sock_diag``.

    request  → one message a connection, then an end         all there are, when asked
    multicast group → one message a connection that is gone  its last counters, unasked

Both are the same message, of which the address, the cookie (a number no other
connection of the namespace has had) and ``tcp_info`` are read. A namespace is
entered by a thread that opens the socket there and ends: the socket stays.

Source: linux/inet_diag.h, linux/tcp.h (``tcp_info``), linux/sock_diag.h; sock_diag(7).
Before: the kernel. After: sockets.py.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final, NamedTuple

from collectors.errors import InputError

_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x1 | 0x300
_GONE_GROUPS: Final = 1 << 0 | 1 << 2  # TCP of IPv4, of IPv6
_CLONE_NEWNET: Final = 0x4000_0000
_SO_RCVBUFFORCE: Final = 33
_INFO: Final = 2  # INET_DIAG_INFO

_ESTABLISHED, _SYN_SENT = 1, 2
_FIN_WAIT1, _FIN_WAIT2, _CLOSE_WAIT, _LAST_ACK, _CLOSING = 4, 5, 8, 9, 11
_STATES: Final = sum(
    1 << state
    for state in (
        *(_ESTABLISHED, _SYN_SENT, _FIN_WAIT1, _FIN_WAIT2, _CLOSE_WAIT, _LAST_ACK, _CLOSING),
    )
)
"""Of those that listen there is nothing to tell, and of the rest the kernel keeps no counters."""

_MESSAGE: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST: Final = struct.Struct("=BBBBI48x")
_CONNECTION: Final = struct.Struct("=B3x2s2s16s16s4xQ")  # family, ports, addresses, cookie
_ATTRIBUTE: Final = struct.Struct("=HH")
_STATUS: Final = struct.Struct("=i")
_ATTRIBUTES_AT: Final = _MESSAGE.size + 72
_TCP_INFO: Final = struct.Struct("=68xI28xI24xQII4xI48xQQ")
_ERROR, _DONE = 2, 3
_CHUNK_BYTES: Final = 1 << 18
"""The kernel fills 32 KiB at most."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_NO_RTT: Final = (0, 0xFFFF_FFFF)


class Ends(NamedTuple):
    """Local and remote address of a connection, 4 or 16 bytes each, and ports."""

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int


class Counts(NamedTuple):
    """What a connection has done since it began; segments are counted modulo 2^32."""

    segments_sent: int
    segments_received: int
    segments_retransmitted: int
    bytes_sent: int
    bytes_received: int
    bytes_retransmitted: int


class Connection(NamedTuple):
    """
    A connection as it is.

    Attributes
    ----------
    cookie
        A number no other of the namespace has had.
    rtt_us, min_rtt_us
        Round-trip time, smoothed, and the least of the last minutes; None while not measured.
    """

    cookie: int
    ends: Ends
    counts: Counts
    rtt_us: int | None
    min_rtt_us: int | None


def open_diag(namespace: str, receive_buffer_bytes: int) -> tuple[socket.socket, socket.socket]:
    """
    Open two sockets in a namespace: one to ask, one that hears of connections that are gone.

    Parameters
    ----------
    namespace
        Its file; empty for the caller's own.

    Raises
    ------
    OSError
        When the namespace cannot be entered, or is gone.
    """
    opened: list[socket.socket] = []
    failed: list[OSError] = []

    def enter() -> None:
        try:
            if namespace:
                _enter(namespace)
            for groups in (0, _GONE_GROUPS):
                one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
                opened.append(one)
                one.bind((0, groups))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if failed:
        for one in opened:
            one.close()
        raise failed[0]
    ask, hear = opened
    ask.settimeout(5.0)
    hear.setblocking(False)
    try:
        hear.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer_bytes)
    except PermissionError:
        hear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    return ask, hear


def _enter(namespace: str) -> None:
    """Move this thread, and no other, into a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(file, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    finally:
        os.close(file)


def request(family: socket.AddressFamily) -> bytes:
    """Question for all connections of IPv4 or IPv6 sockets."""
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _STATES)
    length = _MESSAGE.size + len(body)
    return _MESSAGE.pack(length, _BY_FAMILY, _REQUEST_DUMP, 0, 0) + body


def connections(ask: socket.socket) -> Iterator[Connection]:
    """
    All TCP connections there are; to be read to their end.

    Raises
    ------
    InputError
        When the kernel cannot tell: it has no ``tcp_diag``, or is older than 4.19.
    OSError
        When it does not answer.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        ask.send(request(family))
        while True:
            some, is_last = read(ask.recv(_CHUNK_BYTES))
            yield from some
            if is_last:
                break


def gone(hear: socket.socket) -> Iterator[Connection]:
    """
    Connections that have ended since this was asked last.

    Raises
    ------
    OSError
        ``ENOBUFS``, once, when some could not be told: there was no room.
    """
    with contextlib.suppress(BlockingIOError):
        while True:
            yield from read(hear.recv(_CHUNK_BYTES))[0]


def read(chunk: bytes) -> tuple[list[Connection], bool]:
    """
    Connections of the messages of one read, and whether the answer ends with them.

    Raises
    ------
    InputError, OSError
        See `connections`.
    """
    found: list[Connection] = []
    at, info_at = 0, 0
    while at + _MESSAGE.size <= len(chunk):
        length, kind, *_ = _MESSAGE.unpack_from(chunk, at)
        if kind == _DONE or length < _MESSAGE.size or at + length > len(chunk):
            return found, True
        if kind == _ERROR and length >= _MESSAGE.size + _STATUS.size:
            (number,) = _STATUS.unpack_from(chunk, at + _MESSAGE.size)
            if -number == errno.ENOENT:
                raise InputError("sockets: this kernel has no inet_diag for TCP: modprobe tcp_diag")
            raise OSError(-number, os.strerror(-number))
        info_at = _info(chunk, at, at + length, info_at)
        if info_at and kind == _BY_FAMILY:
            found.append(_connection(chunk, at + _MESSAGE.size, at + info_at))
        at += length + 3 & ~3
    return found, False


def _info(chunk: bytes, begin: int, end: int, guess: int) -> int:
    """Where ``tcp_info`` is in a message; most are like the one before. 0 if there is none."""
    least = _TCP_INFO.size + _ATTRIBUTE.size
    if guess and begin + guess + _TCP_INFO.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(chunk, begin + guess - _ATTRIBUTE.size)
        if kind == _INFO and length >= least:
            return guess
    at = begin + _ATTRIBUTES_AT
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(chunk, at)
        if kind == _INFO and at + length <= end:
            if length < least:
                raise InputError("sockets: no kernel before Linux 4.19 tells what was sent again")
            return at + _ATTRIBUTE.size - begin
        at += max(length, _ATTRIBUTE.size) + 3 & ~3
    return 0


def _connection(chunk: bytes, at: int, info_at: int) -> Connection:
    family, local_port, remote_port, local, remote, cookie = _CONNECTION.unpack_from(chunk, at)
    rtt, again, received, sent, got, least, octets, again_octets = _TCP_INFO.unpack_from(
        chunk, info_at
    )
    return Connection(
        cookie,
        Ends(
            _address(family, local),
            int.from_bytes(local_port, "big"),
            _address(family, remote),
            int.from_bytes(remote_port, "big"),
        ),
        Counts(sent, got, again, octets, received, again_octets),
        None if rtt in _NO_RTT else rtt,
        None if least in _NO_RTT else least,
    )


def _address(family: int, octets: bytes) -> bytes:
    """Of an IPv4 peer of an IPv6 socket, too, its four."""
    if family == socket.AF_INET:
        return octets[:4]
    return octets[12:] if octets.startswith(_MAPPED) else octets
