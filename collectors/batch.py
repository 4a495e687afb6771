"""
Payloads gathered into envelopes, numbered, with what was lost before them.

A batch is closed by its number of payloads, by its bytes, or by the age of its
first payload. Payloads are numbered when their batch is closed; what an input
loses before that is only counted, and makes no gap in the numbers.

Before: udp.py, logtail.py, pcap.py. After: ship.py.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import pyarrow as pa

from collectors.config import BatchConfig
from collectors.envelope import Envelope, Header


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
        self._received_ns: list[int] = []
        self._exporters: list[str] = []
        self._payloads: list[bytes] = []
        self._byte_count = 0
        self._began_s: float | None = None
        self.received = 0
        self.lost: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._payloads)

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
        return self._max_payloads - len(self._payloads), self._max_bytes - self._byte_count

    def add(self, received_ns: int, exporter: str, payload: bytes) -> Envelope | None:
        """Put one payload in; the envelope, when that filled it."""
        return self.extend(received_ns, [exporter], [payload], len(payload))

    def extend(
        self, received_ns: int, exporters: list[str], payloads: list[bytes], byte_count: int
    ) -> Envelope | None:
        """
        Put in what was received in one go; the envelope, when that filled it.

        The caller asked for `room` before: a batch is never cut in two.
        """
        self._begin()
        self._received_ns += [received_ns] * len(payloads)
        self._exporters += exporters
        self._payloads += payloads
        self._byte_count += byte_count
        self.received += len(payloads)
        if len(self._payloads) >= self._max_payloads or self._byte_count >= self._max_bytes:
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
        if not self._payloads and not self._dropped:
            self._began_s = None
            return None
        header = msgspec.structs.replace(
            self._header, first_sequence=self._sequence, dropped=dict(self._dropped)
        )
        columns = [
            pa.array(self._received_ns, pa.int64()),
            pa.array(self._exporters, pa.string()).dictionary_encode(),
            pa.array(self._payloads, pa.binary()),
        ]
        payloads = pa.RecordBatch.from_arrays(columns, ["received_ns", "exporter", "payload"])
        self._sequence += len(self._payloads)
        self._dropped = Counter()
        self._received_ns, self._exporters, self._payloads = [], [], []
        self._byte_count, self._began_s = 0, None
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
