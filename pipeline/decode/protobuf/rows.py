"""
Rows read from protobuf: spans of submessages to columns, and which rows are no good.

A row is what becomes one row of a table, or one payload: its submessages are
read together with those of all other rows, and what is wrong in one of them is
wrong with its row.

Before: __init__.py, text.py. After: als, otlp.
Source: google/protobuf/struct.proto.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.decode.protobuf import (
    FIXED64,
    I8,
    I64,
    U64,
    VARINT,
    Fault,
    Field,
    Fields,
    Layout,
    Mask,
    Occurrences,
    Spans,
    Values,
    Wire,
)
from pipeline.decode.protobuf.text import equal, texts, views
from pipeline.rejects import Reason

FAULTS: Final = (
    (Reason.PROTOBUF_MALFORMED, "not protobuf"),
    (Reason.PROTOBUF_FIELDS, "more fields in one message than any program writes"),
    (Reason.REQUIRED_MISSING, "start_time"),
    (Reason.FIELD_INVALID, "start_time"),
    (Reason.FIELD_INVALID, "response_code"),
    (Reason.FIELD_INVALID, "a text that is not UTF-8"),
)
"""Why a row is refused; of several the first counts."""

NO_FAULT: Final = len(FAULTS)
MALFORMED, TOO_MANY_FIELDS, NO_START, BAD_START, BAD_CODE, BAD_TEXT = range(NO_FAULT)

LOW_32: Final = np.uint64((1 << 32) - 1)

PAIR: Final = Layout({"key": Field(1), "value": Field(2)})
"""An entry of a map of texts."""

MEMBER: Final = Layout({"key": Field(1), "value": Field(2, message=True)})
"""An entry of a map of messages."""

_STRUCT: Final = Layout({"field": Field(1, repeated=True)})
_VALUE: Final = Layout(
    {
        "null": Field(1, VARINT, oneof="kind"),
        "number": Field(2, FIXED64, oneof="kind"),
        "text": Field(3, oneof="kind"),
        "flag": Field(4, VARINT, oneof="kind"),
        "struct": Field(5, message=True, oneof="kind"),
        "list": Field(6, message=True, oneof="kind"),
    }
)


class Rows:
    """
    n rows of some bytes.

    Attributes
    ----------
    fault
        int8[n], index into `FAULTS`, or `NO_FAULT`.
    """

    def __init__(self, wire: Wire, count: int) -> None:
        self.wire = wire
        self.count = count
        self.fault: I8 = np.full(count, NO_FAULT, np.int8)

    def blame(self, rows: Mask | I64, fault: int) -> None:
        """Give rows a fault, unless they have one that counts before it."""
        self.fault[rows] = np.minimum(self.fault[rows], fault)

    def read(self, spans: Spans, layout: Layout, of: I64 | None = None) -> Fields:
        """Read messages; ``of`` is the row of each, if it is not one for each row."""
        fields = self.wire.read(spans.begin, spans.end, layout)
        if fields.fault.any():
            for fault, mine in (
                (Fault.MALFORMED, MALFORMED),
                (Fault.TOO_MANY_FIELDS, TOO_MANY_FIELDS),
            ):
                wrong = np.flatnonzero(fields.fault == fault)
                self.blame(wrong if of is None else of[wrong], mine)
        return fields

    def pairs(self, many: Occurrences, wanted: Mapping[str, str]) -> dict[str, Spans]:
        """Values of a map of texts, n long: key in the map to name of a column."""
        pairs = self.read(every(many), PAIR, many.owner)
        columns = {}
        for key, name in wanted.items():
            at = np.flatnonzero(equal(self.wire, pairs.spans["key"], key.encode()))
            columns[name] = spread(pairs.spans["value"].of(at), many.owner[at], self.count)
        return columns

    def struct(
        self, spans: Spans, wanted: Mapping[str, str], of: I64 | None = None
    ) -> dict[str, Spans]:
        """Texts in k messages google.protobuf.Struct, k long: key to name of a column."""
        rows = np.arange(self.count) if of is None else of
        fields = self.read(spans, _STRUCT, of).many["field"]
        pairs = self.read(every(fields), MEMBER, rows[fields.owner])
        columns = {}
        for key, name in wanted.items():
            at = np.flatnonzero(equal(self.wire, pairs.spans["key"], key.encode()))
            owner = fields.owner[at]
            text = self.read(pairs.spans["value"].of(at), _VALUE, rows[owner]).spans["text"]
            columns[name] = spread(text, owner, len(spans.begin))
        return columns


class Gathered:
    """
    Columns of n rows that are read a block at a time.

    What is done with NumPy is done while a block's bytes are in a cache; what
    is done with Polars, once for all.
    """

    def __init__(self, wire: Wire, count: int) -> None:
        self.wire = wire
        self.count = count
        self.fault: I8 = np.full(count, NO_FAULT, np.int8)
        self._views: dict[str, tuple[U64, Mask]] = {}
        self._values: dict[str, Values] = {}

    def add(self, first: int, rows: Rows, columns: Mapping[str, Spans | Values]) -> None:
        """Take a block: rows from ``first`` on."""
        block = slice(first, first + rows.count)
        self.fault[block] = rows.fault
        for name, column in columns.items():
            if isinstance(column, Values):
                if name not in self._values:
                    value = np.zeros(self.count, np.uint64)
                    self._values[name] = Values(np.zeros(self.count, np.bool_), value)
                whole = self._values[name]
                whole.present[block], whole.value[block] = column.present, column.value
            else:
                if name not in self._views:
                    none = np.zeros(self.count, np.bool_)
                    self._views[name] = (np.zeros((self.count, 2), np.uint64), none)
                if np.count_nonzero(column.present):
                    view, present = self._views[name]
                    view[block], present[block] = views(self.wire, column)

    def __contains__(self, name: str) -> bool:
        return name in self._views or name in self._values

    def text(self, *names: str, strict: bool = True) -> pl.Series:
        """
        Texts of a field, or of several one behind the other; null where there is none.

        A row with a text that is not UTF-8 gets its fault, or no text if not ``strict``.
        """
        parts = [self._views[name] for name in names]
        view, present = parts[0]
        if len(parts) > 1:
            view = np.concatenate([part[0] for part in parts])
            present = np.concatenate([part[1] for part in parts])
        column, wrong = texts(self.wire.buffer, view, present)
        if strict and wrong.any():
            rows = np.flatnonzero(wrong) % self.count
            self.fault[rows] = np.minimum(self.fault[rows], BAD_TEXT)
        return column

    def values(self, name: str) -> Values:
        """Numbers of a field."""
        return self._values[name]

    def numbers(self, name: str, dtype: pl.DataType) -> pl.Series:
        """Numbers of a field, null where it is not there; of 32 bits as parsers have them."""
        present, value = self._values[name]
        return masked(value.astype(np.uint32) if dtype == pl.UInt32() else value, present)

    def named(self, name: str, names: tuple[str | None, ...], dtype: pl.DataType) -> pl.Series:
        """Names of an enum's numbers; null for one that is not known."""
        codes = np.minimum(self._values[name].value & LOW_32, len(names)).astype(np.int32)
        return pl.Series([*names, None], dtype=dtype).gather(codes)


def every(many: Occurrences) -> Spans:
    """All occurrences, as spans."""
    return Spans(np.ones(len(many.owner), np.bool_), many.begin, many.end)


def where(spans: Spans, rows: Mask) -> Spans:
    """Spans of some rows; an empty one that is not present elsewhere."""
    if rows.all():
        return spans
    return Spans(spans.present & rows, np.where(rows, spans.begin, 0), np.where(rows, spans.end, 0))


def either(first: Spans, second: Spans) -> Spans:
    """The first, where it is present, else the second."""
    return Spans(
        first.present | second.present,
        np.where(first.present, first.begin, second.begin),
        np.where(first.present, first.end, second.end),
    )


def joined(parts: list[Spans]) -> Spans:
    """Spans of several fields, one field behind the other."""
    return Spans(
        np.concatenate([part.present for part in parts]),
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.end for part in parts]),
    )


def spread(spans: Spans, owner: I64, count: int) -> Spans:
    """Spans to the rows that own them, n long; of two of one row the last counts."""
    whole = nowhere(count)
    whole.present[owner] = spans.present
    whole.begin[owner], whole.end[owner] = spans.begin, spans.end
    return whole


def nowhere(count: int) -> Spans:
    """Empty spans, none of them present."""
    return Spans(np.zeros(count, np.bool_), np.zeros(count, np.int64), np.zeros(count, np.int64))


def masked(values: npt.NDArray[Any], present: Mask) -> pl.Series:
    """Numbers to a column, null where nothing is present."""
    if present.all():
        return pl.Series(values)
    valid = pa.py_buffer(np.packbits(present, bitorder="little"))
    dtype = pa.from_numpy_dtype(values.dtype)
    buffers = [valid, pa.py_buffer(np.ascontiguousarray(values))]
    return pl.Series(pa.Array.from_buffers(dtype, len(values), buffers))
