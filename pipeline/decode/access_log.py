"""
JSON access logs of Envoy and Istio: one line in, one request row out.

    {"authority": "...", "response_code": 200, "start_time": "2026-11-24T03:02:52.011Z", ...}

Keys are those of Istio's default JSON format and seven more, for identities
and TLS; other keys are left out, and so is the stamp a container runtime
writes in front (``2024-01-01T00:00:00Z stdout F {...}``). A key absent, null,
"-" or "" is null; of a key written twice the first counts; numbers may be
text, and the other way round. Text that reads as a JSON array or object is
null, for it was one. A line is refused without a usable ``start_time``, or
with a ``response_code`` that is no number of 0..999. Any other field that
cannot be what it should is null.

Slices of lines are parsed at once. If one of a slice is no JSON, each is
looked at alone, and the good ones are parsed together: a bad line costs time,
never rows. Lines cannot reach into each other, whatever is in them: Polars
cuts at line breaks before it parses, and a line with a break in it is refused.

Before: decode/__init__.py. After: addresses.py, requests.py, rejects.py, normalize.py.
Source: Envoy access log command operators; Istio telemetry_logging.go.
"""

import re
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute as pc

from collectors.log import Place
from pipeline import accounting, rejects, schema
from pipeline.decode import Declared, Decoded, Payloads, Vantage
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.requests import request_rows
from pipeline.rejects import RAW_BYTES, Reason

MAX_LINE_BYTES: Final = 262_144
"""Longer lines are no access log; agents leave them out by default."""

_SLICE_BYTES: Final = 8 << 20
"""Text parsed at once: bounds what numbers written out in full may come to."""

_MINUTE_NS: Final = 60 * 10**9
_BREAK: Final = pa.scalar("\n", pa.large_string())
_NOTHING: Final = pa.scalar("", pa.large_string())
_SPACE: Final = " \t\r\n"
_CRI: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]+ (?:stdout|stderr) F (.*)$"

_FAULTS: Final = (
    (Reason.PAYLOAD_EMPTY, "no text"),
    (Reason.LINE_TOO_LONG, f"more than {MAX_LINE_BYTES} bytes"),
    (Reason.JSON_MALFORMED, "not UTF-8"),
    (Reason.JSON_MALFORMED, "more than one line"),
    (Reason.JSON_MALFORMED, "not one JSON value"),
    (Reason.JSON_NOT_OBJECT, "a JSON value, but no object"),
    (Reason.REQUIRED_MISSING, "start_time"),
    (Reason.FIELD_INVALID, "start_time"),
    (Reason.FIELD_INVALID, "response_code"),
)
_EMPTY, _LONG, _NOT_UTF8, _LINES, _NOT_JSON, _NOT_OBJECT, _NO_START, _BAD_START, _BAD_CODE = range(
    len(_FAULTS)
)
_NO_FAULT: Final = -1

# Key in the log to column, where the column is the text.
_COPIED: Final = {
    "method": "method",
    "authority": "authority",
    "response_code_details": "response_code_details",
    "connection_termination_details": "termination_details",
    "upstream_transport_failure_reason": "upstream_failure",
    "request_id": "request_id",
    "requested_server_name": "sni",
    "route_name": "route",
    "upstream_cluster": "upstream_cluster",
    "downstream_peer_uri_san": "downstream_peer_identity",
    "downstream_local_uri_san": "downstream_local_identity",
    "upstream_peer_uri_san": "upstream_peer_identity",
    "downstream_tls_version": "downstream_tls",
    "upstream_tls_version": "upstream_tls",
}
_ADDRESSES: Final = {
    "downstream_remote_address": "downstream_remote",
    "downstream_local_address": "downstream_local",
    "upstream_local_address": "upstream_local",
    "upstream_host": "upstream_remote",
}
_NUMBERS: Final = {
    "bytes_received": "bytes_received",
    "bytes_sent": "bytes_sent",
    "upstream_request_attempt_count": "attempts",
    "duration": "duration_ms",
    "upstream_service_time": "upstream_ms",  # a header: text
}
_INTEGERS: Final = (*list(_NUMBERS)[:4], "response_code")
_OTHERS: Final = (
    "protocol",
    "path",
    "start_time",
    "response_flags",
    "traffic_direction",
    "upstream_service_time",
    "user_agent",
)
_AS_TEXT: Final = pl.Schema(
    dict.fromkeys((*_COPIED, *_ADDRESSES, *_OTHERS, *_INTEGERS), pl.String())
)
_AS_NUMBERS: Final = pl.Schema(_AS_TEXT | dict.fromkeys(_INTEGERS, pl.Int64()))

_TIME: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
)
_TIME_LIMIT_S: Final = 9_223_372_035  # what nanoseconds in 64 bits reach, either way from 1970
_BRACKETED_V6: Final = r"^\[[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*\]$"

_Int8s = npt.NDArray[np.int8]
_Int64s = npt.NDArray[np.int64]


class AccessLog:
    """The decoder of kind ``access_log``; see `pipeline.decode.Decoder`. Remembers nothing."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these lines."""
        used, vantage = np.unique(payloads.source, return_inverse=True)
        lines = pl.DataFrame(
            {
                "vantage": vantage.astype(np.int32),
                "received_ns": payloads.received_ns,
                "payload": np.arange(len(vantage), dtype=np.int32),
                "raw": pl.Series(payloads.payload, dtype=pl.Binary),
            }
        )
        faults = np.full(len(lines), _NO_FAULT, np.int8)
        text = _texts(lines["raw"], faults)
        fields, at = _parse(text, faults)
        fields = fields.with_columns(_start_ns())
        kept = _usable(fields, at, faults)
        good = (
            lines[at[kept]]
            .select("vantage", "received_ns")
            .with_columns(*_declared([payloads.sources[code].declared for code in used]))
        )
        rows = pl.concat([good, fields.filter(kept)], how="horizontal")
        return Decoded(
            vantages=[Vantage(payloads.sources[code], "envoy_json", 0) for code in used],
            frames={"requests": _requests(rows)},
            rejects=_rejects(lines, faults),
            counts=_counts(lines, faults),
        )

    def snapshot(self, place: Place) -> bytes:
        """Nothing: each line stands for itself."""
        del place
        return b""

    def restore(self, place: Place, state: bytes) -> None:
        """Nothing to forget."""
        del place, state


def _texts(raw: pl.Series, faults: _Int8s) -> pl.Series:
    """Text that opens with a brace, for every line that has no fault yet; else null."""
    long = (raw.bin.size() > MAX_LINE_BYTES).to_numpy()
    faults[long] = _LONG
    if long.any():
        raw = raw.set(pl.Series(long), None)
    try:
        text = raw.cast(pl.String)
    except pl.exceptions.PolarsError:
        text = pl.Series([_utf8(line) for line in raw], dtype=pl.String)
        faults[text.is_null().to_numpy() & ~long] = _NOT_UTF8
    text = text.str.strip_chars(_SPACE)
    braced = text.str.starts_with("{")
    if not braced.all(ignore_nulls=False):
        stamped = text.str.extract(_CRI).str.strip_chars(_SPACE)
        frame = pl.DataFrame({"text": text, "stamped": stamped, "braced": braced})
        text = frame.select(
            pl.when("braced").then("text").otherwise(pl.coalesce("stamped", "text"))
        ).to_series()
        for row in np.flatnonzero((~text.str.starts_with("{")).fill_null(value=False).to_numpy()):
            faults[row] = _fault_without_brace(text[int(row)])
    faults[text.str.contains("\n", literal=True).fill_null(value=False).to_numpy()] = _LINES
    # Half a surrogate pair is no text; Polars would let it pass.
    for row in np.flatnonzero(text.str.contains(r"\\u[dD]").fill_null(value=False).to_numpy()):
        if _refused(text[int(row)]):
            faults[row] = _NOT_JSON
    return text.set(pl.Series(faults != _NO_FAULT), None)


def _utf8(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None


def _fault_without_brace(line: str) -> int:
    if not line:
        return _EMPTY
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return _NOT_JSON
    return _NOT_OBJECT


def _parse(text: pl.Series, faults: _Int8s) -> tuple[pl.DataFrame, _Int64s]:
    """Fields of each line that is a JSON object, and which lines those are."""
    at = np.flatnonzero(faults == _NO_FAULT)
    lines = text.gather(at)
    ends = np.cumsum(lines.str.len_bytes().cast(pl.Int64).to_numpy())
    cuts = np.searchsorted(ends, np.arange(_SLICE_BYTES, ends[-1] if len(at) else 0, _SLICE_BYTES))
    borders = [0, *np.unique(cuts[cuts > 0]).tolist(), len(at)]
    parts = []
    kept = np.zeros(len(at), np.bool_)
    for first, after in pairwise(borders):
        frame, good = _parse_slice(lines[first:after])
        parts.append(frame)
        kept[first:after] = good
    faults[at[~kept]] = _NOT_JSON
    return pl.concat(parts), at[kept]


def _parse_slice(lines: pl.Series) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    """Fields of those lines that are JSON objects, and which those are."""
    frame = _read(lines)
    if frame is not None:
        return frame, np.ones(len(lines), np.bool_)
    kept = ~np.fromiter((_refused(line) for line in lines), np.bool_, len(lines))
    parts = [_clean(pl.DataFrame(schema=_AS_TEXT))]
    # Where Polars is stricter than expected, halves find the line.
    work = [np.flatnonzero(kept)]
    while work:
        rows = work.pop()
        frame = _read(lines.gather(rows))
        if frame is not None:
            parts.append(frame)
        elif len(rows) == 1:
            kept[rows] = False
        else:
            middle = len(rows) // 2
            work += [rows[middle:], rows[:middle]]
    return pl.concat(parts), kept


def _read(lines: pl.Series) -> pl.DataFrame | None:
    """Fields of lines, each without a line break; None if any is no JSON object."""
    if len(lines) == 0:
        return _clean(pl.DataFrame(schema=_AS_TEXT))
    texts = lines.to_arrow(compat_level=pl.CompatLevel.oldest())
    joined = pc.binary_join_element_wise(texts, _BREAK, _NOTHING).buffers()[2].to_pybytes()
    # Numbers are numbers in nearly all logs, and read faster as such.
    for fields in (_AS_NUMBERS, _AS_TEXT):
        try:
            frame = pl.read_ndjson(joined, schema=fields)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        if frame.height == len(lines):
            return _clean(frame)
    return None


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


def _usable(fields: pl.DataFrame, at: _Int64s, faults: _Int8s) -> npt.NDArray[np.bool_]:
    """Which parsed lines become rows; the others get their fault."""
    for fault, rows in (
        (_BAD_CODE, fields["response_code_invalid"]),
        (_BAD_START, fields["start_ns"].is_null()),
        (_NO_START, fields["start_time"].is_null()),
    ):
        faults[at[rows.to_numpy()]] = fault
    return np.asarray(faults[at] == _NO_FAULT)


def _clean(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts without what stands for nothing, numbers as columns have them."""
    text = cs.string()
    frame = frame.with_columns(pl.when(~text.is_in(["", "-"])).then(text))
    # Those two are looked at as they are: a list is no value of theirs.
    open_ = cs.string().exclude("start_time", "response_code")
    opened = frame.select((open_.str.starts_with("{") | open_.str.starts_with("[")).any())
    values = pl.col([name for name in opened.columns if opened[name][0]])
    if opened.height and any(opened.row(0)):
        listed = values.str.starts_with("[") & values.str.ends_with("]")
        listed &= ~values.str.contains(_BRACKETED_V6)
        listed |= values.str.starts_with("{") & values.str.ends_with("}")
        frame = frame.with_columns(pl.when(~listed).then(values))
    code = pl.col("response_code").cast(pl.Int64, strict=False)
    wrong = pl.col("response_code").is_not_null() & ~code.is_between(0, 999).fill_null(value=False)
    return frame.with_columns(
        *(_number(pl.col(key), schema.DECODED_REQUESTS[_NUMBERS[key]]) for key in _NUMBERS),
        response_code=pl.when(code.is_between(1, 999)).then(code).cast(pl.UInt16),
        response_code_invalid=wrong,
    )


def _number(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    number = value.cast(dtype, strict=False)
    if dtype == pl.Float64():
        return pl.when((number >= 0) & number.is_finite()).then(number)
    return number


def _start_ns() -> pl.Expr:
    """RFC 3339 to UTC nanoseconds; digits beyond the ninth are left out."""
    text = pl.col("start_time")
    tail = text.str.slice(19)
    second = text.str.head(19).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    fraction = tail.str.extract(r"^\.([0-9]{1,9})").str.pad_end(9, "0").cast(pl.Int64)
    offset = tail.str.extract("([+-][0-9]{2}:[0-9]{2})$")
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(4).cast(pl.Int64)
    east = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    utc = second.cast(pl.Int64) // 1_000_000 - east.fill_null(0) * 60
    fits = text.str.contains(_TIME) & utc.is_between(-_TIME_LIMIT_S, _TIME_LIMIT_S)
    return pl.when(fits).then(utc * 10**9 + fraction.fill_null(0)).alias("start_ns")


def _requests(rows: pl.DataFrame) -> pl.DataFrame:
    """Usable lines to rows of `schema.DECODED_REQUESTS`."""
    tcp = pl.col("protocol").is_null() & pl.col("method").is_null()
    return request_rows(
        rows.select(
            *("vantage", "received_ns", "start_ns", "mesh", "proxy_model", "path"),
            *(pl.col(key).alias(name) for key, name in _COPIED.items()),
            *(pl.col(key).alias(name) for key, name in _NUMBERS.items()),
            *_address_columns(rows),
            protocol=pl.when(tcp).then(pl.lit("TCP")).otherwise("protocol"),
            status="response_code",
            response_flags="response_flags",
            direction="traffic_direction",
            user_agent="user_agent",
        )
    )


def _declared(vantages: list[Declared]) -> list[pl.Expr]:
    """What is declared of each row's vantage; null where nothing is."""
    mesh = pl.Series([one.mesh or None for one in vantages], dtype=pl.String)
    model = pl.Series([one.proxy_model or None for one in vantages], dtype=schema.PROXY_MODEL)
    at = pl.col("vantage")
    return [pl.lit(mesh).gather(at).alias("mesh"), pl.lit(model).gather(at).alias("proxy_model")]


def _address_columns(rows: pl.DataFrame) -> list[pl.Series]:
    return [
        column.alias(f"{name}_{part}")
        for key, name in _ADDRESSES.items()
        for part, column in parse_addresses(rows[key])._asdict().items()
    ]


def _rejects(lines: pl.DataFrame, faults: _Int8s) -> pl.DataFrame:
    at = np.flatnonzero(faults != _NO_FAULT)
    found = [_FAULTS[fault] for fault in faults[at]]
    return (
        lines[at]
        .with_columns(
            pl.Series("reason", [reason.value for reason, _ in found], pl.String),
            pl.Series("detail", [detail for _, detail in found], pl.String),
            raw_length=pl.col("raw").bin.size().cast(pl.UInt32),
            raw=pl.col("raw").bin.head(RAW_BYTES),
        )
        .select(rejects.FRAME.names())
    )


def _counts(lines: pl.DataFrame, faults: _Int8s) -> pl.DataFrame:
    good = pl.col("good").cast(pl.Int64)
    sums = {
        "received_payloads": pl.len().cast(pl.Int64),
        "received_bytes": pl.col("raw").bin.size().cast(pl.Int64).sum(),
        "decoded_payloads": good.sum(),
        "rejected_payloads": (1 - good).sum(),
        "decoded_records": good.sum(),
    }
    minute = pl.col("received_ns") // _MINUTE_NS * _MINUTE_NS
    return (
        lines.with_columns(good=faults == _NO_FAULT)
        .group_by("vantage", minute.alias("minute_ns"), maintain_order=True)
        .agg(**sums)
        .with_columns(
            pl.lit(0, pl.Int64).alias(name) for name in accounting.COUNTERS if name not in sums
        )
        .select(accounting.FRAME.names())
    )
