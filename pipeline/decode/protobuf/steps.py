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

from dataclasses import dataclass, field
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
    Rows,
    Spans,
    Step,
    Values,
)
from pipeline.decode.protobuf.one import BYTES, END_GROUP, FIXED32, FIXED64, GROUP

_VARINT_BYTES: Final = 10
_TAG_BYTES: Final = 4
"""Bytes of a tag that are looked at: fields up to 33,554,431."""
_SIZE_BYTES: Final = 8
"""Bytes of a size that are looked at: one of more is that of no message we could hold."""
_NOWHERE: Final = 1 << 62
_FIXED: Final = {FIXED64: 8, FIXED32: 4}

_SPARSE: Final = 4
_NONE: Final = np.zeros(0, np.int64)

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
    odd
        bool[n], those to be read one by one.
    seen, value, begin, end
        Field to what `Values` and `Spans` hold; only those that any message has.
    runs
        Repeated field to occurrences: messages, begin, end.
    """

    count: int
    fault: I8
    odd: Mask
    runs: dict[str, list[tuple[I64, I64, I64]]]
    seen: dict[str, Mask] = field(default_factory=dict)
    value: dict[str, U64] = field(default_factory=dict)
    begin: dict[str, I64] = field(default_factory=dict)
    end: dict[str, I64] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: Layout, count: int) -> "Found":
        """Nothing yet."""
        return cls(
            count,
            fault=np.zeros(count, np.int8),
            odd=np.zeros(count, np.bool_),
            runs={name: [] for name, one in layout.fields.items() if one.repeated},
        )

    def keep_number(self, name: str, rows: Rows, value: U64) -> None:
        """A number found in some messages; the array is ours from here on."""
        if name not in self.seen:
            if len(value) == self.count:
                self.seen[name], self.value[name] = np.ones(self.count, np.bool_), value
                return
            self.seen[name] = np.zeros(self.count, np.bool_)
            self.value[name] = np.zeros(self.count, np.uint64)
        self.seen[name][rows], self.value[name][rows] = True, value

    def keep_span(self, name: str, rows: Rows, begin: I64, end: I64) -> None:
        """Begin and end of a span found in some messages; the arrays are ours from here on."""
        if name not in self.seen:
            if len(end) == self.count:
                self.seen[name] = np.ones(self.count, np.bool_)
                self.begin[name], self.end[name] = begin, end
                return
            self.seen[name] = np.zeros(self.count, np.bool_)
            self.begin[name], self.end[name] = np.zeros((2, self.count), np.int64)
        self.seen[name][rows], self.begin[name][rows], self.end[name][rows] = True, begin, end

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
        """Columns of what was found; fields that no message has share one, not to be written to."""
        found = Fields(self.fault)
        nobody, zero = np.zeros(self.count, np.bool_), np.zeros(self.count, np.int64)
        nobody.flags.writeable = zero.flags.writeable = False
        for name, one in layout.fields.items():
            seen = self.seen.get(name, nobody)
            if one.repeated:
                found.many[name] = _in_order(self.runs[name])
            elif one.wire == BYTES:
                begin, end = self.begin.get(name, zero), self.end.get(name, zero)
                found.spans[name] = Spans(seen, begin, end)
            else:
                found.values[name] = Values(seen, self.value.get(name, zero.view(np.uint64)))
        return found


class Reading:
    """Messages of one block, number ``first`` and on, while they are read: how far each is."""

    def __init__(
        self, buffer: U8, begin: I64, end: I64, layout: Layout, found: Found, *, first: int
    ) -> None:
        self.buffer, self.end, self.layout, self.found = buffer, end, layout, found
        self._first, self._block = first, slice(first, first + len(end))
        self._at = begin.copy()
        done = begin >= end
        self._left = len(done) - np.count_nonzero(done)
        self._tag = self._tags(self._at, done)
        self._read_before: set[str] = set()

    def go(self) -> None:
        """Take every message to its end, or find it odd."""
        for _ in range(_ROUNDS):
            for step in self.layout.steps:
                if not self._left:
                    break
                self._take(step)
            if self._left < _FEW:
                break
            self._pass_unknown(np.flatnonzero(self._at < self.end))
        odd = self.found.odd[self._block]
        if self._left:
            odd |= self._at < self.end
        for names in self.layout.oneofs.values():
            seen = [self.found.seen[name][self._block] for name in names if name in self.found.seen]
            if len(seen) > 1:
                odd |= np.sum(seen, axis=0) > 1

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
        at = self._at if rows is None else self._at[rows]
        end = self.end if rows is None else self.end[rows]
        of = self._block if rows is None else rows + self._first
        at += step.tag_bytes
        if step.wire in _FIXED:
            value = self._fixed(at, step.wire)
            at += _FIXED[step.wire]
        else:
            value = self._varints(at, _SIZE_BYTES if step.wire == BYTES else _VARINT_BYTES)
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
            self.found.odd[self._block][wrong if rows is None else rows[wrong]] = True
            at[wrong] = end[wrong]
            done |= wrong
        if step.name:
            self._read_before.add(step.name)
            self._keep(step, of, begin, at, value)
        self._left -= np.count_nonzero(done)
        tag = self._tags(at, done)
        if rows is None:
            self._tag = tag
        else:
            self._at[rows], self._tag[rows] = at, tag

    def _keep(self, step: Step, of: Rows, begin: I64, end: I64, value: I64) -> None:
        if step.name in self.found.runs:
            owner = np.arange(of.start, of.stop) if isinstance(of, slice) else of
            self.found.runs[step.name].append((owner, begin, end.copy()))
        elif step.wire == BYTES:
            self.found.keep_span(step.name, of, begin, end.copy())
        else:
            self.found.keep_number(step.name, of, value.view(np.uint64))

    def _pass_unknown(self, rows: I64) -> None:
        """Pass over the next field of messages that stand at one the layout does not have."""
        tags, count = np.unique(self._tag[rows], return_counts=True)
        for tag in tags[np.argsort(-count)][:_UNKNOWN].tolist():
            if tag in self.layout.tags:
                continue
            step = _unknown(tag)
            if step is None:
                stuck = rows[self._tag[rows] == tag]
                self._left -= len(stuck)
                self.found.odd[stuck + self._first] = True
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
            second = self.buffer[1:].take(at)
            tag |= second.astype(np.uint32) << np.uint32(8)
            long, place = second >= MORE, 2
            count = np.count_nonzero(long)
        else:
            place = 1
        rows = np.flatnonzero(long) if count else _NONE
        while len(rows) and place < _TAG_BYTES:
            byte = self.buffer.take(at[rows] + place)
            tag[rows] |= byte.astype(np.uint32) << np.uint32(8 * place)
            rows, place = rows[byte >= MORE], place + 1
        return tag

    def _varints(self, at: I64, most: int = _VARINT_BYTES) -> I64:
        """
        Varints that begin ``at``, which is moved behind them.

        Behind one of more than ``most`` bytes is nowhere: past any message.
        """
        byte = self.buffer.take(at)
        value = byte.astype(np.int64)
        at += 1
        more, place = byte >= MORE, 1
        count = np.count_nonzero(more)
        while count * _SPARSE > len(at) and place < most:
            byte = self.buffer.take(at)
            byte *= more
            part = byte.astype(np.int64)
            part -= more  # the bit of the byte before that said so
            part <<= 7 * place
            value += part
            at += more
            more, place = byte >= MORE, place + 1
            count = np.count_nonzero(more)
        rows = np.flatnonzero(more) if count else _NONE
        while len(rows) and place < most:
            byte = self.buffer.take(at[rows])
            value[rows] += (byte.astype(np.int64) - 1) << 7 * place
            at[rows] += 1
            rows, place = rows[byte >= MORE], place + 1
        at[rows] = _NOWHERE
        return value

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
    if len(runs) == 1:
        return Occurrences(*runs[0])
    owner, begin, end = (np.concatenate(part) for part in zip(*runs, strict=True))
    order = np.argsort(owner, kind="stable")
    return Occurrences(owner[order], begin[order], end[order])
