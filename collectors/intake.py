"""
Messages of gRPC streams into batches; who reads waits while nobody takes them.

    `Intake.room` → read → `Intake.add` → batch → shipper
        ↑ waits while a full batch waits for room in the queue ↲

Nothing is awaited between the end of a read and the batch: a message that was
read is in a batch, whatever is cancelled then.

Before: grpc_server.py, hubble.py. After: batch.py, ship.py.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from functools import partial
from typing import Final

from collectors.batch import MAX_PAYLOAD_BYTES, Batcher
from collectors.envelope import Envelope
from collectors.ship import Parcel, Shipper

PIECE_BYTES: Final = 512 * 1024
"""Larger payloads are cut by their input: a batch of one must fit into a message of Kafka."""

TICK_S: Final = 0.02
_END_S: Final = 5.0


class Intake:
    """
    Messages of all streams of one input to one batcher. For one event loop.

    Parameters
    ----------
    batcher, shipper
        What comes next.
    max_age_s
        Seconds after which a batch is closed, if earlier than the batcher's own.
    promises
        Whether who sent a payload waits until it is `safe`, and sends it again otherwise.
    """

    def __init__(
        self,
        batcher: Batcher,
        shipper: Shipper,
        max_age_s: float | None = None,
        *,
        promises: bool = False,
    ) -> None:
        self._batcher = batcher
        self._shipper = shipper
        self._max_age_s = max_age_s
        self._open = asyncio.Event()
        self._open.set()
        self._waiting: deque[Parcel] = deque()
        self._loop = asyncio.get_running_loop()
        self._promises = promises
        self._batch_safe = self._loop.create_future()
        self._last_safe = self._loop.create_future()
        self._last_safe.set_result(None)

    async def room(self) -> None:
        """Wait until a message may be read."""
        await self._open.wait()

    def add(self, exporter: str, payload: bytes) -> None:
        """Put one payload into the batch; what that fills goes on, or waits and closes `room`."""
        _, room_bytes = self._batcher.room()
        if len(self._batcher) and len(payload) > room_bytes + MAX_PAYLOAD_BYTES:
            self._hand_on(self._batcher.take())
        self._hand_on(self._batcher.add(time.time_ns(), exporter, payload))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what is not handed on."""
        self._batcher.drop(reason, count)

    async def safe(self) -> None:
        """Wait until what was added so far is on disk or in the log for good."""
        await asyncio.shield(self._batch_safe if len(self._batcher) else self._last_safe)

    def tick(self, *, ending: bool = False) -> None:
        """Hand on what is old enough, or everything; to be called some times a second."""
        self._offer()
        if not self._waiting:
            take = self._batcher.take if ending else self._take_if_older
            self._hand_on(take())

    async def tick_until(self, stop: threading.Event) -> None:
        """Do so until ``stop`` is set."""
        while not stop.is_set():
            self.tick()
            await asyncio.sleep(TICK_S)

    async def end(self) -> None:
        """Hand on what is left; what nobody takes in time is counted as ``queue_full``."""
        until_s = time.monotonic() + _END_S
        self.tick(ending=True)
        while self._waiting and time.monotonic() < until_s:
            await asyncio.sleep(TICK_S)
            self.tick(ending=True)
        if (rest := self._batcher.take()) is not None:
            self._waiting.append(Parcel(rest))
        while self._waiting:
            self._batcher.refuse(self._waiting.pop().envelope, "queue_full")

    def _take_if_older(self) -> Envelope | None:
        return self._batcher.take_if_older(self._max_age_s)

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is None:
            return
        shipped = None
        if self._promises:
            self._last_safe, self._batch_safe = self._batch_safe, self._loop.create_future()
            shipped = partial(self._tell_safe, self._last_safe)
        self._waiting.append(Parcel(envelope, shipped))
        self._offer()

    def _tell_safe(self, promise: "asyncio.Future[None]") -> None:
        """Keep a promise, from the shipper's thread; nobody waits any more when the loop ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(promise.set_result, None)

    def _offer(self) -> None:
        while self._waiting and self._shipper.offer(self._waiting[0]):
            self._waiting.popleft()
        if self._waiting:
            self._open.clear()
        else:
            self._open.set()
