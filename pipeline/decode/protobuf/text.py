"""
Text in protobuf messages, to Polars columns, without a copy of the text.

A Polars text is 16 bytes: length, its first four bytes, and where the rest is;
one of 12 bytes or less stands there whole. So n spans of the buffer become n
such views, by arithmetic on whole columns, and the text stays where it is.

Before: __init__.py. After: als, otlp.
Source: Arrow columnar format, Variable-size Binary View Layout.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.decode.protobuf import I64, U8, U64, Mask, Spans, Wire

_INLINE: Final = 12
_WORD: Final = 8
_LOW_32: Final = np.uint64((1 << 32) - 1)
_MASKS: Final = np.array([(1 << 8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
"""Size in bytes to the bits of a word that are of a text so short."""


def views(wire: Wire, spans: Spans) -> tuple[U64, Mask]:
    """
    Views of n spans.

    Returns
    -------
    uint64[n, 2], bool[n]
        The views, and which are texts: an empty one is none.
    """
    present = spans.present & (spans.end > spans.begin)
    size = spans.end - spans.begin
    size *= present
    view = np.empty((len(size), 2), np.uint64)
    head = words(wire, spans.begin)
    head &= _MASKS[np.minimum(size, _WORD)]
    view[:, 0] = size.view(np.uint64) | (head & _LOW_32) << np.uint64(32)
    short = size <= _INLINE
    count = np.count_nonzero(short)
    if count < len(short):
        view[:, 1] = spans.begin.view(np.uint64) << np.uint64(32)
    if count:
        rows = np.flatnonzero(short)
        tail = words(wire, spans.begin[rows] + _WORD)
        tail &= _MASKS[np.maximum(size[rows] - _WORD, 0)]
        view[rows, 1] = head[rows] >> np.uint64(32) | tail << np.uint64(32)
    return view, present


def distinct(wire: Wire, spans: Spans) -> tuple[I64, I64]:
    """
    Which spans hold different bytes.

    Returns
    -------
    int64[m], int64[n]
        The first span of each kind, and for each span the index of its kind.
    """
    view, _ = views(wire, spans)
    column = pa.Array.from_buffers(
        pa.binary_view(), len(view), [None, pa.py_buffer(view), pa.py_buffer(wire.buffer)]
    )
    kinds = pc.dictionary_encode(column)
    codes = kinds.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    first = np.zeros(len(kinds.dictionary), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first, codes


def texts(buffer: U8, view: U64, present: Mask) -> tuple[pl.Series, Mask]:
    """
    Views to a column.

    Returns
    -------
    Series
        String, null where nothing is present, and where it is not UTF-8.
    bool[n]
        Where it is not UTF-8.
    """
    valid = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [valid, pa.py_buffer(view), pa.py_buffer(buffer)]
    column = pl.Series(pa.Array.from_buffers(pa.binary_view(), len(view), buffers))
    try:
        return column.cast(pl.String), np.zeros(len(view), np.bool_)
    except pl.exceptions.PolarsError:
        text = pl.Series([_utf8(one) for one in column], dtype=pl.String)
        return text, present & text.is_null().to_numpy()


def _utf8(text: bytes | None) -> str | None:
    try:
        return None if text is None else text.decode()
    except UnicodeDecodeError:
        return None


def equal(wire: Wire, spans: Spans, literal: bytes) -> Mask:
    """Whether each span holds just these bytes."""
    rows = np.flatnonzero(spans.end - spans.begin == len(literal))
    for place in range(0, len(literal), _WORD):
        part = literal[place : place + _WORD]
        held = words(wire, spans.begin[rows] + place) & _MASKS[len(part)]
        rows = rows[held == np.uint64(int.from_bytes(part, "little"))]
    same = np.zeros(len(spans.begin), np.bool_)
    same[rows] = True
    return same


def begins(wire: Wire, spans: Spans, literal: bytes) -> Mask:
    """Whether each span begins with these bytes."""
    head = np.minimum(spans.end, spans.begin + len(literal))
    return equal(wire, Spans(spans.present, spans.begin, head), literal)


def ends(wire: Wire, spans: Spans, literal: bytes) -> Mask:
    """Whether each span ends with these bytes."""
    tail = np.maximum(spans.begin, spans.end - len(literal))
    return equal(wire, Spans(spans.present, tail, spans.end), literal)


def words(wire: Wire, at: I64) -> U64:
    """Eight bytes of the buffer from each place on, as one number, little-endian."""
    every: npt.NDArray[np.uint64] = np.ndarray(
        len(wire.buffer) - _WORD + 1, "<u8", wire.buffer.data, strides=(1,)
    )
    return every[at]
