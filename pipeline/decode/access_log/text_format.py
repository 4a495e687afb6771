"""
Text lines to fields, by the format they are written in.

Where no format is declared, those that meshes write by default are tried in
turn; what none of them describes is refused.

Before: __init__.py. After: fields.py.
Source: istio/pilot/pkg/model/telemetry_logging.go and its history; Envoy,
default format; kuma, meshaccesslog plugin.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.decode.access_log.format_string import Format, FormatString, compile_format
from pipeline.decode.access_log.line_cutter import cut, plan
from pipeline.decode.lines import Fault, Faults, without_stamp

Rows = npt.NDArray[np.int64]

_REQUEST: Final = '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"'
_SIZES: Final = (
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"
    ' "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%"'
)
_TARGET: Final = '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
_ENDS: Final = (
    "%UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS%"
    " %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME%"
)
_STATUS: Final = "%RESPONSE_CODE% %RESPONSE_FLAGS%"
_DETAILS: Final = "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%"
_MIXER: Final = '"%DYNAMIC_METADATA(istio.mixer:status)%"'
_FAILURE: Final = '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"'

FORMATS: Final = {
    "istio": f"{_REQUEST} {_STATUS} {_DETAILS} {_FAILURE} {_SIZES} {_TARGET} {_ENDS} %ROUTE_NAME%",
    "envoy": f"{_REQUEST} {_STATUS} {_SIZES} {_TARGET}",
    "kuma http": (
        '[%START_TIME%] %KUMA_MESH% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"'
        f' {_STATUS} {_SIZES} "%REQ(X-B3-TRACEID?X-DATADOG-TRACEID)%" "%REQ(X-REQUEST-ID)%"'
        ' "%REQ(:AUTHORITY)%" "%KUMA_SOURCE_SERVICE%" "%KUMA_DESTINATION_SERVICE%"'
        ' "%KUMA_SOURCE_ADDRESS_WITHOUT_PORT%" "%UPSTREAM_HOST%"'
    ),
    "kuma tcp": (
        "[%START_TIME%] %RESPONSE_FLAGS% %KUMA_MESH%"
        " %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%(%KUMA_SOURCE_SERVICE%)"
        "->%UPSTREAM_HOST%(%KUMA_DESTINATION_SERVICE%)"
        " took %DURATION%ms, sent %BYTES_SENT% bytes, received: %BYTES_RECEIVED% bytes"
    ),
    "istio 1.8": f"{_REQUEST} {_STATUS} {_FAILURE} {_SIZES} {_TARGET} {_ENDS} %ROUTE_NAME%",
    "istio 1.3 to 1.7": (
        f"{_REQUEST} {_STATUS} {_MIXER} {_FAILURE} {_SIZES} {_TARGET} {_ENDS} %ROUTE_NAME%"
    ),
    "istio 1.1, 1.2": f"{_REQUEST} {_STATUS} {_MIXER} {_FAILURE} {_SIZES} {_TARGET} {_ENDS}",
}
"""
Formats that are tried where none is declared, in this order. One line here adds one.

The first `_STILL_WRITTEN` of them are tried, too, where a value holds what
looks like a literal.
"""

_STILL_WRITTEN: Final = 2
_OPENING: Final = r"^(?:[0-9T:.Z+-]+ (?:(?:stdout|stderr) F )?)?\[[0-9]{4}-[0-9]{2}-[0-9]{2}T"
"""What a line of any of them begins with."""


class TextReader:
    """Lines of one text format, or of those that are known where none is declared."""

    def __init__(self, declared: Format | None) -> None:
        formats = [declared] if declared else [compile_format(text) for text in FORMATS.values()]
        self._strings = [one.strings[()] for one in formats]
        self._opening = None if declared else _OPENING
        self._otherwise = Fault.OTHER_FORMAT if declared else Fault.NO_FORMAT

    def read(self, text: pl.Series, faults: Faults) -> Iterator[tuple[Rows, pl.DataFrame]]:
        """Which of n lines are of a format, and their fields; lines of none get a fault."""
        if self._opening is not None:
            faults[~text.str.contains(self._opening).to_numpy()] = self._otherwise
        left = np.flatnonzero(faults == Fault.NONE)
        for strict, strings in ((True, self._strings), (False, self._strings[:_STILL_WRITTEN])):
            for string in strings:
                if not len(left):
                    return
                fields, found = read_string(text.gather(left), string, strict=strict)
                yield left[found == Fault.NONE], fields
                faults[left[found == Fault.AMBIGUOUS]] = Fault.AMBIGUOUS
                left = left[found == Fault.OTHER_FORMAT]
        faults[left] = self._otherwise


def read_string(
    text: pl.Series, string: FormatString, *, strict: bool
) -> tuple[pl.DataFrame, Faults]:
    """
    Read n texts of one format string.

    Parameters
    ----------
    text
        n lines, nulls among them; a stamp in front is left out if need be.
    strict
        Read only what holds nothing in its values that looks like a literal;
        else whatever can be read in one way.

    Returns
    -------
    DataFrame
        A row for each text that is read, in order; a column for each field.
    array
        int8[n]: `Fault.NONE` for those; for the others what is wrong.
    """
    faults = np.full(len(text), Fault.OTHER_FORMAT, np.int8)
    read = _read_strictly if strict else _read_any_way
    rows, parts = [], []
    lines, at = text, np.arange(len(text))
    for _ in range(2):
        fields, found = read(lines, string)
        faults[at] = found
        rows.append(at[found == Fault.NONE])
        parts.append(fields)
        at = at[found == Fault.OTHER_FORMAT]
        if not len(at):
            break
        lines = without_stamp(text.gather(at))
    fields = pl.concat(parts) if len(parts) > 1 else parts[0]
    if len(parts) > 1 and len(rows[1]):
        fields = fields[np.argsort(np.concatenate(rows))]
    return fields, faults


def _read_strictly(text: pl.Series, string: FormatString) -> tuple[pl.DataFrame, Faults]:
    """As `read_string`, without regard to stamps."""
    columns, fits = cut(text, plan(string))
    of_it = pl.DataFrame([one.alias(str(n)) for n, one in enumerate(fits)]).select(
        pl.all_horizontal(pl.all().fill_null(value=False))
    )
    fields = pl.DataFrame([column.alias(field) for field, column in columns.items()])
    mask = of_it.to_series()
    faults = np.where(mask.to_numpy(), Fault.NONE, Fault.OTHER_FORMAT).astype(np.int8)
    return fields if mask.all() else fields.filter(mask), faults


def _read_any_way(text: pl.Series, string: FormatString) -> tuple[pl.DataFrame, Faults]:
    """As `read_string`, without regard to stamps; one by one, for such lines are odd and few."""
    faults = np.full(len(text), Fault.OTHER_FORMAT, np.int8)
    rows: list[list[str]] = []
    for n, line in enumerate(text):
        values = string.values(line) if line is not None else None
        if values is not None:
            faults[n] = Fault.NONE if values else Fault.AMBIGUOUS
            rows += [values] if values else []
    wanted = [(n, one.field) for n, one in enumerate(string.operators) if one.field is not None]
    columns = {field: [values[n] for values in rows] for n, field in wanted}
    return pl.DataFrame(columns, dict.fromkeys(columns, pl.String)), faults
