"""
Lines to text, and text that is one JSON object to columns, many at once.

A line may have the stamp of a container runtime in front
(``2024-01-01T00:00:00Z stdout F {...}``), and a JSON line one of kubectl, the
same without the two words. Slices of lines are parsed at once.
If one of a slice does not parse, each is looked at alone, and the good ones
are parsed together: a bad line costs time, never rows. Lines cannot reach into
each other, whatever is in them: Polars cuts at line breaks before it parses,
and a line with a break in it is refused.

Before: lines.py. After: access_log/json_format.py, hubble/json_export.py, linkerd.py.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from types import GenericAlias
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars.datatypes import DataTypeClass

from pipeline.decode import Decoded, Payloads, Vantage
from pipeline.decode.lines import REASONS, SPACE, read_lines
from pipeline.decode.lines import Fault as LineFault
from pipeline.decode.outcome import Refused, counted, rejected
from pipeline.decode.requests import declared_columns
from pipeline.rejects import Reason

_SLICE_BYTES: Final = 8 << 20
"""Text parsed at once: bounds what numbers written out in full may come to."""

_BREAK: Final = pa.scalar("\n", pa.large_string())
_NOTHING: Final = pa.scalar("", pa.large_string())
_STAMP: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]+ (?:(?:stdout|stderr) F |(\{))"


class Fault(NamedTuple):
    """Why a line gives nothing."""

    reason: Reason
    detail: str


_OF_LINES: Final = range(LineFault.NOT_OBJECT + 1)
FAULTS: Final = (
    *(Fault(*REASONS[LineFault(number)]) for number in _OF_LINES),
    Fault(Reason.FIELD_INVALID, "a value of another shape than its field's"),
)
"""By their numbers in ``faults``; a decoder's own follow."""
_SHAPE: Final = len(_OF_LINES)
NO_FAULT: Final = int(LineFault.NONE)

Int8s = npt.NDArray[np.int8]
Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def line_texts(raw: pl.Series, faults: Int8s) -> pl.Series:
    """
    Text of n lines, without stamps and space around; null where a line has a fault.

    Parameters
    ----------
    raw
        n lines, Binary.
    faults
        n numbers, `NO_FAULT`; those found are written there.
    """
    text = read_lines(raw, faults)
    if text.str.contains("^[0-9]").any():
        text = text.str.replace(_STAMP, "${1}").str.strip_chars(SPACE)
    return text


def read_objects(
    text: pl.Series, faults: Int8s, schemas: Sequence[pl.Schema]
) -> tuple[pl.DataFrame, Int64s]:
    """
    Fields of each line that is a JSON object, and which lines those are.

    Parameters
    ----------
    text
        n lines; null where a line has a fault, or is not to be read.
    faults
        n numbers; those found are written there.
    schemas
        Columns to read, tried in this order for a slice; the last has text
        wherever a value may be of more than one type.
    """
    braced = text.str.starts_with("{")
    for row in np.flatnonzero((~braced).fill_null(value=False).to_numpy()):
        faults[row] = _fault_without_brace(text[int(row)])
    # Half a surrogate pair is no text; Polars would let it pass.
    for row in np.flatnonzero(text.str.contains(r"\\u[dD]").fill_null(value=False).to_numpy()):
        if faults[row] == NO_FAULT and _refused(text[int(row)]):
            faults[row] = LineFault.NOT_JSON
    at = np.flatnonzero((faults == NO_FAULT) & text.is_not_null().to_numpy())
    lines = text.gather(at)
    ends = np.cumsum(lines.str.len_bytes().cast(pl.Int64).to_numpy())
    cuts = np.searchsorted(ends, np.arange(_SLICE_BYTES, ends[-1] if len(at) else 0, _SLICE_BYTES))
    borders = [0, *np.unique(cuts[cuts > 0]).tolist(), len(at)]
    parts = [] if len(borders) > 1 and len(at) else [pl.DataFrame(schema=schemas[-1])]
    looked_at = msgspec.json.Decoder(_shape(pl.Struct(schemas[-1])))
    for first, after in pairwise(borders):
        frames, found = _read_slice(lines[first:after], schemas, looked_at)
        parts += frames
        faults[at[first:after]] = found
    kept = at[faults[at] == NO_FAULT]
    return pl.concat(parts, how="vertical_relaxed"), kept


def observed(payloads: Payloads, at: Int64s) -> list[pl.Series]:
    """Columns of rows of lines ``at``: ``vantage`` and ``received_ns``."""
    _, vantage = np.unique(payloads.source, return_inverse=True)
    return [
        pl.Series("vantage", vantage[at].astype(np.int32)),
        pl.Series("received_ns", payloads.received_ns[at], pl.Int64),
    ]


def of_payloads(payloads: Payloads, at: Int64s, mesh: str, proxy_model: str) -> list[pl.Series]:
    """
    Columns of rows of lines ``at``: those of `observed`, ``mesh`` and ``proxy_model``.

    Mesh and proxy model are as declared of the lines' source, else as given.
    """
    vantage, received = observed(payloads, at)
    sources = [payloads.sources[code] for code in np.unique(payloads.source)]
    told = declared_columns(sources, vantage.to_numpy(), mesh, proxy_model)
    return [
        vantage,
        received,
        told["declared_mesh"].alias("mesh"),
        told["declared_model"].alias("proxy_model"),
    ]


def decoded_lines(
    payloads: Payloads,
    form: str,
    frames: dict[str, pl.DataFrame],
    at: Int64s,
    wrong: tuple[Int8s, Sequence[Fault]],
) -> Decoded:
    """
    What n lines gave, each one record, nothing, or a reject.

    Parameters
    ----------
    form
        Name of the format.
    frames, at
        Table to rows, and the lines they are of.
    wrong
        Fault of each line, and the faults by number. A line with none, and
        without a record, is ignored.
    """
    faults, table = wrong
    codes, inverse = np.unique(payloads.source, return_inverse=True)
    vantage = inverse.astype(np.int32)
    records = np.zeros(len(faults), np.int64)
    records[at] = 1
    refused = refused_lines(payloads, faults, table)
    ignored = ((faults == NO_FAULT) & (records == 0)).astype(np.int64)
    return Decoded(
        vantages=[Vantage(payloads.sources[code], form, 0) for code in codes],
        frames=frames,
        rejects=rejected(refused, vantage),
        counts=counted(payloads, vantage, records, refused, ignored),
    )


def refused_lines(payloads: Payloads, faults: Int8s, table: Sequence[Fault]) -> list[Refused]:
    """Lines with a fault, for `outcome.rejected`; ``table`` has the faults by number."""
    return [
        Refused(row, table[faults[row]].reason, table[faults[row]].detail, line, len(line))
        for row in np.flatnonzero(faults != NO_FAULT).tolist()
        for line in [payloads.payload[row].as_py()]
    ]


def _fault_without_brace(line: str) -> int:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return LineFault.NOT_JSON
    return LineFault.NOT_OBJECT


def _read_slice(
    lines: pl.Series, schemas: Sequence[pl.Schema], shape: msgspec.json.Decoder[object]
) -> tuple[list[pl.DataFrame], Int8s]:
    """Fields of those lines that are JSON objects of this shape, and the faults of all."""
    faults = np.full(len(lines), NO_FAULT, np.int8)
    frame = _read(lines, schemas)
    if frame is not None:
        return [frame], faults
    faults[:] = [_fault(line, shape) for line in lines]
    parts = []
    # Where Polars is stricter than expected, halves find the line.
    work = [np.flatnonzero(faults == NO_FAULT)]
    while work:
        rows = work.pop()
        frame = _read(lines.gather(rows), schemas)
        if frame is not None:
            parts.append(frame)
        elif len(rows) == 1:
            faults[rows] = _SHAPE
        else:
            middle = len(rows) // 2
            work += [rows[middle:], rows[:middle]]
    return parts, faults


def _read(lines: pl.Series, schemas: Sequence[pl.Schema]) -> pl.DataFrame | None:
    """Fields of lines, each without a line break; None if any is no JSON object."""
    if len(lines) == 0:
        return pl.DataFrame(schema=schemas[-1])
    texts = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
    joined = pc.binary_join_element_wise(texts, _BREAK, _NOTHING).buffers()[2].to_pybytes()
    for fields in schemas:
        try:
            frame = pl.read_ndjson(joined, schema=fields)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        if frame.height == len(lines):
            return frame
    return None


def _shape(dtype: pl.DataType | DataTypeClass) -> Any:
    """A type that says which values have which shape; of others it says nothing."""
    if isinstance(dtype, pl.Struct):
        fields = [
            (
                f"field_{place}",
                _shape(field.dtype) | None,
                msgspec.field(default=None, name=field.name),
            )
            for place, field in enumerate(dtype.fields)
        ]
        return msgspec.defstruct("Shape", fields)
    if isinstance(dtype, pl.List):
        return GenericAlias(list, (_shape(dtype.inner) | None,))
    return object


def _fault(line: str, shape: msgspec.json.Decoder[object]) -> int:
    if _refused(line):
        return LineFault.NOT_JSON
    try:
        shape.decode(line)
    except msgspec.ValidationError:
        return _SHAPE
    except RecursionError:
        pass
    return NO_FAULT


_LONG_NUMBER: Final = re.compile("[0-9]{39}")
_MAX_INTEGER: Final = (1 << 128) - 1


def _refused(line: str) -> bool:
    """Whether a line is no JSON, in the sense Polars has; too deep a line is left to it."""
    try:
        value = msgspec.json.decode(line)
    except RecursionError:
        return False
    except msgspec.DecodeError:
        return True
    return _LONG_NUMBER.search(line) is not None and _holds_long_integer(value)


def _holds_long_integer(value: object) -> bool:
    """Whether any integer in it has more bits than Polars reads."""
    waiting = [value]
    while waiting:
        top = waiting.pop()
        if isinstance(top, dict):
            waiting.extend(top.values())
        elif isinstance(top, list):
            waiting.extend(top)
        elif isinstance(top, int) and abs(top) > _MAX_INTEGER:
            return True
    return False
