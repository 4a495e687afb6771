"""
Text in protobuf messages, to Polars columns, without a copy of the text.

A Polars text is 16 bytes: length, its first four bytes, and where the rest is;
one of 12 bytes or less stands there whole. So n spans of the buffer become n
such views, by arithmetic on whole columns, and the text stays where it is.

Before: protobuf.py. After: als.py, otlp.py.
Source: Arrow columnar format, Variable-size Binary View Layout.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.decode.protobuf import I64, U64, Mask, Spans, Wire

_INLINE: Final = 12
_WORD: Final = 8
_LOW_32: Final = np.uint64((1 << 32) - 1)
_MASKS: Final = np.array([(1 << 8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
"""Size in bytes to the bits of a word that are of a text so short."""


def texts(wire: Wire, spans: Spans) -> tuple[pl.Series, Mask]:
    """
    Text of n spans.

    Returns
    -------
    Series
        String, null where nothing is present, where it is empty, and where it
        is not UTF-8.
    Mask
        Where it is not UTF-8.
    """
    present = spans.present & (spans.end > spans.begin)
    column = _views(wire, spans.begin, spans.end, present)
    try:
        return column.cast(pl.String), np.zeros(len(present), np.bool_)
    except pl.exceptions.PolarsError:
        text = column.cast(pl.String, strict=False)
        return text, present & text.is_null().to_numpy()


def equal(wire: Wire, spans: Spans, literal: bytes) -> Mask:
    """Whether each span holds just these bytes."""
    rows = np.flatnonzero(spans.end - spans.begin == len(literal))
    for place, byte in enumerate(literal):
        if not len(rows):
            break
        rows = rows[wire.buffer.take(spans.begin[rows] + place) == byte]
    same = np.zeros(len(spans.begin), np.bool_)
    same[rows] = True
    return same


def _views(wire: Wire, begin: I64, end: I64, present: Mask) -> pl.Series:
    count = len(begin)
    size = np.where(present, end - begin, 0)
    views = np.empty((count, 2), np.uint64)
    head = words(wire, begin)
    head &= _MASKS[np.minimum(size, _WORD)]
    views[:, 0] = size.view(np.uint64) | (head & _LOW_32) << np.uint64(32)
    short = size <= _INLINE
    views[:, 1] = np.where(short, head >> np.uint64(32), begin.view(np.uint64) << np.uint64(32))
    rows = np.flatnonzero(short & (size > _WORD))
    if len(rows):
        tail = words(wire, begin[rows] + _WORD) & _MASKS[size[rows] - _WORD]
        views[rows, 1] |= tail << np.uint64(32)
    valid = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [valid, pa.py_buffer(views), pa.py_buffer(wire.buffer)]
    return pl.Series(pa.Array.from_buffers(pa.binary_view(), count, buffers))


def words(wire: Wire, at: I64) -> U64:
    """Eight bytes of the buffer from each place on, as one number, little-endian."""
    every: npt.NDArray[np.uint64] = np.ndarray(
        len(wire.buffer) - _WORD + 1, "<u8", wire.buffer.data, strides=(1,)
    )
    return every[at]
