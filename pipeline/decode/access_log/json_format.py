"""
JSON lines to fields, as texts.

Of a key written twice the first counts; numbers may be text, and the other way
round. Text that reads as a JSON array or object is null, for it was one.

Before: __init__.py, json_lines.py. After: fields.py.
"""

from typing import Any, Final

import numpy as np
import polars as pl
import polars.selectors as cs

from pipeline.decode.access_log.fields import JSON_KEYS, NUMBERS
from pipeline.decode.access_log.format_string import Format
from pipeline.decode.access_log.text_format import read_string
from pipeline.decode.json_lines import NO_FAULT, read_objects
from pipeline.decode.lines import Fault, Faults

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
        found = np.full(len(text), NO_FAULT, np.int8)
        if (faults != Fault.NONE).any():
            text = text.set(pl.Series(faults != Fault.NONE), None)
        # Numbers are numbers in nearly all logs, and read faster as such.
        frame, _ = read_objects(text, found, (self._as_numbers, self._as_text))
        faults[found != NO_FAULT] = Fault.NOT_JSON
        return self._cut_out(self._flat(frame))

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
        told = [column.name for column in frame if column.null_count() < len(column)]
        text = (cs.by_name(told) & cs.string()).exclude(_NOT_OPENED)
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
