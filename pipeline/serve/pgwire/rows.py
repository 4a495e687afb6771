"""
Batches of Arrow to messages, a DataRow a row, by column.

    D | length | columns | length of value, value | length of value, value | ...

Each column becomes an array of lengths and an array of values; Arrow joins
them row by row, and what it joins is the messages, one after the other in one
buffer. No value is a Python object.

Before: scalars.py. After: session.py.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.serve.pgwire import scalars
from pipeline.serve.pgwire.types import Sent

_ROW: Final = np.dtype([("type", "S1"), ("length", ">i4"), ("columns", ">i2")])
_ARRAY: Final = np.dtype(
    [(name, ">i4") for name in ("dimensions", "nulls", "oid", "length", "first")]
)
_EMPTY_ARRAY_BYTES: Final = 12
"""Dimensions, nulls and type: an empty array has no dimension."""
_NEEDS_QUOTES: Final = r'^$|^(?i:null)$|["\\{},\s\x0b]'
_QUOTED: Final = (("\\", "\\\\"), ('"', '\\"'))


def data_rows(batch: pa.RecordBatch, columns: Sequence[Sent], binary: Sequence[bool]) -> memoryview:
    """
    Messages of a batch.

    Parameters
    ----------
    batch
        n rows; columns in the form that `types.wanted` asks for.
    columns
        How each is sent.
    binary
        Whether each is wanted as bytes, else as text.

    Returns
    -------
    memoryview
        n messages.
    """
    parts: list[pa.Array] = []
    length = np.full(batch.num_rows, 4 + 2 + 4 * len(columns), np.int64)
    for values, column, as_bytes in zip(batch.columns, columns, binary, strict=True):
        encoded = _blank(values, _encoded(values, column, as_bytes))
        sizes, prefix = _prefix(values, encoded)
        length += sizes
        parts += prefix, encoded
    head = np.empty(batch.num_rows, _ROW)
    head["type"], head["length"], head["columns"] = b"D", length, len(columns)
    return _data(pc.binary_join_element_wise(scalars.fixed(head), *parts, b""))


def _encoded(values: pa.Array, column: Sent, as_bytes: bool) -> pa.Array:
    if column.array:
        encode = _array_bytes if as_bytes else _array_text
        return scalars.filled(encode(values, column), values)
    return (scalars.as_bytes if as_bytes else scalars.as_text)(column.kind, values)


def _blank(values: pa.Array, encoded: pa.Array) -> pa.Array:
    """Nothing after the length of a null."""
    return pc.if_else(values.is_null(), b"", encoded) if values.null_count else encoded


def _prefix(values: pa.Array, encoded: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Octets of each value, and the length that stands before it: -1 for null."""
    sizes = pc.binary_length(encoded).to_numpy(zero_copy_only=False)
    said = sizes.astype(">i4")
    if values.null_count:
        said[values.is_null().to_numpy(zero_copy_only=False)] = -1
    return sizes, scalars.fixed(said)


def _data(values: pa.Array) -> memoryview:
    """All values of a binary array, one after the other."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    data = values.buffers()[2]
    return memoryview(data)[int(offsets[0]) : int(offsets[-1])] if data else memoryview(b"")


def _flat(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Elements of all lists, and offsets of the lists in them; a null is an empty list."""
    if pa.types.is_fixed_size_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return values.flatten(), pa.array(offsets)


def _joined(offsets: pa.Array, elements: pa.Array, separator: bytes) -> pa.Array:
    return pc.binary_join(pa.ListArray.from_arrays(offsets, elements), separator)


def _array_text(values: pa.Array, column: Sent) -> pa.Array:
    """``{1,2,NULL}``; in quotes what could be read as something else."""
    flat, offsets = _flat(values)
    text = scalars.as_text(column.kind, flat).cast(pa.string())
    if column.kind not in scalars.NUMBERS:
        quoted = text
        for found, escaped in _QUOTED:
            quoted = pc.replace_substring(quoted, found, escaped)
        quoted = pc.binary_join_element_wise('"', quoted, '"', "")
        text = pc.if_else(pc.match_substring_regex(text, _NEEDS_QUOTES), quoted, text)
    if flat.null_count:
        text = pc.if_else(flat.is_null(), "NULL", text)
    inside = _joined(offsets, text.cast(pa.binary()), b",")
    return pc.binary_join_element_wise(b"{", inside, b"}", b"")


def _array_bytes(values: pa.Array, column: Sent) -> pa.Array:
    """Dimensions, whether there are nulls, type, length, first index 1; then the elements."""
    flat, offsets = _flat(values)
    encoded = _blank(flat, scalars.as_bytes(column.kind, flat))
    _, prefix = _prefix(flat, encoded)
    elements = pc.binary_join_element_wise(prefix, encoded, b"")
    lengths = np.diff(offsets.to_numpy())
    nulls = np.zeros(len(flat) + 1, np.int64)
    nulls[1:] = np.cumsum(flat.is_null().to_numpy(zero_copy_only=False))
    places = offsets.to_numpy()
    head = np.empty(len(values), _ARRAY)
    head["dimensions"], head["length"], head["first"] = lengths > 0, lengths, 1
    head["nulls"] = nulls[places[1:]] > nulls[places[:-1]]
    head["oid"] = column.kind.oid
    heads = scalars.fixed(head)
    heads = pc.if_else(pa.array(lengths > 0), heads, pc.binary_slice(heads, 0, _EMPTY_ARRAY_BYTES))
    return pc.binary_join_element_wise(heads, _joined(offsets, elements, b""), b"")
