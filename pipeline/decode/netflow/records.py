"""
Records of one layout to arrays, all at once.

Records of fixed length are gathered by one copy into a structured array whose
columns are the fields. Records of variable length are walked together: step k
reads the k-th record of every set, from one variable value to the next. Where
only a few sets are left, they are walked one by one: an array of one costs more
than a number, and a datagram may hold 65,000 records of one byte.

Before: templates.py. After: losses.py.
Source: RFC 7011 sections 6 and 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.decode.netflow.templates import Layout

I64 = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.unsignedinteger[Any]]
U8 = npt.NDArray[np.uint8]

_HEADER: Final = 4  # of a set: id and length
_PADDING: Final = 3
"""Bytes left behind the last record of a set that are padding whatever they are."""
_FEW: Final = 32
_LONG: Final = 255
"""First byte of a length that is told in the two that follow, RFC 7011 figure S."""


@dataclass(frozen=True, slots=True)
class Records:
    """
    Raw values of n records.

    Attributes
    ----------
    count
        int64[m], records of each set given; the n of a set stand together, in its order.
    values
        Raw name to unsigned numbers, as wide as they came; for ``x_ipv6`` to two, ``x_ipv6_hi``
        and ``x_ipv6_lo``.
    cut
        Indexes of sets that ended inside a record.
    """

    count: I64
    values: dict[str, Numbers]
    cut: I64


def read(buffer: U8, layout: Layout, position: I64, length: I64) -> Records:
    """
    All records of sets of one layout.

    Parameters
    ----------
    buffer
        Bytes the sets are in.
    position, length
        int64[m], where each set (with its header) begins, and its bytes.
    """
    if layout.gaps:
        return _read_variable(buffer, layout, position, length)
    count, left = np.divmod(length - _HEADER, layout.length)
    total = int(count.sum())
    values: dict[str, Numbers] = {}
    if total and layout.used:
        first = np.cumsum(count) - count
        start = np.repeat(position + _HEADER - first * layout.length, count)
        start += np.arange(0, total * layout.length, layout.length)
        records = _windows(buffer, layout.length)[start]
        for name, kind, _, offset, width in layout.used:
            _put(values, name, kind, _column(records, offset, width), width)
    return Records(count, values, _cut(buffer, position + length, left))


def _cut(buffer: U8, end: I64, left: I64) -> I64:
    """Sets of which more than padding is left."""
    rows = np.flatnonzero(left > _PADDING)
    cut = [row for row in rows.tolist() if buffer[end[row] - left[row] : end[row]].any()]
    return np.array(cut, np.int64)


def _windows(buffer: U8, width: int) -> npt.NDArray[np.void]:
    """Every run of ``width`` bytes of the buffer, as overlapping items."""
    return np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer, strides=(1,))


def _column(records: npt.NDArray[np.void], offset: int, width: int) -> npt.NDArray[np.generic]:
    """Bytes ``offset`` to ``offset + width`` of every record, as one strided column."""
    if width in (1, 2, 4, 8):
        kind = np.dtype(
            {
                "names": ["f"],
                "formats": [f">u{width}"],
                "offsets": [offset],
                "itemsize": records.dtype.itemsize,
            }
        )
        return records.view(kind)["f"]
    return records.view(np.uint8).reshape(len(records), -1)[:, offset : offset + width]


def _put(
    values: dict[str, Numbers], name: str, kind: str, column: npt.NDArray[np.generic], width: int
) -> None:
    if kind == "ipv6":
        halves = np.ascontiguousarray(column).view(">u8")
        values[f"{name}_hi"] = halves[:, 0].astype(np.uint64)
        values[f"{name}_lo"] = halves[:, 1].astype(np.uint64)
    elif width in (1, 2, 4, 8):
        values[name] = column.astype(f"u{width}")
    else:
        padded = np.zeros((len(column), 8), np.uint8)
        padded[:, 8 - width :] = column
        values[name] = padded.view(">u8")[:, 0].astype(np.uint64)


def _read_variable(buffer: U8, layout: Layout, position: I64, length: I64) -> Records:
    active = np.arange(len(position))
    at, end = position + _HEADER, position + length
    bases = sorted({used.base for used in layout.used})
    of_set: list[I64] = []
    starts: dict[int, list[I64]] = {base: [] for base in bases}
    cut: list[I64] = []
    while len(active) > _FEW:
        whole = end - at >= layout.length
        cut.append(active[~whole][_cut(buffer, end[~whole], (end - at)[~whole])])
        active, at, end = active[whole], at[whole], end[whole]
        step = [at]
        for gap in layout.gaps:
            width, begin = _variable_length(buffer, step[-1] + gap)
            step.append(begin + width)
        following = step[-1] + layout.tail
        good = following <= end
        cut.append(active[~good])
        for base in bases:
            starts[base].append(step[base][good])
        of_set.append(active[good])
        active, at, end = active[good], following[good], end[good]
    data = memoryview(buffer)  # type: ignore[arg-type]
    for one, begin, stop in zip(active.tolist(), at.tolist(), end.tolist(), strict=True):
        records = list(_walk(data, layout, begin, stop))
        last = records[-1][-1] + layout.tail if records else begin
        left = stop - last
        if left >= layout.length or len(_cut(buffer, np.array([stop]), np.array([left]))):
            cut.append(np.array([one]))
        for base in bases:
            starts[base].append(np.array([record[base] for record in records], np.int64))
        of_set.append(np.full(len(records), one))
    sets = np.concatenate(of_set) if of_set else np.array([], np.int64)
    order = np.argsort(sets, kind="stable")
    values: dict[str, Numbers] = {}
    for used in layout.used if len(sets) else ():
        start = np.concatenate(starts[used.base])[order] + used.offset
        column = _column(_windows(buffer, used.width)[start], 0, used.width)
        _put(values, used.name, used.kind, column, used.width)
    count = np.bincount(sets, minlength=len(position))
    return Records(count, values, np.concatenate(cut) if cut else np.array([], np.int64))


def _walk(data: memoryview, layout: Layout, at: int, end: int) -> Iterator[list[int]]:
    """Where each record of a set begins, and where each of its variable values ends."""
    while end - at >= layout.length:
        step = [at]
        for gap in layout.gaps:
            at += gap
            if at >= end:
                return
            width = data[at]
            at += 1
            if width == _LONG:
                if at + 2 > end:
                    return
                width = data[at] << 8 | data[at + 1]
                at += 2
            at += width
            step.append(at)
        at += layout.tail
        if at > end:
            return
        yield step


def _variable_length(buffer: U8, cursor: I64) -> tuple[I64, I64]:
    """Length of the value at each cursor, and where it begins; behind a set's end, anything."""
    last = len(buffer) - 1
    short = buffer[np.minimum(cursor, last)].astype(np.int64)
    is_long = short == _LONG
    if not is_long.any():
        return short, cursor + 1
    high = buffer[np.minimum(cursor + 1, last)].astype(np.int64)
    low = buffer[np.minimum(cursor + 2, last)].astype(np.int64)
    return np.where(is_long, high << 8 | low, short), cursor + np.where(is_long, 3, 1)
