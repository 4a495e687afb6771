"""
Envelopes to the log, in order; by way of the disk while the log is away.

    inputs → queue → ship thread → log
                          ↓ away     ↑
                        spool → drain thread

The ship thread writes to the log until that fails, and to the spool from then
on; the drain thread empties the spool into the log, and only when it is empty
hands the log back. So an agent's envelopes never overtake one another, and
the ship thread never waits for a dead log longer than the flush timeout.

Each envelope is encoded once. When a flush fails nothing is known about what
it should have written, so the same bytes are sent again: a reader sees a
second envelope of the same agent, kind, ``epoch_ns`` and ``first_sequence``,
and drops it. An envelope the spool had no room for leaves a gap in the
numbers, and the envelope after the gap tells it as ``spool_full``: one loss,
told twice. All other losses are counted before numbers are given.

The queue is in memory: what is in it dies with the process. That is so for
datagrams; lines are read again from their file (logtail.py).

Before: batch.py. After: log/, or spool.py.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from collectors import envelope as envelopes
from collectors.envelope import Envelope
from collectors.log import LogError, Message, Writer
from collectors.spool import Spool

_log = logging.getLogger(__name__)

_GROUP: Final = 16
"""Envelopes that share one flush, when they wait anyway."""
_DRAIN_BYTES: Final = 8 * 1024 * 1024


class Parcel(NamedTuple):
    """An envelope, and what to call once it is on disk or in the log for good."""

    envelope: Envelope
    shipped: Callable[[], None] | None = None


class _Packed(NamedTuple):
    """An envelope ready to be written, here or there."""

    topic: str
    value: bytes
    rows: int
    shipped: Callable[[], None] | None


class _Loss(NamedTuple):
    """An envelope the spool had no room for: its kind, all losses it stands for, its own."""

    kind: str
    counts: Counter[str]
    rows: int


class Shipper:
    """
    Takes envelopes of one agent from any thread, and writes them to the log.

    Parameters
    ----------
    log
        Where to; the caller closes it.
    key
        Key of all messages: the agent's name, so that they share a partition
        and keep their order.
    topic_prefix
        First part of the topics' names.
    spool
        Where to while the log is away. None: wait for the log, and let the
        queue fill.
    flush_timeout_s, retry_s
        See `collectors.config.SpoolConfig`.
    queue_size
        Envelopes that may wait in memory.

    Attributes
    ----------
    shipped
        Payloads in the log for good.
    lost
        Payloads lost here, by reason: ``spool_full``, and ``shutdown`` when
        `close` ran out of time.
    trouble
        Why the log is away; empty when it is not.
    error
        What ended a thread of this class, if anything did: a bug.
    """

    def __init__(
        self,
        log: Writer,
        *,
        key: bytes,
        topic_prefix: str = "crosspane.v1",
        spool: Spool | None = None,
        flush_timeout_s: float = 2.0,
        retry_s: float = 1.0,
        queue_size: int = 64,
    ) -> None:
        self._writer = log
        self._key = key
        self._topic_prefix = topic_prefix
        self._spool = spool
        self._flush_timeout_s = flush_timeout_s
        self._retry_s = retry_s
        self._queue: queue.Queue[Parcel | None] = queue.Queue(queue_size)
        self._lock = threading.Lock()
        self._away = spool is not None and len(spool) > 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._gave_up = False
        self._gap: dict[int, _Loss] = {}
        """What the spool lost and no envelope has told yet, by its offset there."""
        self._unreported: dict[str, Counter[str]] = {}
        """What was lost before the next envelope to come."""
        self.shipped = 0
        self.lost: Counter[str] = Counter()
        self.trouble = ""
        self.error: BaseException | None = None
        self._ship_thread = threading.Thread(
            target=self._guard, args=(self._ship_loop,), name="ship", daemon=True
        )
        self._drain_thread = threading.Thread(
            target=self._guard, args=(self._drain_loop,), name="drain", daemon=True
        )

    def start(self) -> None:
        """Begin to ship, first of all what an earlier run left in the spool."""
        self._ship_thread.start()
        if self._spool is not None:
            self._drain_thread.start()

    def offer(self, parcel: Parcel) -> bool:
        """Hand over without waiting; False when the queue is full."""
        try:
            self._queue.put_nowait(parcel)
        except queue.Full:
            return False
        return True

    def put(self, parcel: Parcel, stop: threading.Event) -> bool:
        """Hand over, waiting for room; False when ``stop`` was set before there was any."""
        while True:
            try:
                self._queue.put(parcel, timeout=0.1)
            except queue.Full:
                if stop.is_set():
                    return False
            else:
                return True

    def close(self, timeout_s: float = 10.0) -> None:
        """
        Ship what is queued, to the log or the spool, and end.

        What nothing took in time is lost and counted as ``shutdown``, unless
        its input reads it again (logtail.py).
        """
        ender = threading.Timer(timeout_s, self._stop.set)
        ender.start()
        while self._ship_thread.is_alive():
            try:
                self._queue.put(None, timeout=0.1)
                break
            except queue.Full:
                continue
        self._ship_thread.join()
        ender.cancel()
        self._stop.set()
        self._wake.set()
        if self._spool is not None:
            self._drain_thread.join(timeout_s)

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:  # noqa: BLE001 told to the agent, which ends with it
            _log.exception("the thread that ships has ended")
            self.error = error

    def _ship_loop(self) -> None:
        while True:
            parcel = self._queue.get()
            packed = []
            while parcel is not None:
                packed.append(self._pack(parcel))
                if len(packed) == _GROUP:
                    break
                try:
                    parcel = self._queue.get_nowait()
                except queue.Empty:
                    break
            self._ship(packed)
            if parcel is None:
                return

    def _pack(self, parcel: Parcel) -> _Packed:
        """Encode, and tell of what the spool lost meanwhile."""
        envelope = parcel.envelope
        header = envelope.header
        with self._lock:
            unreported = self._unreported.pop(header.kind, None)
        if unreported:
            envelope = _with_losses(envelope, unreported)
        return _Packed(
            envelopes.topic(self._topic_prefix, header.kind, header.cluster),
            envelopes.encode(envelope),
            envelope.payloads.num_rows,
            parcel.shipped,
        )

    def _ship(self, packed: list[_Packed]) -> None:
        """Write these, in order; returns when they are safe, or given up."""
        while packed and not self._gave_up:
            if self._to_spool(packed):
                pass
            elif self._to_log(packed):
                return
            elif self._spool is not None:
                with self._lock:
                    self._away = True
                self._wake.set()
                continue
            if packed and self._stop.wait(self._retry_s):
                self._gave_up = True
                break
        # Once something was given up nothing may follow: order is kept.
        lost = sum(one.rows for one in packed if one.shipped is None)
        if lost:
            self.lost["shutdown"] += lost

    def _to_log(self, packed: Sequence[_Packed]) -> bool:
        try:
            for one in packed:
                self._writer.append(one.topic, self._key, one.value)
            self._writer.flush(self._flush_timeout_s)
        except LogError as error:
            self._tell(str(error))
            return False
        self._tell("")
        for one in packed:
            self.shipped += one.rows
            if one.shipped is not None:
                one.shipped()
        return True

    def _to_spool(self, packed: list[_Packed]) -> bool:
        """Take from ``packed`` what the spool takes; False when the log is not away."""
        with self._lock:
            if not self._away or self._spool is None:
                return False
            try:
                while packed:
                    one = packed[0]
                    key = b"%s %d" % (one.topic.encode(), one.rows)
                    for message in self._spool.put(key, one.value):
                        self._count_lost(message)
                    del packed[0]
                    if one.shipped is not None:
                        one.shipped()
            except LogError as error:
                self._tell(str(error))
        self._wake.set()
        return True

    def _count_lost(self, message: Message) -> None:
        """Remember what an envelope that is lost would have told, and its own loss."""
        envelope = envelopes.decode(message.value)
        kind, count = envelope.header.kind, envelope.payloads.num_rows
        loss = _Loss(kind, Counter(envelope.header.dropped), count)
        loss.counts["spool_full"] += count
        self.lost["spool_full"] += count
        if message.offset < 0:  # the newest: told by what comes after it
            self._unreported.setdefault(kind, Counter()).update(loss.counts)
        else:
            self._gap[message.offset] = loss

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _log.warning("the log is away: %s", trouble)
        elif self.trouble and not trouble:
            _log.warning("the log is back")
        self.trouble = trouble

    def _drain_loop(self) -> None:
        assert self._spool is not None  # noqa: S101 `start` made sure
        first_try = True
        while not self._stop.is_set():
            if not self._away:
                self._wake.wait()
                self._wake.clear()
                continue
            messages = self._spool.peek(_DRAIN_BYTES)
            if not messages:
                with self._lock:
                    self._away = len(self._spool) > 0
                    if not self._away:
                        for kind, losses in _by_kind(self._gap.values()).items():
                            self._unreported.setdefault(kind, Counter()).update(losses)
                        self._gap.clear()
                continue
            # One alone asks whether the log is back: what a dead log is given it may hold.
            messages = messages[:1] if first_try else messages
            first_try = not self._drain(self._spool, messages)
            if first_try:
                self._stop.wait(self._retry_s)

    def _drain(self, spool: Spool, messages: Sequence[Message]) -> bool:
        first = messages[0].offset
        with self._lock:
            gap = {offset: self._gap.pop(offset) for offset in [*self._gap] if offset < first}
        untold = _by_kind(gap.values())
        rows = 0
        try:
            for message in messages:
                topic, _, count = (message.key or b"").decode().partition(" ")
                value = _tell_losses(message.value, untold) if untold else message.value
                self._writer.append(topic, self._key, value)
                rows += int(count)
            self._writer.flush(self._flush_timeout_s)
            spool.done(messages[-1].offset)
        except LogError as error:
            with self._lock:
                self._gap.update(gap)
            self._tell(str(error))
            return False
        with self._lock:
            self._gap.update({at: loss for at, loss in gap.items() if loss.kind in untold})
            # What the spool let go while it was on its way has arrived nevertheless.
            for message in messages:
                arrived = self._gap.pop(message.offset, None)
                self.lost["spool_full"] -= arrived.rows if arrived else 0
        self._tell("")
        self.shipped += rows
        return True


def _by_kind(losses: Iterable[_Loss]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for loss in losses:
        found.setdefault(loss.kind, Counter()).update(loss.counts)
    return found


def _tell_losses(value: bytes, untold: dict[str, Counter[str]]) -> bytes:
    """Envelope that also tells the losses of its kind, which are then no longer in ``untold``."""
    envelope = envelopes.decode(value)
    mine = untold.pop(envelope.header.kind, None)
    return value if mine is None else envelopes.encode(_with_losses(envelope, mine))


def _with_losses(envelope: Envelope, losses: Counter[str]) -> Envelope:
    dropped = dict(losses + Counter(envelope.header.dropped))
    return Envelope(msgspec.structs.replace(envelope.header, dropped=dropped), envelope.payloads)
