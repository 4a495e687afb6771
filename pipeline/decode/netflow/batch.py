"""
What the steps of decoding share: the bytes of a batch, and what was found in them.

Before: sets.py. After: control.py, waiting.py, __init__.py.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.netflow.domains import Known
from pipeline.decode.netflow.flows import NO_TIME
from pipeline.decode.netflow.ledger import Ledger
from pipeline.decode.netflow.sets import IPFIX, V5, V9, Messages, Sets, be16, be32, refuse
from pipeline.rejects import Reason

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_LAST_NS: Final = 999_999_999


class Headers(NamedTuple):
    """What message headers say, m long; ``boot_ns`` is `NO_TIME` where they do not."""

    sequence: I64
    domain: I64
    export_ns: I64
    boot_ns: I64


@dataclass(slots=True)
class Batch:
    """
    m messages and their sets.

    Attributes
    ----------
    received_ns
        int64[m], when each message was received.
    vantage
        int32[m], index into the ledger's vantages.
    known
        What is remembered of each vantage.
    of_set
        int32, vantage of each set.
    units, option_units
        int64[m], what each message counts in its exporter's numbering; of
        these, records of options.
    unknown
        bool[m], whether a message's units cannot be told.
    """

    buffer: U8
    ledger: Ledger
    received_ns: I64
    messages: Messages
    headers: Headers
    vantage: I32
    known: list[Known]
    sets: Sets
    of_set: I32
    units: I64
    option_units: I64
    unknown: Mask

    def refuse_set(self, row: int, reason: Reason, detail: str) -> None:
        """Reject one set."""
        begin = int(self.sets.position[row])
        span = (begin, begin + int(self.sets.length[row]))
        payload = int(self.messages.payload[self.sets.message[row]])
        vantage = int(self.of_set[row])
        self.ledger.reject(refuse(self.buffer, span, payload, reason, detail, vantage=vantage))

    def take_records(self, counter: str, rows: I64, count: I64, cut: I64) -> None:
        """Account for sets ``rows``: ``count`` records of each, and those ``cut`` inside one."""
        message = self.sets.message[rows]
        self.ledger.add(counter, message, count)
        np.add.at(self.units, message, np.where(self.messages.version[message] == IPFIX, count, 0))
        whole = count > 0
        if not len(cut):
            whole[:] = True
        else:
            refused = np.zeros(len(rows), np.bool_)
            refused[cut] = True
            whole |= ~refused
            self.unknown[message[refused]] = True
            for row, records in zip(rows[refused].tolist(), count[refused].tolist(), strict=True):
                detail = f"set {self.sets.number[row]} ends inside a record, after {records}"
                self.refuse_set(row, Reason.RECORD_TRUNCATED, detail)
        self.ledger.used[self.messages.payload[message[whole]]] = True


def read_headers(buffer: U8, messages: Messages) -> Headers:
    """Headers of messages: numbering, domain and clocks of three versions in one form."""
    at, version = messages.begin, messages.version
    if not len(at):
        return Headers(*(np.array([], np.int64) for _ in range(4)))
    v5, v9 = version == V5, version == V9
    word = [be32(buffer, at + 4 * number) for number in range(4)]
    if not (v5.any() or v9.any()):
        return Headers(word[2], word[3], word[1] * 10**9, np.full(len(at), NO_TIME))
    last = be32(buffer, np.minimum(at + 16, messages.end - 4))
    export_s = np.where(version == IPFIX, word[1], word[2])
    export_ns = export_s * 10**9 + np.where(v5, np.minimum(word[3], _LAST_NS), 0)
    boot_ns = np.where(version == IPFIX, NO_TIME, export_ns - word[1] * 10**6)
    engine = be16(buffer, np.minimum(at + 20, messages.end - 2))
    sequence = np.select([v5, v9], [last, word[3]], word[2])
    domain = np.select([v5, v9], [engine, last], word[3])
    return Headers(sequence, domain, export_ns, boot_ns)
