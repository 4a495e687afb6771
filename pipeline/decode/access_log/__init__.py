"""
Access logs of Envoy, text and JSON: one line in, one request row out.

    [2026-11-24T03:02:52.011Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 17 ...
    {"authority": "...", "response_code": 200, "start_time": "2026-11-24T03:02:52.011Z", ...}

A line is read by the format that its agent declares; where none is, JSON by
the keys of Istio's default format and others in their style, text by the
defaults of Istio, Envoy and Kuma. The stamp a container runtime writes in
front is left out. Lines of other logs in the same container are counted and
ignored. A line is refused without a usable start time, with a response code
that is no number of 0..999, or if it can be read in several ways; any other
field that cannot be what it should is null.

    format_string, operators, start_time   Envoy's format strings
    json_format               JSON lines to fields
    text_format, line_cutter  text lines to fields
    container_log             lines of other logs
    fields                    fields to columns

Before: lines.py. After: requests.py, rejects.py, normalize.py.
Source: Envoy access log command operators; Istio telemetry_logging.go.
"""

from collections.abc import Iterator
from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.log import Place
from pipeline import schema
from pipeline.decode import Decoded, Payloads, Vantage
from pipeline.decode.access_log.container_log import ContainerLogs
from pipeline.decode.access_log.fields import read_fields
from pipeline.decode.access_log.format_string import Format, compile_format
from pipeline.decode.access_log.json_format import JsonReader
from pipeline.decode.access_log.text_format import Rows, TextReader
from pipeline.decode.lines import REASONS, Fault, Faults, read_lines, without_stamp
from pipeline.decode.outcome import Refused, counted, rejected
from pipeline.decode.requests import declared_columns, request_rows
from pipeline.errors import FormatError


class AccessLog:
    """The decoder of kind ``access_log``; see `pipeline.decode.Decoder`."""

    def __init__(self) -> None:
        self._container_logs = ContainerLogs()

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these lines."""
        raw = pl.Series(payloads.payload, dtype=pl.Binary)
        faults = np.full(len(raw), Fault.NONE, np.int8)
        text = read_lines(raw, faults)
        rows: list[Rows] = []
        frames: list[pl.DataFrame] = []
        is_json = np.zeros(len(raw), np.bool_)
        for declared, at in _by_format(payloads):
            part = faults[at]
            json = is_json[at]
            for found, columns in read_texts(text.gather(at), declared, part, json):
                rows.append(at[found])
                frames.append(columns)
            faults[at], is_json[at] = part, json
        self._container_logs.ignore(text, payloads.source, payloads.sources, faults)
        vantages, vantage = _vantages(payloads, is_json)
        ignored = faults == Fault.IGNORED
        refused = [
            Refused(row, *REASONS[Fault(faults[row])], line, len(line))
            for row in np.flatnonzero((faults != Fault.NONE) & ~ignored).tolist()
            for line in [payloads.payload[row].as_py()]
        ]
        records = (faults == Fault.NONE).astype(np.int64)
        whose = pl.DataFrame({"vantage": vantage, "received_ns": payloads.received_ns})
        return Decoded(
            vantages=vantages,
            frames={"requests": _requests(whose, vantages, rows, frames)},
            rejects=rejected(refused, vantage),
            counts=counted(payloads, vantage, records, refused, ignored.astype(np.int64)),
        )

    def snapshot(self, place: Place) -> bytes:
        """Who left off within an entry of another log."""
        return self._container_logs.snapshot(place)

    def restore(self, place: Place, state: bytes) -> None:
        """Replace that."""
        self._container_logs.restore(place, state)


def _by_format(payloads: Payloads) -> Iterator[tuple[str, Rows]]:
    """Each declared format, and the payloads it is declared of."""
    formats = [source.declared.format for source in payloads.sources]
    distinct = sorted(set(formats))
    if len(distinct) <= 1:
        yield from ((text, np.arange(len(payloads.source))) for text in distinct)
        return
    code = np.array([distinct.index(text) for text in formats], np.int32)[payloads.source]
    for n, text in enumerate(distinct):
        yield text, np.flatnonzero(code == n)


@lru_cache(maxsize=64)
def _readers(declared: str) -> tuple[JsonReader | None, TextReader | None, Format | None]:
    """What reads JSON lines and text lines of a declared format; neither if it is of no use."""
    if not declared:
        return JsonReader(None), TextReader(None), None
    try:
        found = compile_format(declared)
    except FormatError:
        return None, None, None
    if found.is_json:
        return JsonReader(found), None, found
    return None, TextReader(found), found


def read_texts(
    text: pl.Series, declared: str, faults: Faults, is_json: npt.NDArray[np.bool_]
) -> Iterator[tuple[Rows, pl.DataFrame]]:
    """Rows of n lines of one declared format that are of use, and their columns."""
    by_json, by_text, compiled = _readers(declared)
    time = compiled.time if compiled else None
    if by_json is None and by_text is None:
        faults[faults == Fault.NONE] = Fault.UNUSABLE
        return
    for rows, fields in _fields(text, by_json, by_text, faults, is_json):
        columns, found = read_fields(fields, time)
        faults[rows] = found
        good = found == Fault.NONE
        if good.any():
            yield rows[good], columns if good.all() else columns.filter(pl.Series(good))


def _fields(
    text: pl.Series,
    by_json: JsonReader | None,
    by_text: TextReader | None,
    faults: Faults,
    is_json: npt.NDArray[np.bool_],
) -> Iterator[tuple[Rows, pl.DataFrame]]:
    """Rows that a reader could read, and their fields; the others get their fault."""
    braced = np.zeros(len(text), np.bool_)
    if by_json is not None:
        lines, braced = _braced(text)
        at = np.flatnonzero(braced)
        part = faults[at]
        fields = by_json.read(lines.gather(at) if len(at) < len(text) else lines, part)
        faults[at] = part
        yield at[part == Fault.NONE], fields
    is_json[:] = braced if by_text is not None else True
    rest = np.flatnonzero(~braced & (faults == Fault.NONE))
    if not len(rest):
        return
    others = text.gather(rest)
    part = np.full(len(rest), Fault.NONE if by_text else Fault.NOT_JSON, np.int8)
    if by_text is not None:
        for found, fields in by_text.read(others, part):
            yield rest[found], fields
    if by_json is not None:
        for n in np.flatnonzero(part != Fault.NONE):
            if part[n] != Fault.AMBIGUOUS and _is_json(others[int(n)]):
                part[n] = Fault.NOT_OBJECT
    wrong = part != Fault.NONE
    faults[rest[wrong]] = part[wrong]


def _braced(text: pl.Series) -> tuple[pl.Series, npt.NDArray[np.bool_]]:
    """Lines, those of JSON objects without a stamp in front; and which are such."""
    braced = text.str.starts_with("{").fill_null(value=False)
    if braced.all() or not text.str.contains("^[0-9]").any():
        return text, braced.to_numpy()
    frame = pl.DataFrame({"text": text, "bare": without_stamp(text)})
    text = frame.select(
        pl.when(pl.col("bare").str.starts_with("{")).then("bare").otherwise("text")
    ).to_series()
    return text, text.str.starts_with("{").fill_null(value=False).to_numpy()


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _vantages(
    payloads: Payloads, is_json: npt.NDArray[np.bool_]
) -> tuple[list[Vantage], npt.NDArray[np.int32]]:
    """Who wrote in which encoding, and which of these each line is of."""
    used, vantage = np.unique(payloads.source * 2 + is_json, return_inverse=True)
    formats = ("envoy_text", "envoy_json")
    vantages = [Vantage(payloads.sources[code // 2], formats[code % 2], 0) for code in used]
    return vantages, vantage.astype(np.int32)


def _requests(
    lines: pl.DataFrame, vantages: list[Vantage], rows: list[Rows], frames: list[pl.DataFrame]
) -> pl.DataFrame:
    """Rows of all lines that are of use, in order of the lines."""
    if not any(map(len, rows)):
        return pl.DataFrame(schema=schema.DECODED_REQUESTS)
    at = np.concatenate(rows)
    columns = pl.concat(frames, how="diagonal")
    if len(frames) > 1:
        order = np.argsort(at)
        at, columns = at[order], columns[order]
    whose = lines[at]
    sources = [one.source for one in vantages]
    whose = whose.with_columns(**declared_columns(sources, whose["vantage"].to_numpy()))
    mesh = [pl.col("mesh")] if "mesh" in columns.columns else []
    together = whose.hstack(columns).with_columns(
        mesh=pl.coalesce("declared_mesh", *mesh), proxy_model="declared_model"
    )
    return request_rows(together)
