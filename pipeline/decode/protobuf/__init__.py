"""
Protobuf messages to columns: n messages of one type at once.

    layout: fields wanted ─┐
    buffer, n spans ───────┴─▶ for each field: present, value or span, n long

A writer puts fields in the order of their numbers, each once. So the reader
goes through the layout once, field by field, and at each field takes a step in
all messages that stand at it: a few NumPy calls a field, whatever n is. Fields
the layout does not have are passed over in the same way. A message of another
shape is left to one.py, one at a time, so a strange one costs its own
bytes and not a step of all.

    layout     fields of a message type
    steps      a field of many messages at once
    one        a strange message by itself
    text       spans to texts
    rows       occurrences to rows, and what is wrong with them

Submessages are spans, to be read by calling again. What is not read is not
checked: a field nobody asked for may hold anything.

Before: decode/__init__.py. After: steps.py, als, otlp.
Source: protobuf.dev, Encoding.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.decode.protobuf.layout import (
    I8,
    I64,
    U8,
    U64,
    Fields,
    Layout,
    Mask,
    Occurrences,
    Spans,
    Values,
)
from pipeline.decode.protobuf.one import (
    BYTES,
    FIXED32,
    FIXED64,
    MAX_FIELDS,
    VARINT,
    Fault,
    Field,
    NotProtobufError,
    read_one,
)
from pipeline.decode.protobuf.steps import Found, Reading

__all__ = [
    "BYTES",
    "FIXED32",
    "FIXED64",
    "I8",
    "I64",
    "MAX_FIELDS",
    "U8",
    "U64",
    "VARINT",
    "Fault",
    "Field",
    "Fields",
    "Layout",
    "Mask",
    "Occurrences",
    "Spans",
    "Values",
    "Wire",
]

_PADDING: Final = 32
"""Bytes behind the last message: reads of a few bytes too many need no test."""
_BLOCK: Final = 8_192
"""Messages taken through a layout together: what they and their bytes take stays in a cache."""


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
        found = Found.of(layout, len(begin))
        for first in range(0, len(begin), _BLOCK):
            block = slice(first, first + _BLOCK)
            Reading(self.buffer, begin[block], end[block], layout, found, first=first).go()
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
        self, layout: Layout, found: "Found", row: int, span: tuple[int, int], merged: list[bytes]
    ) -> None:
        """Read an odd message; what it has in pieces goes to ``merged``, and behind the buffer."""
        try:
            fields = read_one(self.take(*span), layout.by_key)
        except NotProtobufError as error:
            found.fault[row] = error.fault
            return
        mine = slice(row, row + 1)
        for name, value in fields.items():
            if isinstance(value, int):
                found.keep_number(name, mine, np.array([value], np.uint64))
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
            found.keep_span(name, mine, *np.array(spans, np.int64).T)
