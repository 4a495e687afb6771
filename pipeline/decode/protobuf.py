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

_PADDING: Final = 32
"""Bytes behind the last message: reads of a few bytes too many need no test."""

_MORE: Final = 0x80
_VARINT_BYTES: Final = 10
_LENGTH_BYTES: Final = 5
_FIXED: Final = {FIXED64: 8, FIXED32: 4}

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


class Spans(NamedTuple):
    """A length-delimited field: where it is there, and its bytes (an empty span where not)."""

    present: Mask
    begin: I64
    end: I64


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
        held = np.frombuffer(data, np.uint8)[edges[0] : edges[-1]] if data else b""
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
        reading = _Reading(self.buffer, begin, end, layout)
        reading.go()
        merged: list[bytes] = []
        for row in np.flatnonzero(reading.odd).tolist():
            self._read_one(reading, row, merged)
        if merged:
            joined = np.frombuffer(b"".join(merged) + bytes(_PADDING), np.uint8)
            self.buffer = np.concatenate([self.buffer[:-_PADDING], joined])
        return reading.fields()

    def take(self, begin: int, end: int) -> bytes:
        """Bytes of one span."""
        return self.buffer[begin:end].tobytes()

    def _read_one(self, reading: "_Reading", row: int, merged: list[bytes]) -> None:
        """Read an odd message; what it has in pieces goes to ``merged``, and behind the buffer."""
        first = int(reading.begin[row])
        try:
            found = read_one(self.take(first, int(reading.end[row])), reading.layout.by_key)
        except NotProtobufError as error:
            reading.fault[row] = error.fault
            return
        for name, value in found.items():
            if isinstance(value, int):
                reading.seen[name][row] = True
                reading.value[name][row] = value
                continue
            spans = [(first + begin, first + end) for begin, end in value]
            if reading.layout.fields[name].repeated:
                begins, ends = np.array(spans, np.int64).T
                reading.runs[name].append((np.full(len(spans), row, np.int64), begins, ends))
                continue
            if len(spans) > 1:
                at = len(self.buffer) - _PADDING + sum(map(len, merged))
                merged.append(b"".join(self.take(*span) for span in spans))
                spans = [(at, at + len(merged[-1]))]
            reading.seen[name][row] = True
            reading.first[name][row], reading.after[name][row] = spans[0]


class _Reading:
    """n messages while they are read: how far each is, and what was found."""

    def __init__(self, buffer: U8, begin: I64, end: I64, layout: Layout) -> None:
        self.buffer, self.begin, self.end, self.layout = buffer, begin, end, layout
        n = len(begin)
        self.fault = np.zeros(n, np.int8)
        self.odd = np.zeros(n, np.bool_)
        self.seen = {name: np.zeros(n, np.bool_) for name in layout.fields}
        self.value: dict[str, U64] = {}
        self.first: dict[str, I64] = {}
        self.after: dict[str, I64] = {}
        self.runs: dict[str, list[tuple[I64, I64, I64]]] = {}
        for name, one in layout.fields.items():
            if one.repeated:
                self.runs[name] = []
            elif one.wire == BYTES:
                self.first[name], self.after[name] = np.zeros(n, np.int64), np.zeros(n, np.int64)
            else:
                self.value[name] = np.zeros(n, np.uint64)
        self._at = begin.copy()
        self._tag = self._tags(self._at, end)

    def go(self) -> None:
        """Take every message to its end, or find it odd."""
        for _ in range(_ROUNDS):
            for step in self.layout.steps:
                self._take(step)
            left = np.flatnonzero(self._at < self.end)
            if len(left) < _FEW:
                break
            self._pass_unknown(left)
        self.odd |= self._at < self.end
        for names in self.layout.oneofs.values():
            self.odd |= np.sum([self.seen[name] for name in names], axis=0) > 1
        if self.odd.any():
            self._forget(self.odd)

    def fields(self) -> Fields:
        """Columns of what was found."""
        found = Fields(self.fault)
        for name, one in self.layout.fields.items():
            if one.repeated:
                found.many[name] = _in_order(self.runs[name])
            elif one.wire == BYTES:
                found.spans[name] = Spans(self.seen[name], self.first[name], self.after[name])
            else:
                found.values[name] = Values(self.seen[name], self.value[name])
        return found

    def _take(self, step: _Step) -> None:
        """Read one field in all messages that stand at it; of a repeated field, all in a row."""
        here = self._tag == step.tag
        count = np.count_nonzero(here)
        if count == 0:
            return
        repeated = step.name in self.runs
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
        at = (self._at if rows is None else self._at[rows]) + step.tag_bytes
        end = self.end if rows is None else self.end[rows]
        value: U64 | None = None
        if step.wire == BYTES:
            size, begin = self._varints(at, _LENGTH_BYTES)
            after = begin + size.view(np.int64)
        elif step.wire == VARINT:
            value, after = self._varints(at, _VARINT_BYTES)
        else:
            after = at + _FIXED[step.wire]
        wrong = after > end
        if step.name and step.name not in self.runs:
            seen = self.seen[step.name]
            wrong |= seen if rows is None else seen[rows]
        if wrong.any():
            self.odd[wrong if rows is None else rows[wrong]] = True
            after = np.where(wrong, end, after)
        if step.name and step.wire == BYTES:
            self._keep_span(step.name, rows, begin, after)
        elif step.name:
            self._keep_value(
                step.name, rows, self._fixed(at, step.wire) if value is None else value
            )
        if rows is None:
            self._at, self._tag = after, self._tags(after, end)
        else:
            self._at[rows] = after
            self._tag[rows] = self._tags(after, end)

    def _keep_span(self, name: str, rows: I64 | None, begin: I64, end: I64) -> None:
        if name in self.runs:
            assert rows is not None  # noqa: S101 - a repeated field is never taken as a whole
            self.runs[name].append((rows, begin, end))
        elif rows is None:
            self.seen[name][:] = True
            self.first[name], self.after[name] = begin, end.copy()  # `end` moves on
        else:
            self.seen[name][rows] = True
            self.first[name][rows], self.after[name][rows] = begin, end

    def _keep_value(self, name: str, rows: I64 | None, value: U64) -> None:
        if rows is None:
            self.seen[name][:] = True
            self.value[name] = value
        else:
            self.seen[name][rows] = True
            self.value[name][rows] = value

    def _pass_unknown(self, rows: I64) -> None:
        """Pass over the next field of messages that stand at one the layout does not have."""
        tags, count = np.unique(self._tag[rows], return_counts=True)
        for tag in tags[np.argsort(-count)][:_UNKNOWN].tolist():
            if tag in self.layout.tags:
                continue
            step = _unknown(tag)
            if step is None:
                stuck = rows[self._tag[rows] == tag]
                self.odd[stuck] = True
                self._at[stuck] = self.end[stuck]
                self._tag[stuck] = 0
            else:
                self._take(step)

    def _forget(self, rows: Mask) -> None:
        for seen in self.seen.values():
            seen[rows] = False
        for value in self.value.values():
            value[rows] = 0
        for name, first in self.first.items():
            first[rows] = self.after[name][rows] = 0
        for name, runs in self.runs.items():
            self.runs[name] = [
                (owner[kept], begin[kept], end[kept])
                for owner, begin, end in runs
                for kept in [~rows[owner]]
            ]

    def _tags(self, at: I64, end: I64) -> U32:
        """The next tag of each message, as its bytes stand, little-endian; 0 at the end."""
        first = self.buffer.take(at)
        first *= at < end
        tag = first.astype(np.uint32)
        long = first >= _MORE
        if not long.any():
            return tag
        rows = np.flatnonzero(long)
        for place in (1, 2, 3):
            byte = self.buffer.take(at[rows] + place)
            tag[rows] |= byte.astype(np.uint32) << np.uint32(8 * place)
            rows = rows[byte >= _MORE]
            if not len(rows):
                break
        return tag

    def _varints(self, at: I64, most: int) -> tuple[U64, I64]:
        """Varints that begin ``at``, and where each ends: past any message if it is too long."""
        first = self.buffer.take(at)
        long = first >= _MORE
        if not long.any():
            return first.astype(np.uint64), at + 1
        value = (first & np.uint8(0x7F)).astype(np.uint64)
        after = at + 1
        rows = np.flatnonzero(long)
        for place in range(1, most):
            byte = self.buffer.take(at[rows] + place)
            value[rows] |= (byte & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
            after[rows] += 1
            rows = rows[byte >= _MORE]
            if not len(rows):
                return value, after
        value[rows] = 0
        after[rows] = np.iinfo(np.int64).max >> 1
        return value, after

    def _fixed(self, at: I64, wire: int) -> U64:
        dtype = "<u8" if wire == FIXED64 else "<u4"
        words = np.ndarray(len(self.buffer) - 7, dtype, self.buffer.data, strides=(1,))
        fixed: U64 = words[at].astype(np.uint64)
        return fixed


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
