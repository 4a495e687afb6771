"""
Payloads gathered into envelopes, numbered, with what was lost before them.

A batch is closed by its number of payloads, by its bytes, or by the age of its
first payload. Payloads are numbered when their batch is closed; what an input
loses before that is only counted, and makes no gap in the numbers.

Payloads of a batch lie one behind the other in one block of memory that is
used again for the next batch. A socket can receive right into it: one Python
object for each datagram, allocated and freed, costs more than the datagram.

Before: udp.py, logtail.py, pcap.py. After: ship.py.
"""

import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import pyarrow as pa

from collectors.config import BatchConfig
from collectors.envelope import Envelope, Header

MAX_PAYLOAD_BYTES: Final = 65_536
"""What the block has room for beyond ``max_bytes``: the largest datagram."""


class Batcher:
    """
    Gathers the payloads of one input. For one thread.

    Parameters
    ----------
    header
        What each envelope's header repeats; ``first_sequence`` is where the
        numbers go on.
    config
        When a batch is closed.
    clock
        Monotonic seconds, for the age.

    Attributes
    ----------
    received
        Payloads added or dropped so far, to be read by any thread.
    lost
        Payloads dropped so far, by reason.
    """

    def __init__(
        self, header: Header, config: BatchConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._header = header
        self._max_payloads = config.max_payloads
        self._max_bytes = config.max_bytes
        self._max_age_s = config.max_age_ms / 1000
        self._clock = clock
        self._sequence = header.first_sequence
        self._dropped: Counter[str] = Counter(header.dropped)
        self._received_ns = array("q")
        self._exporters: list[str] = []
        self._block = bytearray(config.max_bytes + MAX_PAYLOAD_BYTES)
        self._ends = array("i", [0])
        self._began_s: float | None = None
        self.received = 0
        self.lost: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._exporters)

    @property
    def sequence(self) -> int:
        """Number the next envelope begins with."""
        return self._sequence

    def resume(self, epoch_ns: int, sequence: int) -> None:
        """Number on from where an earlier run stopped; before the first payload."""
        self._header = msgspec.structs.replace(self._header, epoch_ns=epoch_ns)
        self._sequence = sequence

    def room(self) -> tuple[int, int]:
        """Payloads, and bytes, until the batch is full."""
        return self._max_payloads - len(self), self._max_bytes - self._ends[-1]

    def block(self) -> tuple[bytearray, int]:
        """
        Memory to receive into, and where in it the next payload begins.

        As long as there is `room`, `MAX_PAYLOAD_BYTES` more fit there.
        """
        return self._block, self._ends[-1]

    def add(self, received_ns: int, exporter: str, payload: bytes) -> Envelope | None:
        """Put one payload in; the envelope, when that filled it."""
        return self.extend(received_ns, [exporter], [payload])

    def extend(
        self, received_ns: int, exporters: list[str], payloads: list[bytes]
    ) -> Envelope | None:
        """
        Put in what was received in one go; the envelope, when that filled it.

        The caller asked for `room` before: a batch is never cut in two.
        """
        begin = end = self._ends[-1]
        ends = [end := end + len(payload) for payload in payloads]
        self._block[begin:end] = b"".join(payloads)
        return self.received_into_block(received_ns, exporters, ends)

    def received_into_block(
        self, received_ns: int, exporters: list[str], ends: list[int]
    ) -> Envelope | None:
        """
        Put in what lies in the `block` already; the envelope, when that filled it.

        ``ends`` are the places where the payloads end.
        """
        self._begin()
        self._received_ns.extend(array("q", [received_ns]) * len(ends))
        self._exporters += exporters
        self._ends.extend(ends)
        self.received += len(ends)
        if len(self) >= self._max_payloads or self._ends[-1] >= self._max_bytes:
            return self.take()
        return None

    def drop(self, reason: str, count: int = 1) -> None:
        """Count payloads that were lost, for the next envelope to tell."""
        if count:
            self._begin()
            self._dropped[reason] += count
            self.lost[reason] += count
            self.received += count

    def take_if_older(self, max_age_s: float | None = None) -> Envelope | None:
        """Close the batch if its first payload, or loss, has waited for this long."""
        limit_s = self._max_age_s if max_age_s is None else max_age_s
        if self._began_s is not None and self._clock() - self._began_s >= limit_s:
            return self.take()
        return None

    def take(self) -> Envelope | None:
        """
        Close the batch; None when there is nothing to tell.

        An envelope without payloads is made when there are losses to report.
        """
        count = len(self)
        if not count and not self._dropped:
            self._began_s = None
            return None
        header = msgspec.structs.replace(
            self._header, first_sequence=self._sequence, dropped=dict(self._dropped)
        )
        data = bytes(memoryview(self._block)[: self._ends[-1]])
        buffers = [None, pa.py_buffer(self._ends), pa.py_buffer(data)]
        columns = [
            pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(self._received_ns)]),
            pa.array(self._exporters, pa.string()).dictionary_encode(),
            pa.Array.from_buffers(pa.binary(), count, buffers),
        ]
        payloads = pa.RecordBatch.from_arrays(columns, ["received_ns", "exporter", "payload"])
        self._sequence += count
        self._dropped = Counter()
        self._received_ns, self._exporters, self._ends = array("q"), [], array("i", [0])
        self._began_s = None
        return Envelope(header, payloads)

    def refuse(self, envelope: Envelope, reason: str) -> None:
        """
        Count the envelope just taken as lost, and give its numbers to the next.

        For an input that may not wait, when the queue behind it is full.
        """
        self._sequence = envelope.header.first_sequence
        self._carry(envelope.header.dropped)
        count = envelope.payloads.num_rows
        self._dropped[reason] += count
        self.lost[reason] += count
        self._begin()

    def _begin(self) -> None:
        if self._began_s is None:
            self._began_s = self._clock()

    def _carry(self, dropped: Mapping[str, int]) -> None:
        for reason, count in dropped.items():
            self._dropped[reason] += count
