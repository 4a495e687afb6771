"""
Records of one layout to arrays, all at once.

Records of fixed length are gathered by one copy into a structured array whose
columns are the fields. Records of variable length are walked together: step k
reads the k-th record of every set, field by field.

Before: templates.py. After: flows.py.
Source: RFC 7011 sections 6 and 7.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.templates import VARIABLE, Layout

I64 = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.unsignedinteger[Any]]
U8 = npt.NDArray[np.uint8]

_HEADER: Final = 4  # of a set: id and length


class Records(NamedTuple):
    """
    Raw values of n records.

    Attributes
    ----------
    of_set
        int64[n], index into the sets given.
    values
        Raw name to unsigned numbers, as wide as they came; for ``x_ipv6`` to two, ``x_ipv6_hi``
        and ``x_ipv6_lo``.
    cut
        Indexes of sets that ended inside a record.
    """

    of_set: I64
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
    if layout.is_variable:
        return _read_variable(buffer, layout, position, length)
    count = (length - _HEADER) // layout.length
    of_set = np.repeat(np.arange(len(position)), count)
    total = len(of_set)
    first = np.cumsum(count) - count
    within = np.arange(total) - np.repeat(first, count)
    start = np.repeat(position + _HEADER, count) + within * layout.length
    values: dict[str, Numbers] = {}
    if total and layout.used:
        records = _windows(buffer, layout.length)[start]
        for name, kind, _, offset, width in layout.used:
            _put(values, name, kind, _column(records, offset, width), width)
    return Records(of_set, values, np.array([], np.int64))


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
    of_set: list[I64] = []
    offsets: dict[int, list[I64]] = {place: [] for _, _, place, _, _ in layout.used}
    widths: dict[int, list[I64]] = {place: [] for _, _, place, _, _ in layout.used}
    cut: list[I64] = []
    while True:
        whole = end - at >= layout.length  # less is padding
        active, at, end = active[whole], at[whole], end[whole]
        if not len(active):
            break
        step: dict[int, tuple[I64, I64]] = {}
        good = np.ones(len(active), np.bool_)
        cursor = at.copy()
        for place, field in enumerate(layout.fields):
            if field.length != VARIABLE:
                width = np.full(len(active), field.length, np.int64)
            else:
                width, cursor = _variable_length(buffer, cursor, end)
            good &= (cursor + width <= end) & (width >= 0)
            width = np.where(good, width, 0)
            cursor = np.where(good, cursor, at)
            if place in offsets:
                step[place] = (cursor.copy(), width)
            cursor = cursor + width
        if not good.all():
            cut.append(active[~good])
        for place, (where, width) in step.items():
            offsets[place].append(where[good])
            widths[place].append(width[good])
        of_set.append(active[good])
        active, at, end = active[good], cursor[good], end[good]
    sets = np.concatenate(of_set) if of_set else np.array([], np.int64)
    order = np.argsort(sets, kind="stable")
    values: dict[str, Numbers] = {}
    for name, kind, place, _, width in layout.used:
        if len(sets):
            where = np.concatenate(offsets[place])[order]
            column = _windows(buffer, width)[where]
            _put(values, name, kind, _column(column, 0, width), width)
    return Records(sets[order], values, np.concatenate(cut) if cut else np.array([], np.int64))


def _variable_length(buffer: U8, cursor: I64, end: I64) -> tuple[I64, I64]:
    """Length of the value at each cursor and where it begins; -1 where the set has ended."""
    last = len(buffer) - 1
    short = buffer[np.minimum(cursor, last)].astype(np.int64)
    high = buffer[np.minimum(cursor + 1, last)].astype(np.int64)
    low = buffer[np.minimum(cursor + 2, last)].astype(np.int64)
    is_long = short == 255  # noqa: PLR2004 - RFC 7011 figure S
    width = np.where(is_long, high << 8 | low, short)
    begin = cursor + np.where(is_long, 3, 1)
    return np.where(begin <= end, width, -1), begin
