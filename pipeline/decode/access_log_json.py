"""
JSON lines to fields, as texts.

Slices of lines are parsed at once. If one of a slice is no JSON, each is
looked at alone, and the good ones are parsed together: a bad line costs time,
never rows. Lines cannot reach into each other, whatever is in them: Polars
cuts at line breaks before it parses, and a line with a break in it is refused.

Of a key written twice the first counts; numbers may be text, and the other way
round. Text that reads as a JSON array or object is null, for it was one.

Before: access_log.py. After: access_log_fields.py.
"""

import re
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.decode.access_log_fields import JSON_KEYS, NUMBERS
from pipeline.decode.access_log_lines import Fault, Faults
from pipeline.decode.access_log_text import read_string
from pipeline.decode.format_string import Format

_SLICE_BYTES: Final = 8 << 20
"""Text parsed at once: bounds what numbers written out in full may come to."""

_BREAK: Final = pa.scalar("\n", pa.large_string())
_NOTHING: Final = pa.scalar("", pa.large_string())
_BRACKETED_V6: Final = r"^\[[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*\]$"
_INTEGERS: Final = {*NUMBERS, "response_code"} - {"upstream_service_time"}
_NOT_OPENED: Final = ("start_time", "response_code")
"""Those are looked at as they are: a list is no value of theirs."""

_Schema = dict[str, Any]


class JsonReader:
    """Lines of one JSON format, or of the keys that are known where none is declared."""

    def __init__(self, declared: Format | None) -> None:
        self._paths: dict[tuple[str, ...], str] = {(key,): key for key in JSON_KEYS}
        if declared is not None:
            # What holds more than an operator is cut up later.
            self._paths = {
                path: string.fields[0] if string.alone else f"string {n}"
                for n, (path, string) in enumerate(declared.strings.items())
            }
        self._longer = {
            self._paths[path]: string
            for path, string in (declared.strings if declared else {}).items()
            if not string.alone
        }
        self._as_text = self._schema(pl.String())
        self._as_numbers = self._schema(pl.Int64())

    def read(self, text: pl.Series, faults: Faults) -> pl.DataFrame:
        """Fields of n lines of an opening brace; those of lines that get a fault are left out."""
        # Half a surrogate pair is no text; Polars would let it pass.
        for row in np.flatnonzero(text.str.contains(r"\\u[dD]").to_numpy()):
            if _refused(text[int(row)]):
                faults[row] = Fault.NOT_JSON
        at = np.flatnonzero(faults == Fault.NONE)
        lines = text.gather(at)
        ends = np.cumsum(lines.str.len_bytes().cast(pl.Int64).to_numpy())
        cuts = np.searchsorted(
            ends, np.arange(_SLICE_BYTES, ends[-1] if len(at) else 0, _SLICE_BYTES)
        )
        borders = [0, *np.unique(cuts[cuts > 0]).tolist(), len(at)]
        parts = []
        kept = np.zeros(len(at), np.bool_)
        for first, after in pairwise(borders):
            frame, good = self._read_slice(lines[first:after])
            parts.append(frame)
            kept[first:after] = good
        faults[at[~kept]] = Fault.NOT_JSON
        return self._cut_out(pl.concat(parts, how="vertical_relaxed"))

    def _read_slice(self, lines: pl.Series) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
        """Fields of those lines that are JSON objects, and which those are."""
        frame = self._parse(lines)
        if frame is not None:
            return frame, np.ones(len(lines), np.bool_)
        kept = ~np.fromiter((_refused(line) for line in lines), np.bool_, len(lines))
        parts = [self._flat(pl.DataFrame(schema=self._as_text))]
        # Where Polars is stricter than expected, halves find the line.
        work = [np.flatnonzero(kept)]
        while work:
            rows = work.pop()
            frame = self._parse(lines.gather(rows))
            if frame is not None:
                parts.append(frame)
            elif len(rows) == 1:
                kept[rows] = False
            else:
                middle = len(rows) // 2
                work += [rows[middle:], rows[:middle]]
        return pl.concat(parts, how="vertical_relaxed"), kept

    def _parse(self, lines: pl.Series) -> pl.DataFrame | None:
        """Fields of lines, each without a line break; None if any is no JSON object."""
        if len(lines) == 0:
            return self._flat(pl.DataFrame(schema=self._as_text))
        texts = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
        joined = pc.binary_join_element_wise(texts, _BREAK, _NOTHING).buffers()[2].to_pybytes()
        # Numbers are numbers in nearly all logs, and read faster as such.
        for fields in (self._as_numbers, self._as_text):
            try:
                frame = pl.read_ndjson(joined, schema=fields)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
                continue
            if frame.height == len(lines):
                return self._flat(frame)
        return None

    def _schema(self, integer: pl.DataType) -> pl.Schema:
        """Types of the keys, nested as they are; numbers as told."""
        tree: _Schema = {}
        for path, name in self._paths.items():
            inner = tree
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
            inner[path[-1]] = integer if name in _INTEGERS else pl.String()
        return pl.Schema({key: _dtype(value) for key, value in tree.items()})

    def _flat(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Fields by name; lists and objects are null."""
        frame = frame.select(_at(path).alias(name) for path, name in self._paths.items())
        text = cs.string().exclude(_NOT_OPENED)
        opened = frame.select((text.str.starts_with("{") | text.str.starts_with("[")).any())
        names = [name for name in opened.columns if opened[name][0]]
        if not names:
            return frame
        values = pl.col(names)
        listed = values.str.starts_with("[") & values.str.ends_with("]")
        listed &= ~values.str.contains(_BRACKETED_V6)
        listed |= values.str.starts_with("{") & values.str.ends_with("}")
        return frame.with_columns(pl.when(~listed).then(values))

    def _cut_out(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Fields within strings that hold more than one operator; null where it is not so."""
        for name, string in self._longer.items():
            text = frame.drop_in_place(name)
            rows, parts = [], []
            left = np.arange(len(text))
            for strict in (True, False):
                fields, faults = read_string(text.gather(left), string, strict=strict)
                rows.append(left[faults == Fault.NONE])
                parts.append(fields)
                left = left[faults != Fault.NONE]
            place = np.full(len(text), -1)
            place[np.concatenate(rows)] = np.arange(sum(map(len, rows)))
            index = pl.Series(place).replace(-1, None)
            frame.hstack([column.gather(index) for column in pl.concat(parts)], in_place=True)
        return frame


def _dtype(value: Any) -> pl.DataType:
    if isinstance(value, dict):
        return pl.Struct({key: _dtype(inner) for key, inner in value.items()})
    return value  # type: ignore[no-any-return]


def _at(path: tuple[str, ...]) -> pl.Expr:
    value = pl.col(path[0])
    for key in path[1:]:
        value = value.struct.field(key)
    return value


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
