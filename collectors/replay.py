"""
Captures into the log, as if an agent had just received them.

Before: pcap.py. After: log/.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from collectors import envelope as envelopes
from collectors.batch import Batcher
from collectors.config import BatchConfig
from collectors.envelope import Envelope, Header
from collectors.log import Writer
from collectors.pcap import CaptureError, Payload, open_capture, sniff_kind

_LOOK_S: Final = 0.1
_GROUP: Final = 16
"""Envelopes that share one flush."""


@dataclass(slots=True)
class Replayed:
    """What `replay` did: payloads by kind, what captures left out, files damaged."""

    payloads: Counter[str] = field(default_factory=Counter)
    envelopes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    errors: list[CaptureError] = field(default_factory=list)


def replay(
    paths: Sequence[Path],
    header: Header,
    log: Writer,
    *,
    kind: str | None = None,
    batch: BatchConfig | None = None,
    speed: float | None = None,
    keep_time: bool = True,
    ports: Collection[int] = (),
    topic_prefix: str = "crosspane.v1",
    progress: Callable[[Replayed], None] | None = None,
    stop: threading.Event | None = None,
) -> Replayed:
    """
    Put captures into the log, one file after another, in the order given.

    Parameters
    ----------
    paths
        Captures; see `open_capture`. Damaged ones are read as far as they go.
    header
        Agent, cluster and network; its ``kind`` is not used.
    log
        Where to; flushed, not closed.
    kind
        Kind of all files; None: by their names.
    batch
        When a batch is closed; the default is that of an agent.
    speed
        1.0 as fast as it was captured, 2.0 twice; None: as fast as it goes.
    keep_time
        ``received_ns`` as captured. False, or where the capture does not tell
        the time: now.
    ports
        UDP ports to take; empty: all.
    topic_prefix
        First part of the topics' names.
    progress
        Called after each envelope.
    stop
        Ends the replay early when set.

    Raises
    ------
    LogError
        When the log does not take it.
    """
    return _Replay(log, header, batch or BatchConfig(), topic_prefix, progress).run(
        paths, kind, _Pace(speed, stop or threading.Event()), frozenset(ports), keep_time
    )


class _Pace:
    """Waits as long as the capture did between two payloads, divided by the speed."""

    def __init__(self, speed: float | None, stop: threading.Event) -> None:
        self._speed = speed
        self._began: tuple[float, int] | None = None
        self.stop = stop

    def left_s(self, received_ns: int) -> float:
        """Seconds until a payload is due."""
        if self._speed is None or not received_ns:
            return 0.0
        now_s = time.monotonic()
        if self._began is None:
            self._began = now_s, received_ns
        began_s, first_ns = self._began
        return began_s + (received_ns - first_ns) / 1e9 / self._speed - now_s


class _Replay:
    def __init__(
        self,
        log: Writer,
        header: Header,
        batch: BatchConfig,
        topic_prefix: str,
        progress: Callable[[Replayed], None] | None,
    ) -> None:
        self._log = log
        self._header = header
        self._batch = batch
        self._topic_prefix = topic_prefix
        self._progress = progress
        self._batchers: dict[str, Batcher] = {}
        self._done = Replayed()

    def run(
        self,
        paths: Sequence[Path],
        kind: str | None,
        pace: _Pace,
        ports: frozenset[int],
        keep_time: bool,
    ) -> Replayed:
        for path in paths:
            try:
                found = kind or sniff_kind(path)
                batcher = self._batcher(found)
                for payload in open_capture(path, ports, self._done.skipped, found):
                    self._wait(batcher, payload, pace)
                    if pace.stop.is_set():
                        break
                    taken_ns = payload.received_ns if keep_time else 0
                    received_ns = taken_ns or time.time_ns()
                    self._send(batcher.add(received_ns, payload.exporter, payload.payload))
            except CaptureError as error:
                self._done.errors.append(error)
        for batcher in self._batchers.values():
            self._send(batcher.take())
        self._log.flush()
        return self._done

    def _batcher(self, kind: str) -> Batcher:
        if kind not in self._batchers:
            header = msgspec.structs.replace(self._header, kind=kind, epoch_ns=time.time_ns())
            self._batchers[kind] = Batcher(header, self._batch)
        return self._batchers[kind]

    def _wait(self, batcher: Batcher, payload: Payload, pace: _Pace) -> None:
        while (left_s := pace.left_s(payload.received_ns)) > 0:
            self._send(batcher.take_if_older())
            if pace.stop.wait(min(left_s, _LOOK_S, self._batch.max_age_ms / 1000)):
                return

    def _send(self, envelope: Envelope | None) -> None:
        if envelope is None:
            return
        header = envelope.header
        topic = envelopes.topic(self._topic_prefix, header.kind, header.cluster)
        self._log.append(topic, header.agent.encode(), envelopes.encode(envelope))
        self._done.payloads[header.kind] += envelope.payloads.num_rows
        self._done.envelopes += 1
        if self._done.envelopes % _GROUP == 0:
            self._log.flush()
        if self._progress is not None:
            self._progress(self._done)
