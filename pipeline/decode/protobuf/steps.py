"""
Messages of one type taken through a layout, a field at a time in all of them.

    for each field of the layout:
        messages that stand at it: keep what is there, move behind it

What stands still at the end has fields out of order, or such as the layout
does not have: those are passed over, and the layout gone through again. A
message that is not done then, or has a field twice, is odd.

Before: layout.py. After: __init__.py.
Source: protobuf.dev, Encoding.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.decode.protobuf.layout import (
    I8,
    I64,
    MORE,
    U8,
    U32,
    U64,
    Fields,
    Layout,
    Mask,
    Occurrences,
    Spans,
    Step,
    Values,
)
from pipeline.decode.protobuf.one import BYTES, END_GROUP, FIXED32, FIXED64, GROUP

_VARINT_BYTES: Final = 10
_TAG_BYTES: Final = 4
"""Bytes of a tag that are looked at: fields up to 33,554,431."""
_WORD_BYTES: Final = 8
_FIXED: Final = {FIXED64: 8, FIXED32: 4}

_SPARSE: Final = 4
_NONE: Final = np.zeros(0, np.int64)

_HIGH_BITS: Final = np.uint64(0x8080_8080_8080_8080)
_SEVENS: Final = tuple(
    (np.uint64(keep), np.uint64(move), np.uint64(by))
    for keep, move, by in (
        (0x007F_007F_007F_007F, 0x7F00_7F00_7F00_7F00, 1),
        (0x0000_3FFF_0000_3FFF, 0x3FFF_0000_3FFF_0000, 2),
        (0x0000_0000_0FFF_FFFF, 0x0FFF_FFFF_0000_0000, 4),
    )
)
"""Bits to keep, bits to move, and how far: eight groups of seven bits to one number."""

_FEW: Final = 16
"""So few messages are read one by one sooner than together."""
_ROUNDS: Final = 8
"""Times the layout is gone through for fields out of order or unknown."""
_UNKNOWN: Final = 8
"""Distinct unknown fields passed over together in a round."""
_RUN: Final = 64
"""Occurrences of a repeated field after which few messages are left to be read one by one."""


@dataclass(slots=True)
class Found:
    """
    What was found in n messages.

    Attributes
    ----------
    start
        Number of the first message, where these are a block of more.
    odd
        bool[n], those to be read one by one.
    seen, value, begin, end
        Field to what `Values` and `Spans` hold.
    runs
        Repeated field to occurrences: messages (of all), begin, end.
    """

    start: int
    fault: I8
    odd: Mask
    seen: dict[str, Mask]
    value: dict[str, U64]
    begin: dict[str, I64]
    end: dict[str, I64]
    runs: dict[str, list[tuple[I64, I64, I64]]]

    @classmethod
    def of(cls, layout: Layout, count: int) -> "Found":
        """Nothing yet."""
        single = {name: one for name, one in layout.fields.items() if not one.repeated}
        spans = [name for name, one in single.items() if one.wire == BYTES]
        return cls(
            start=0,
            fault=np.zeros(count, np.int8),
            odd=np.zeros(count, np.bool_),
            seen={name: np.zeros(count, np.bool_) for name in single},
            value={name: np.zeros(count, np.uint64) for name in single if name not in spans},
            begin={name: np.zeros(count, np.int64) for name in spans},
            end={name: np.zeros(count, np.int64) for name in spans},
            runs={name: [] for name in layout.fields if name not in single},
        )

    def block(self, rows: slice) -> "Found":
        """Some of them; what is written there is written here."""
        return Found(
            start=rows.start,
            fault=self.fault[rows],
            odd=self.odd[rows],
            seen={name: column[rows] for name, column in self.seen.items()},
            value={name: column[rows] for name, column in self.value.items()},
            begin={name: column[rows] for name, column in self.begin.items()},
            end={name: column[rows] for name, column in self.end.items()},
            runs=self.runs,
        )

    def forget(self, rows: Mask) -> None:
        """Leave nothing of some messages."""
        for columns in (self.seen, self.value, self.begin, self.end):
            for column in columns.values():
                column[rows] = 0
        for name, runs in self.runs.items():
            self.runs[name] = [
                (owner[kept], begin[kept], end[kept])
                for owner, begin, end in runs
                for kept in [~rows[owner]]
            ]

    def fields(self, layout: Layout) -> Fields:
        """Columns of what was found."""
        found = Fields(self.fault)
        for name in layout.fields:
            if name in self.runs:
                found.many[name] = _in_order(self.runs[name])
            elif name in self.begin:
                found.spans[name] = Spans(self.seen[name], self.begin[name], self.end[name])
            else:
                found.values[name] = Values(self.seen[name], self.value[name])
        return found


class Reading:
    """Messages of one block while they are read: how far each is."""

    def __init__(self, buffer: U8, begin: I64, end: I64, layout: Layout, found: Found) -> None:
        self.buffer, self.end, self.layout, self.found = buffer, end, layout, found
        self._at = begin.copy()
        self._tag = self._tags(self._at, begin >= end)
        self._read_before: set[str] = set()

    def go(self) -> None:
        """Take every message to its end, or find it odd."""
        for _ in range(_ROUNDS):
            for step in self.layout.steps:
                self._take(step)
            left = np.flatnonzero(self._at < self.end)
            if len(left) < _FEW:
                break
            self._pass_unknown(left)
        found = self.found
        found.odd |= self._at < self.end
        for names in self.layout.oneofs.values():
            found.odd |= np.sum([found.seen[name] for name in names], axis=0) > 1

    def _take(self, step: Step) -> None:
        """Read one field in all messages that stand at it; of a repeated field, all in a row."""
        here = self._tag == step.tag
        count = np.count_nonzero(here)
        if count == 0:
            return
        repeated = step.name in self.found.runs
        rows = None if count == len(here) and not repeated else np.flatnonzero(here)
        self._read(step, rows)
        taken = 1
        while repeated and rows is not None:
            rows = rows[self._tag[rows] == step.tag]
            if not len(rows) or (taken >= _RUN and len(rows) < _FEW):
                break
            self._read(step, rows)
            taken += 1

    def _read(self, step: Step, rows: I64 | None) -> None:
        """One field of messages ``rows`` (None: of all), which stand at it."""
        of = slice(None) if rows is None else rows
        at = self._at if rows is None else self._at[rows]
        end = self.end[of]
        at += step.tag_bytes
        if step.wire in _FIXED:
            value = self._fixed(at, step.wire)
            at += _FIXED[step.wire]
        else:
            value = self._varints(at)
        begin = at
        if step.wire == BYTES:
            begin = at.copy()
            at += value
        done = at >= end
        wrong = at > end if np.count_nonzero(done) else None
        seen = self.found.seen.get(step.name)
        if step.name in self._read_before and seen is not None:
            wrong = seen[of] if wrong is None else wrong | seen[of]
        if wrong is not None and np.count_nonzero(wrong):
            self.found.odd[wrong if rows is None else rows[wrong]] = True
            at[wrong] = end[wrong]
            done |= wrong
        if step.name:
            self._read_before.add(step.name)
            self._keep(step, rows, begin, at, value)
        tag = self._tags(at, done)
        if rows is None:
            self._tag = tag
        else:
            self._at[rows], self._tag[rows] = at, tag

    def _keep(self, step: Step, rows: I64 | None, begin: I64, end: I64, value: I64) -> None:
        found, name = self.found, step.name
        if name in found.runs:
            owner = (np.arange(len(end)) if rows is None else rows) + found.start
            found.runs[name].append((owner, begin, end.copy()))
            return
        of = slice(None) if rows is None else rows
        found.seen[name][of] = True
        if step.wire == BYTES:
            found.begin[name][of], found.end[name][of] = begin, end
        else:
            found.value[name].view(np.int64)[of] = value

    def _pass_unknown(self, rows: I64) -> None:
        """Pass over the next field of messages that stand at one the layout does not have."""
        tags, count = np.unique(self._tag[rows], return_counts=True)
        for tag in tags[np.argsort(-count)][:_UNKNOWN].tolist():
            if tag in self.layout.tags:
                continue
            step = _unknown(tag)
            if step is None:
                stuck = rows[self._tag[rows] == tag]
                self.found.odd[stuck] = True
                self._at[stuck] = self.end[stuck]
                self._tag[stuck] = 0
            else:
                self._take(step)

    def _tags(self, at: I64, done: Mask) -> U32:
        """The next tag of each message, as its bytes stand, little-endian; 0 at the end."""
        first = self.buffer.take(at)
        if np.count_nonzero(done):
            first *= ~done
        tag = first.astype(np.uint32)
        long = first >= MORE
        count = np.count_nonzero(long)
        if count == len(at):  # two bytes, of fields from 16 on
            second = self.buffer.take(at + 1)
            tag |= second.astype(np.uint32) << np.uint32(8)
            rows, place = np.flatnonzero(second >= MORE), 2
        else:
            rows, place = np.flatnonzero(long) if count else _NONE, 1
        while len(rows) and place < _TAG_BYTES:
            byte = self.buffer.take(at[rows] + place)
            tag[rows] |= byte.astype(np.uint32) << np.uint32(8 * place)
            rows, place = rows[byte >= MORE], place + 1
        return tag

    def _varints(self, at: I64) -> I64:
        """
        Varints that begin ``at``, which is moved behind them.

        Behind one of more than ten bytes is nowhere: past any message.
        """
        first = self.buffer.take(at)
        long = np.count_nonzero(first >= MORE)
        value = first.astype(np.int64)
        if not long:
            at += 1
            return value
        if long * _SPARSE < len(at):
            rows, place = np.flatnonzero(first >= MORE), 1
            value[rows] &= 0x7F
            at += 1
        else:
            value, rows, place = self._long_varints(at)
        while len(rows) and place < _VARINT_BYTES:
            byte = self.buffer.take(at[rows])
            value[rows] |= (byte & np.uint8(0x7F)).astype(np.int64) << 7 * place
            at[rows] += 1
            rows, place = rows[byte >= MORE], place + 1
        at[rows] = np.iinfo(np.int64).max >> 1
        return value

    def _long_varints(self, at: I64) -> tuple[I64, I64, int]:
        """Varints by their first eight bytes; which are longer; and how far that was."""
        word = self._words("<u8")[at]
        stop = ~word & _HIGH_BITS
        low = stop & (~stop + np.uint64(1))
        mask = low ^ (low - np.uint64(1))  # up to the byte that ends it
        at += np.bitwise_count(mask) >> np.uint8(3)
        word &= mask
        for keep, move, by in _SEVENS:
            word = word & keep | (word & move) >> by
        return word.view(np.int64), np.flatnonzero(stop == 0), _WORD_BYTES

    def _fixed(self, at: I64, wire: int) -> I64:
        words = self._words("<u8" if wire == FIXED64 else "<u4")
        return words[at].astype(np.uint64).view(np.int64)

    def _words(self, dtype: str) -> npt.NDArray[np.uint64]:
        """What begins at each byte of the buffer, as a number."""
        return np.ndarray(len(self.buffer) - 7, dtype, self.buffer.data, strides=(1,))


def _unknown(tag: int) -> Step | None:
    """What stands behind a tag the layout does not have; None if it is not to be passed over."""
    key = size = 0
    for byte in tag.to_bytes(4, "little"):
        key |= (byte & 0x7F) << 7 * size
        size += 1
        if byte < MORE:
            break
    else:
        return None
    wire = key & 7
    if key < 1 << 7 * (size - 1) or key >> 3 == 0:  # longer than need be: may be one we have
        return None
    if wire in (GROUP, END_GROUP) or wire > FIXED32:
        return None
    return Step(tag, size, wire, "")


def _in_order(runs: list[tuple[I64, I64, I64]]) -> Occurrences:
    if not runs:
        return Occurrences(*(np.zeros(0, np.int64) for _ in range(3)))
    owner, begin, end = (np.concatenate(part) for part in zip(*runs, strict=True))
    order = np.argsort(owner, kind="stable")
    return Occurrences(owner[order], begin[order], end[order])
