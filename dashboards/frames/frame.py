"""
A frame: named columns of a kind, made of an Arrow table.

Source: grafana-postgresql-datasource, `sqleng/sql_engine.go` (types by OID,
`convertSQLTimeColumnsToEpochMS`).
Before: expand.py. After: series.py, panels.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Field", "Frame", "FrameError", "Kind", "fields_of"]

Kind = Literal["time", "number", "string", "boolean", "other"]


class FrameError(Exception):
    """What Grafana would show instead of the panel."""


@dataclass(frozen=True)
class Field:
    """
    A column of a frame.

    Parameters
    ----------
    values
        ``timestamp[ms, UTC]`` of a time, ``double`` or integers of a number,
        ``string``, ``bool``; of another kind its text.
    labels
        What tells series of one name apart.
    """

    name: str
    kind: Kind
    values: pa.Array
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Frame:
    """An answer of one query, as panels take it; without rows it has no fields either."""

    ref_id: str
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        """Find a field by its name; case does not matter, as in node graphs."""
        return next((each for each in self.fields if each.name.lower() == name.lower()), None)

    def json(self) -> dict[str, Any]:
        """As Grafana's API answers: times are milliseconds; what is no number is null."""
        return {
            "schema": {
                "refId": self.ref_id,
                "fields": [
                    {"name": field.name, "type": field.kind}
                    | ({"labels": dict(field.labels)} if field.labels else {})
                    for field in self.fields
                ],
            },
            "data": {"values": [_plain(field) for field in self.fields]},
        }


def fields_of(table: pa.Table, *, time_end: bool) -> list[Field]:
    """
    Make a field of each column.

    The column ``time`` becomes times, whatever it is, and with `time_end`
    ``timeend``, too.
    """
    fields = [
        _field(name, column.combine_chunks())
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return [
        _as_time(field)
        if field.name == "time" or (time_end and field.name.lower() == "timeend")
        else field
        for field in fields
    ]


_NUMBERS: Final = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


def _field(name: str, values: pa.Array) -> Field:
    """As the server's types and the data source make them: lists are text, structs are JSON."""
    if isinstance(values, pa.ChunkedArray):  # more than 2 GB of text
        raise FrameError(f"{name}: too much text")
    if pa.types.is_dictionary(values.type):
        return _field(name, values.dictionary_decode())
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return Field(name, "time", _milliseconds(name, values))
    if pa.types.is_boolean(values.type):
        return Field(name, "boolean", values)
    if any(holds(values.type) for holds in _NUMBERS):
        decimal = pa.types.is_decimal(values.type)
        return Field(name, "number", values.cast(pa.float64()) if decimal else values)
    other = pa.types.is_struct(values.type) or pa.types.is_map(values.type)
    return Field(name, "other" if other else "string", _text(values))


_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_INFINITE: Final = 2**63 - 2
"""DuckDB's infinity is the largest number, or its negative."""


def _milliseconds(name: str, values: pa.Array) -> pa.Array:
    """Cut to milliseconds, towards the past; a timestamp without a zone is UTC."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    missing = values.is_null().to_numpy(zero_copy_only=False)
    ticks = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
    if (np.abs(ticks) >= _INFINITE).any():
        raise FrameError(f"{name}: a time is infinite, which Grafana can not read")
    unit = values.type.unit
    ms = ticks * 1000 if unit == "s" else ticks // _PER_MS[unit]
    return pa.array(ms, pa.timestamp("ms", "UTC"), mask=missing)


def _text(values: pa.Array) -> pa.Array:
    """Lists as ``{a,b}``, as PostgreSQL writes arrays; anything else as Python or Arrow does."""
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        inner = pc.fill_null(_elements(values.flatten()), "NULL")
        offsets = pc.cumulative_sum(pc.fill_null(pc.list_value_length(values), 0))
        bounds = pa.concat_arrays([pa.array([0], offsets.type), offsets])
        lists = pa.ListArray.from_arrays(bounds.cast(pa.int32()), inner)
        joined = pc.binary_join_element_wise("{", pc.binary_join(lists, ","), "}", "")
        return pc.if_else(pc.is_valid(values), joined, pa.scalar(None, pa.string()))
    if pa.types.is_time64(values.type):
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.?0{1,6}$", "")
    try:
        return values.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.array(
            [None if value is None else str(value) for value in values.to_pylist()], pa.string()
        )


def _elements(values: pa.Array) -> pa.Array:
    """Texts of a list; those that would not read back are in double quotes."""
    texts = _text(values)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return texts
    marked = pc.replace_substring_regex(texts, r'(["\\])', r"\\\1")
    quoted = pc.binary_join_element_wise('"', marked, '"', "")
    return pc.if_else(pc.match_substring_regex(texts, _QUOTED), quoted, texts)


_QUOTED: Final = r'^$|[{},"\\\s]|^(?i:null)$'
_SECONDS: Final = 9
_NANOSECONDS: Final = 18
"""Power of ten of a time of our days, in that unit."""


def _as_time(field: Field) -> Field:
    """A number is seconds if it has 10 digits, nanoseconds if 19, else milliseconds."""
    if field.kind == "time":
        return field
    if field.kind != "number":
        raise FrameError(
            f"converting time columns failed: column type {field.values.type} of {field.name}"
            " can not be converted"
        )
    numbers = field.values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = np.floor(np.log10(np.abs(numbers)))
        scaled = np.select(
            [digits == _SECONDS, digits == _NANOSECONDS], [numbers * 1e3, numbers / 1e6], numbers
        )
    known = np.isfinite(scaled)
    ms = np.where(known, scaled, 0).astype(np.int64)
    return Field(field.name, "time", pa.array(ms, pa.timestamp("ms", "UTC"), mask=~known))


def _plain(field: Field) -> list[Any]:
    values = field.values
    if field.kind == "time":
        values = values.cast(pa.int64())
    elif pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    plain: list[Any] = values.to_pylist()
    return plain
