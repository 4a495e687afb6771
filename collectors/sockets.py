"""
TCP connections of a node: what each did since the last look, a payload each.

    every interval: all connections → counters less those of the last look → payload
    in between: connections that end → their last counters, likewise

The first look at a namespace tells nothing: what was before it is not known to
have been lately. From then on a connection that appears is told from its
beginning, and one that ends up to its end: the kernel says so of each, also of
those that no look has seen. What it had no room to say is counted as
``kernel``, once for each time, and the connections it may have concerned that
were known and are there no more as ``socket_gone``.

Nothing is told of a connection nothing happened on. Memory is bounded by
``max_sockets`` for each namespace; what is beyond is counted as
``too_many_sockets`` at each look.

Before: inet_diag.py (the kernel's messages). After: batch.py.
"""

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from collectors.batch import Batcher
from collectors.config import SocketsInput
from collectors.envelope import Envelope
from collectors.errors import InputError
from collectors.inet_diag import Connection, Counts, Ends, connections, gone, open_diag
from collectors.ship import Parcel, Shipper

_log = logging.getLogger(__name__)

OWN: Final = "own"
"""What the agent's own namespace is called, as exporter; another by its file."""
_LOOK_S: Final = 0.1
_NAMESPACES_S: Final = 1.0
"""A namespace that was deleted lives on until its sockets are closed: not for long."""
_COMPLAINTS: Final = 1_000
_WRAP: Final = 1 << 32
_SEGMENTS: Final = 3
"""So many of the counts wrap; the octets behind them do not."""
_V4: Final = 4
_LOOPBACK, _LOOPBACK6 = 127, bytes(15) + b"\x01"


class Sample(msgspec.Struct, omit_defaults=True):
    """What a connection did between two times: a payload is this as JSON."""

    local: str
    remote: str
    start_ns: int
    end_ns: int
    bytes_sent: int
    bytes_received: int
    bytes_retransmitted: int
    segments_sent: int
    segments_received: int
    segments_retransmitted: int
    rtt_us: int | None = None
    min_rtt_us: int | None = None
    closed: bool = False


def follow(config: SocketsInput, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """
    Look at the connections of all namespaces at an interval until ``stop`` is set.

    Parameters
    ----------
    config
        Which namespaces, how often.
    batcher, shipper
        What comes next.
    stop
        Looked at ten times a second.

    Raises
    ------
    InputError
        When the kernel cannot tell, or does not let us ask.
    """
    follower = _Follower(config, batcher, shipper)
    try:
        follower.run(stop)
    finally:
        follower.close()


class _Follower:
    def __init__(self, config: SocketsInput, batcher: Batcher, shipper: Shipper) -> None:
        self._config = config
        self._batcher = batcher
        self._shipper = shipper
        self._watched: dict[tuple[int, int], Watched] = {}
        self._troubled: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        looked_s = sought_s = float("-inf")
        while not stop.is_set():
            now_s = time.monotonic()
            if now_s - sought_s >= _NAMESPACES_S:
                sought_s = now_s
                self._seek()
            if now_s - looked_s >= self._config.interval_s:
                looked_s = now_s
                self._each(Watched.look)
            self._each(Watched.hear)
            self._hand_on(self._batcher.take_if_older())
            stop.wait(_LOOK_S)
        self._each(Watched.look)
        self._each(Watched.hear)
        self._hand_on(self._batcher.take())

    def close(self) -> None:
        for watched in self._watched.values():
            watched.close()

    def _each(self, do: Callable[["Watched"], None]) -> None:
        for key, watched in list(self._watched.items()):
            try:
                do(watched)
            except OSError as error:  # opened anew, as if it had just come
                _log.warning("sockets of %s: %s: beginning again", watched.name, error)
                self._batcher.drop("socket_gone", len(watched))
                self._watched.pop(key).close()

    def _seek(self) -> None:
        """Open namespaces that are new, and let go of those that are no more."""
        wanted = self._namespaces()
        for key in self._watched.keys() - wanted.keys():
            self._watched.pop(key).close()
        for key, path in wanted.items():
            if key not in self._watched:
                try:
                    watched = Watched(path, self._config, self._add, self._batcher.drop)
                except OSError as error:
                    if not path:
                        raise InputError(f"sockets: {error}: the agent's own namespace") from error
                    self._complain(path, str(error))
                    continue
                self._watched[key] = watched

    def _namespaces(self) -> dict[tuple[int, int], str]:
        """Each namespace once, by what it is, however many files lead to it."""
        own = Path("/proc/thread-self/ns/net").stat()
        found = {(own.st_dev, own.st_ino): ""}
        for pattern in self._config.namespaces:
            for path in sorted(Path("/").glob(pattern.lstrip("/"))):
                try:
                    about = path.stat()
                except OSError as error:
                    self._complain(str(path), str(error))
                    continue
                if len(found) > self._config.max_namespaces:
                    self._complain(str(path), "more than max_namespaces")
                    break
                found.setdefault((about.st_dev, about.st_ino), str(path))
        if not self._config.own_namespace:
            del found[own.st_dev, own.st_ino]
        return found

    def _complain(self, path: str, why: str) -> None:
        """Say once in the log that a namespace is left out; of many, of some."""
        if path not in self._troubled and len(self._troubled) < _COMPLAINTS:
            self._troubled.add(path)
            _log.warning("sockets of %s are left out: %s", path, why)

    def _add(self, exporter: str, sample: Sample) -> None:
        payload = msgspec.json.encode(sample)
        self._hand_on(self._batcher.add(time.time_ns(), exporter, payload))

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is not None and not self._shipper.offer(Parcel(envelope)):
            self._batcher.refuse(envelope, "queue_full")


class Watched:
    """
    Connections of one namespace, as they were at the last look.

    Parameters
    ----------
    namespace
        Its file; empty for the agent's own.
    tell
        Given the namespace's name and each `Sample`.
    lost
        Given a reason, and how many.

    Raises
    ------
    OSError
        When the namespace cannot be entered.
    """

    def __init__(
        self,
        namespace: str,
        config: SocketsInput,
        tell: Callable[[str, Sample], None],
        lost: Callable[[str, int], None],
    ) -> None:
        self.name = namespace or OWN
        self._config = config
        self._tell = tell
        self._lost = lost
        self._ask, self._hear = open_diag(namespace, config.receive_buffer_bytes)
        self._known: dict[int, Connection] = {}
        self._looked_ns = 0
        self._is_whole = True
        self._has_overrun = False

    def __len__(self) -> int:
        return len(self._known)

    def close(self) -> None:
        """Let the namespace go."""
        self._ask.close()
        self._hear.close()

    def look(self) -> None:
        """
        Ask for all connections, and tell what each did since.

        Raises
        ------
        OSError, InputError
            See `connections`.
        """
        is_first = not self._looked_ns
        if is_first:
            self.hear()  # of those nothing was known
        now_ns = time.time_ns()
        beyond, there = 0, set()
        for one in connections(self._ask):
            known = self._known.get(one.cookie)
            if known is None and len(self._known) >= self._config.max_sockets:
                beyond += 1
                continue
            there.add(one.cookie)
            self._known[one.cookie] = one
            if not is_first:
                self._tell_since(known, one, now_ns)
        self._is_whole = not beyond
        self._lost("too_many_sockets", beyond)
        if self._has_overrun:
            missing = self._known.keys() - there
            for cookie in missing:
                del self._known[cookie]
            self._lost("socket_gone", len(missing))
            self._has_overrun = False
        self._looked_ns = now_ns

    def hear(self) -> None:
        """Tell what connections did that have ended."""
        now_ns = time.time_ns()
        try:
            for one in gone(self._hear):
                known = self._known.pop(one.cookie, None)
                # one that is not known may have begun long ago, where not all are
                if self._looked_ns and (known is not None or self._is_whole):
                    self._tell_since(known, one, now_ns, is_closed=True)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._lost("kernel", 1)
            self._has_overrun = True

    def _tell_since(
        self, before: Connection | None, now: Connection, now_ns: int, *, is_closed: bool = False
    ) -> None:
        if before is not None and before.counts == now.counts:
            return
        ends = before.ends if is_closed and before is not None else now.ends
        if not ends.remote_port or (_is_loopback(ends) and not self._config.loopback):
            return
        done = since(before.counts if before is not None else None, now.counts)
        if not any(done):
            return
        sample = Sample(
            local=_text(ends.local, ends.local_port),
            remote=_text(ends.remote, ends.remote_port),
            start_ns=self._looked_ns,
            end_ns=now_ns,
            **done._asdict(),
            rtt_us=now.rtt_us,
            min_rtt_us=now.min_rtt_us,
            closed=is_closed,
        )
        self._tell(self.name, sample)


def since(before: Counts | None, now: Counts) -> Counts:
    """
    What was done between two looks; all of it, where a connection began anew.

    A program may connect the same socket once more: its counters then begin at 0.

    >>> tuple(since(Counts(2**32 - 1, 5, 0, 100, 7, 0), Counts(1, 6, 1, 150, 9, 20)))
    (2, 1, 1, 50, 2, 20)
    >>> since(Counts(90, 5, 1, 100, 7, 20), Counts(3, 2, 0, 40, 0, 0)).segments_sent
    3
    """
    if before is None:
        return now
    difference = [new - old for new, old in zip(now, before, strict=True)]
    segments = [change % _WRAP for change in difference[:_SEGMENTS]]
    if min(difference[_SEGMENTS:]) < 0 or max(segments) >= _WRAP // 2:
        return now
    return Counts(*segments, *difference[_SEGMENTS:])


def _is_loopback(ends: Ends) -> bool:
    return ends.local == ends.remote or any(
        one[0] == _LOOPBACK if len(one) == _V4 else one == _LOOPBACK6
        for one in (ends.local, ends.remote)
    )


def _text(address: bytes, port: int) -> str:
    if len(address) == _V4:
        return f"{socket.inet_ntop(socket.AF_INET, address)}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{port}"
