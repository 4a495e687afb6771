"""
Payloads to lines of text, and everything that can be wrong with one.

A container runtime, or kubectl, writes a stamp in front of each line:

    2024-01-01T00:00:00.123Z stdout F {"authority": ...
    2024-01-01T00:00:00.123Z [2024-01-01T00:00:00.001Z] "GET ...

Before: access_log. After: json_lines.py, access_log/text_format.py.
"""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.rejects import Reason

MAX_LINE_BYTES: Final = 262_144
"""Longer lines are no access log; agents leave them out by default."""

SPACE: Final = " \t\r\n"
_STAMP: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ \t]+ (?:(?:stdout|stderr) F )?"

Faults = npt.NDArray[np.int8]
"""int8[n] of `Fault`."""


class Fault(IntEnum):
    """What is wrong with a line; its name and number never leave the decoder."""

    NONE = -1
    EMPTY = 0
    LONG = 1
    NOT_UTF8 = 2
    LINES = 3
    NOT_JSON = 4
    NOT_OBJECT = 5
    NO_START = 6
    BAD_START = 7
    BAD_STATUS = 8
    NO_FORMAT = 9
    OTHER_FORMAT = 10
    AMBIGUOUS = 11
    UNUSABLE = 12
    IGNORED = 13
    """Nothing is wrong: a line of another log that shares the file."""


REASONS: Final = {
    Fault.EMPTY: (Reason.PAYLOAD_EMPTY, "no text"),
    Fault.LONG: (Reason.LINE_TOO_LONG, f"more than {MAX_LINE_BYTES} bytes"),
    Fault.NOT_UTF8: (Reason.JSON_MALFORMED, "not UTF-8"),
    Fault.LINES: (Reason.JSON_MALFORMED, "more than one line"),
    Fault.NOT_JSON: (Reason.JSON_MALFORMED, "not one JSON value"),
    Fault.NOT_OBJECT: (Reason.JSON_NOT_OBJECT, "a JSON value, but no object"),
    Fault.NO_START: (Reason.REQUIRED_MISSING, "start_time"),
    Fault.BAD_START: (Reason.FIELD_INVALID, "start_time"),
    Fault.BAD_STATUS: (Reason.FIELD_INVALID, "response_code"),
    Fault.NO_FORMAT: (Reason.FORMAT_MISMATCH, "of no format that is known; declare it"),
    Fault.OTHER_FORMAT: (Reason.FORMAT_MISMATCH, "not of the format that is declared"),
    Fault.AMBIGUOUS: (Reason.FORMAT_MISMATCH, "can be read in several ways"),
    Fault.UNUSABLE: (Reason.FORMAT_UNUSABLE, "the format that is declared cannot be used"),
}


def read_lines(raw: pl.Series, faults: Faults) -> pl.Series:
    """Text of each line, without space around it; null where there is a fault, which is noted."""
    long = (raw.bin.size() > MAX_LINE_BYTES).to_numpy()
    faults[long] = Fault.LONG
    if long.any():
        raw = raw.set(pl.Series(long), None)
    try:
        text = raw.cast(pl.String)
    except pl.exceptions.PolarsError:
        text = pl.Series([_utf8(line) for line in raw], dtype=pl.String)
        faults[text.is_null().to_numpy() & ~long] = Fault.NOT_UTF8
    text = text.str.strip_chars(SPACE)
    broken = text.str.contains("\n", literal=True).fill_null(value=False).to_numpy()
    faults[broken] = Fault.LINES
    faults[(text == "").fill_null(value=False).to_numpy()] = Fault.EMPTY
    return text.set(pl.Series(faults != Fault.NONE), None) if (faults != Fault.NONE).any() else text


def without_stamp(text: pl.Series) -> pl.Series:
    """Lines without the stamp in front of them."""
    return text.str.replace(_STAMP, "").str.strip_chars(SPACE)


def _utf8(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None
