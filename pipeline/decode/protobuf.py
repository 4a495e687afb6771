"""
Protobuf messages to columns: n messages of one type at once.

    layout: fields wanted ─┐
    buffer, n spans ───────┴─▶ for each field: present, value or span, n long

A writer puts fields in the order of their numbers, each once. So the reader
goes through the layout once, field by field, and at each field takes a step in
all messages that stand at it: a few NumPy calls a field, whatever n is. Fields
the layout does not have are passed over in the same way. A message of another
shape is left to `protobuf_one`, one at a time, so a strange one costs its own
bytes and not a step of all.

Submessages are spans, to be read by calling again. What is not read is not
checked: a field nobody asked for may hold anything.

Before: decode/__init__.py. After: als.py, otlp.py.
Source: protobuf.dev, Encoding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.decode.protobuf_one import (
    BYTES,
    END_GROUP,
    FIXED32,
    FIXED64,
    GROUP,
    MAX_FIELDS,
    VARINT,
    Fault,
    Field,
    NotProtobufError,
    read_one,
)

__all__ = [
    "BYTES",
    "FIXED32",
    "FIXED64",
    "MAX_FIELDS",
    "VARINT",
    "Fault",
    "Field",
    "Fields",
    "Layout",
    "Occurrences",
    "Spans",
    "Values",
    "Wire",
]

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Rows = I64 | slice

_PADDING: Final = 32
"""Bytes behind the last message: reads of a few bytes too many need no test."""

_MORE: Final = 0x80
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

_BLOCK: Final = 8_192
"""Messages taken through a layout together: what they and their bytes take stays in a cache."""
_FEW: Final = 16
"""So few messages are read one by one sooner than together."""
_ROUNDS: Final = 8
"""Times the layout is gone through for fields out of order or unknown."""
_UNKNOWN: Final = 8
"""Distinct unknown fields passed over together in a round."""
_RUN: Final = 64
"""Occurrences of a repeated field after which few messages are left to be read one by one."""


class Values(NamedTuple):
    """A field of numbers: where it is there, and what it is (uint64; 0 where it is not)."""

    present: Mask
    value: U64

    def of(self, rows: Rows) -> "Values":
        """The field in some messages."""
        return Values(self.present[rows], self.value[rows])


class Spans(NamedTuple):
    """A length-delimited field: where it is there, and its bytes (an empty span where not)."""

    present: Mask
    begin: I64
    end: I64

    def of(self, rows: Rows) -> "Spans":
        """The field in some messages."""
        return Spans(self.present[rows], self.begin[rows], self.end[rows])


class Occurrences(NamedTuple):
    """A repeated length-delimited field: message and bytes of each occurrence, in order."""

    owner: I64
    begin: I64
    end: I64


class Layout:
    """
    Fields of a message type.

    Parameters
    ----------
    fields
        Name to field, those wanted.
    passed
        Number to wire type of those that are usually there and nobody wants:
        they cost less when they are known.
    """

    def __init__(
        self, fields: Mapping[str, Field], passed: Mapping[int, int] | None = None
    ) -> None:
        self.fields = dict(fields)
        self.by_key = {(one.number, one.wire): (name, one) for name, one in fields.items()}
        names = dict.fromkeys((passed or {}).items(), "")
        names |= {key: name for key, (name, _) in self.by_key.items()}
        self.steps = [_Step.of(*key, names[key]) for key in sorted(names)]
        self.tags = {step.tag for step in self.steps}
        self.oneofs: dict[str, list[str]] = {}
        for name, one in fields.items():
            if one.oneof:
                self.oneofs.setdefault(one.oneof, []).append(name)


class _Step(NamedTuple):
    """A field as it stands in a message: the bytes of its tag as a number, little-endian."""

    tag: int
    tag_bytes: int
    wire: int
    name: str

    @classmethod
    def of(cls, number: int, wire: int, name: str) -> "_Step":
        key, tag, size = number << 3 | wire, 0, 0
        while key >= _MORE:
            tag |= (key & 0x7F | _MORE) << 8 * size
            key, size = key >> 7, size + 1
        return cls(tag | key << 8 * size, size + 1, wire, name)


@dataclass(slots=True)
class Fields:
    """
    What n messages hold.

    Attributes
    ----------
    fault
        int8[n], a `Fault`; of a message with one nothing is present.
    values, spans, many
        Name to column, by wire type, and repeated fields apart.
    """

    fault: I8
    values: dict[str, Values] = field(default_factory=dict)
    spans: dict[str, Spans] = field(default_factory=dict)
    many: dict[str, Occurrences] = field(default_factory=dict)


class Wire:
    """
    The bytes of some messages, and what is read of them.

    Parameters
    ----------
    payload
        binary[n], no nulls.

    Attributes
    ----------
    buffer
        uint8, the bytes of all, and `_PADDING` zeros.
    begin, end
        int64[n], where in it each payload is.
    """

    def __init__(self, payload: pa.BinaryArray) -> None:
        _, offsets, data = payload.buffers()
        edges = np.frombuffer(offsets, np.int32)[payload.offset :][: len(payload) + 1]
        edges = edges.astype(np.int64) if len(payload) else np.zeros(1, np.int64)
        held = (
            np.frombuffer(data, np.uint8)[edges[0] : edges[-1]] if data else np.zeros(0, np.uint8)
        )
        self.buffer = np.zeros(int(edges[-1] - edges[0]) + _PADDING, np.uint8)
        self.buffer[:-_PADDING] = held
        self.begin, self.end = edges[:-1] - edges[0], edges[1:] - edges[0]

    def read(self, begin: I64, end: I64, layout: Layout) -> Fields:
        """
        Read n messages of one type.

        Parameters
        ----------
        begin, end
            int64[n], spans of the buffer.
        """
        found = _Found.of(layout, len(begin))
        for first in range(0, len(begin), _BLOCK):
            block = slice(first, first + _BLOCK)
            _Reading(self.buffer, begin[block], end[block], layout, found.block(block)).go()
        if found.odd.any():
            found.forget(found.odd)
        merged: list[bytes] = []
        for row in np.flatnonzero(found.odd).tolist():
            self._read_one(layout, found, row, (int(begin[row]), int(end[row])), merged)
        if merged:
            joined = np.frombuffer(b"".join(merged) + bytes(_PADDING), np.uint8)
            self.buffer = np.concatenate([self.buffer[:-_PADDING], joined])
        return found.fields(layout)

    def take(self, begin: int, end: int) -> bytes:
        """Bytes of one span."""
        return self.buffer[begin:end].tobytes()

    def _read_one(
        self, layout: Layout, found: "_Found", row: int, span: tuple[int, int], merged: list[bytes]
    ) -> None:
        """Read an odd message; what it has in pieces goes to ``merged``, and behind the buffer."""
        try:
            fields = read_one(self.take(*span), layout.by_key)
        except NotProtobufError as error:
            found.fault[row] = error.fault
            return
        for name, value in fields.items():
            if isinstance(value, int):
                found.seen[name][row] = True
                found.value[name][row] = value
                continue
            spans = [(span[0] + begin, span[0] + end) for begin, end in value]
            if layout.fields[name].repeated:
                begins, ends = np.array(spans, np.int64).T
                found.runs[name].append((np.full(len(spans), row, np.int64), begins, ends))
                continue
            if len(spans) > 1:
                at = len(self.buffer) - _PADDING + sum(map(len, merged))
                merged.append(b"".join(self.take(*one) for one in spans))
                spans = [(at, at + len(merged[-1]))]
            found.seen[name][row] = True
            found.begin[name][row], found.end[name][row] = spans[0]


@dataclass(slots=True)
class _Found:
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
    def of(cls, layout: Layout, count: int) -> "_Found":
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

    def block(self, rows: slice) -> "_Found":
        """Some of them; what is written there is written here."""
        return _Found(
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


class _Reading:
    """Messages of one block while they are read: how far each is."""

    def __init__(self, buffer: U8, begin: I64, end: I64, layout: Layout, found: _Found) -> None:
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

    def _take(self, step: _Step) -> None:
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

    def _read(self, step: _Step, rows: I64 | None) -> None:
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

    def _keep(self, step: _Step, rows: I64 | None, begin: I64, end: I64, value: I64) -> None:
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
        long = first >= _MORE
        count = np.count_nonzero(long)
        if count == len(at):  # two bytes, of fields from 16 on
            second = self.buffer.take(at + 1)
            tag |= second.astype(np.uint32) << np.uint32(8)
            rows, place = np.flatnonzero(second >= _MORE), 2
        else:
            rows, place = np.flatnonzero(long) if count else _NONE, 1
        while len(rows) and place < _TAG_BYTES:
            byte = self.buffer.take(at[rows] + place)
            tag[rows] |= byte.astype(np.uint32) << np.uint32(8 * place)
            rows, place = rows[byte >= _MORE], place + 1
        return tag

    def _varints(self, at: I64) -> I64:
        """
        Varints that begin ``at``, which is moved behind them.

        Behind one of more than ten bytes is nowhere: past any message.
        """
        first = self.buffer.take(at)
        long = np.count_nonzero(first >= _MORE)
        value = first.astype(np.int64)
        if not long:
            at += 1
            return value
        if long * _SPARSE < len(at):
            rows, place = np.flatnonzero(first >= _MORE), 1
            value[rows] &= 0x7F
            at += 1
        else:
            value, rows, place = self._long_varints(at)
        while len(rows) and place < _VARINT_BYTES:
            byte = self.buffer.take(at[rows])
            value[rows] |= (byte & np.uint8(0x7F)).astype(np.int64) << 7 * place
            at[rows] += 1
            rows, place = rows[byte >= _MORE], place + 1
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


def _unknown(tag: int) -> _Step | None:
    """What stands behind a tag the layout does not have; None if it is not to be passed over."""
    key = size = 0
    for byte in tag.to_bytes(4, "little"):
        key |= (byte & 0x7F) << 7 * size
        size += 1
        if byte < _MORE:
            break
    else:
        return None
    wire = key & 7
    if key < 1 << 7 * (size - 1) or key >> 3 == 0:  # longer than need be: may be one we have
        return None
    if wire in (GROUP, END_GROUP) or wire > FIXED32:
        return None
    return _Step(tag, size, wire, "")


def _in_order(runs: list[tuple[I64, I64, I64]]) -> Occurrences:
    if not runs:
        return Occurrences(*(np.zeros(0, np.int64) for _ in range(3)))
    owner, begin, end = (np.concatenate(part) for part in zip(*runs, strict=True))
    order = np.argsort(owner, kind="stable")
    return Occurrences(owner[order], begin[order], end[order])
