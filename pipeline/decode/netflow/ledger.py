"""
What a batch of datagrams is told to have been: vantages, rejects, counts.

Counters are kept by message and by datagram, never by record, and brought
together by vantage and minute at the end.

Before: sets.py. After: __init__.py.
"""

from collections import defaultdict
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline import accounting, rejects
from pipeline.decode import Payloads, Source, Vantage
from pipeline.decode.netflow.domains import Pending
from pipeline.decode.netflow.sets import FORMATS, Messages, Reject
from pipeline.rejects import RAW_BYTES, Reason

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

_MINUTE_NS: Final = 60 * 10**9
_SPARSE: Final = 4
_WHOLE: Final = frozenset(
    {
        Reason.PAYLOAD_EMPTY,
        Reason.VERSION_UNKNOWN,
        Reason.HEADER_TRUNCATED,
        Reason.LENGTH_MISMATCH,
    }
)
"""Reasons that speak of a message, not of a set in one."""


class Ledger:
    """
    Vantages, rejects and counts of one batch.

    Attributes
    ----------
    vantages
        Those spoken of, by index.
    used, waits
        bool[n]: whether something of a datagram was used; whether a set of it waits.
    """

    def __init__(self, payloads: Payloads, size: I64) -> None:
        self._payloads = payloads
        self._size = size
        self.vantages: list[Vantage] = []
        self._numbers: dict[Vantage, int] = {}
        self._rejects: list[Reject] = []
        self._late: list[Reject] = []  # of sets of earlier payloads
        self._by_message: dict[str, I64] = {}
        self._alone: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        self.used: Mask = np.zeros(len(size), np.bool_)
        self.waits: Mask = np.zeros(len(size), np.bool_)
        self._messages = Messages(*(np.array([], np.int64) for _ in range(4)))
        self._vantage: I32 = np.array([], np.int32)

    def number(self, source: Source, version: int, domain: int) -> int:
        """Index of a vantage, new if it was not spoken of; version 0 is unknown."""
        vantage = Vantage(source, FORMATS.get(version, "unknown"), domain)
        number = self._numbers.setdefault(vantage, len(self.vantages))
        if number == len(self.vantages):
            self.vantages.append(vantage)
        return number

    def open(self, messages: Messages, vantage: I32) -> None:
        """Take the messages to count by, and whose each is."""
        self._messages, self._vantage = messages, vantage

    def reject(self, *rejected: Reject) -> None:
        """Add rejects."""
        self._rejects += rejected

    def add(self, counter: str, message: I64, amount: I64 | int = 1) -> None:
        """Count for messages by index; an index may come several times."""
        total = self._by_message.get(counter)
        if total is None:
            total = self._by_message[counter] = np.zeros(len(self._vantage), np.int64)
        np.add.at(total, message, amount)

    def add_one(self, counter: str, vantage: int, received_ns: int, amount: int = 1) -> None:
        """Count something that no message of this batch brought."""
        self._alone[counter].append((vantage, received_ns, amount))

    def cut_late(self, vantage: int, pending: Pending, payload: int) -> None:
        """A set that waited ends inside a record of the template that ``payload`` brought."""
        body, detail = pending.body, f"set {pending.number} ends inside a record"
        raw = body[:RAW_BYTES]
        self._late.append(Reject(payload, Reason.RECORD_TRUNCATED, detail, raw, len(body), vantage))

    def given_up(self, vantage: int, pending: Pending, payload: int) -> None:
        """A set that waited is given up when ``payload`` comes."""
        body, detail = pending.body, f"set {pending.number}: no template in time"
        raw = body[:RAW_BYTES]
        self._late.append(Reject(payload, Reason.PENDING_LIMIT, detail, raw, len(body), vantage))
        self.add_one("waiting_sets", vantage, pending.received_ns, -1)

    def close(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """
        Rejects and counts, as `Decoded` has them.

        A datagram counts for the vantage of its first message; for one of
        format ``unknown`` where it has none.
        """
        of_payload = np.full(len(self.used), -1, np.int32)
        of_payload[self._messages.payload[::-1]] = self._vantage[::-1]
        for payload in np.flatnonzero(of_payload < 0).tolist():
            source = self._payloads.sources[self._payloads.source[payload]]
            of_payload[payload] = self.number(source, 0, 0)
        every = [*self._rejects, *self._late]
        rows = [
            (
                int(of_payload[reject.payload]) if reject.vantage < 0 else reject.vantage,
                reject.payload,
                reject.reason.value,
                reject.detail[:200],
                reject.raw,
                reject.raw_length,
            )
            for reject in every
        ]
        for (vantage, payload, *_), reject in zip(rows, every, strict=True):
            if reject.reason not in _WHOLE:
                received_ns = int(self._payloads.received_ns[payload])
                self.add_one("rejected_sets", vantage, received_ns)
        return pl.DataFrame(rows, rejects.FRAME, orient="row"), self._counts(of_payload)

    def _outcomes(self) -> dict[str, Mask]:
        refused = np.zeros(len(self.used), np.bool_)
        refused[[reject.payload for reject in self._rejects]] = True
        partial = self.waits | (refused & self.used)
        return {
            "decoded_payloads": ~refused & ~partial,
            "partial_payloads": partial,
            "rejected_payloads": refused & ~partial,
        }

    def _counts(self, of_payload: I32) -> pl.DataFrame:
        alone = [(name, *one) for name, ones in self._alone.items() for one in ones]
        minute = self._payloads.received_ns // _MINUTE_NS
        keys = (
            (minute, of_payload),
            (minute[self._messages.payload], self._vantage),
            (
                np.array([one[2] // _MINUTE_NS for one in alone], np.int64),
                np.array([one[1] for one in alone], np.int32),
            ),
        )
        first = min((int(one.min()) for one, _ in keys if len(one)), default=0)
        width = max(len(self.vantages), 1)
        slots, distinct = _group([(k - first) * width + of for k, of in keys])
        counts = np.zeros((len(accounting.COUNTERS), len(distinct)), np.int64)
        place = {name: number for number, name in enumerate(accounting.COUNTERS)}
        np.add.at(counts[place["received_payloads"]], slots[0], 1)
        np.add.at(counts[place["received_bytes"]], slots[0], self._size)
        for name, rows in self._outcomes().items():
            np.add.at(counts[place[name]], slots[0][rows], 1)
        for name, amount in self._by_message.items():
            np.add.at(counts[place[name]], slots[1], amount)
        for (name, _, _, plus), slot in zip(alone, slots[2].tolist(), strict=True):
            counts[place[name], slot] += plus
        columns = dict(zip(accounting.COUNTERS, counts, strict=True))
        minutes = (distinct // width + first) * _MINUTE_NS
        return pl.DataFrame(
            {"vantage": distinct % width, "minute_ns": minutes, **columns}, accounting.FRAME
        )


def _group(keys: list[I64]) -> tuple[list[I64], I64]:
    """Index of each key among the distinct ones, and these."""
    every = np.concatenate(keys)
    span = int(every.max()) + 1 if len(every) else 0
    if span <= _SPARSE * len(every):  # nearly always: one minute, few vantages
        present = np.zeros(span, np.bool_)
        present[every] = True
        distinct = np.flatnonzero(present)
        inverse = (np.cumsum(present) - 1)[every]
    else:
        distinct, inverse = np.unique(every, return_inverse=True)
    return np.split(inverse, np.cumsum([len(key) for key in keys])[:-1]), distinct
