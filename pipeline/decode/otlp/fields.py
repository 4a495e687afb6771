"""
OpenTelemetry log records to texts: the body, and the keys and values that are known.

Before: __init__.py. After: access_log/fields.py (texts to columns).
Source: opentelemetry/proto/{logs,common,resource}/v1; Envoy, OpenTelemetryAccessLogConfig.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from pipeline.decode.access_log.fields import JSON_KEYS
from pipeline.decode.envoy_node import read_node
from pipeline.decode.protobuf import (
    FIXED64,
    I64,
    VARINT,
    Field,
    Layout,
    Mask,
    Occurrences,
    Spans,
    Values,
)
from pipeline.decode.protobuf.rows import MEMBER, NO_FAULT, Gathered, Rows, every, spread, where
from pipeline.decode.protobuf.text import equal

REQUEST: Final = Layout({"resource_logs": Field(1, repeated=True)})
RESOURCE_LOGS: Final = Layout(
    {"resource": Field(1, message=True), "scope_logs": Field(2, repeated=True)}
)
SCOPE_LOGS: Final = Layout({"record": Field(2, repeated=True)})
_RESOURCE: Final = Layout({"attribute": Field(1, repeated=True)})
_RECORD: Final = Layout(
    {
        "time": Field(1, FIXED64),
        "body": Field(5, message=True),
        "attribute": Field(6, repeated=True),
        "trace": Field(9),
    }
)
_VALUE: Final = Layout(
    {
        "text": Field(1, oneof="value"),
        "flag": Field(2, VARINT, oneof="value"),
        "integer": Field(3, VARINT, oneof="value"),
        "number": Field(4, FIXED64, oneof="value"),
        "array": Field(5, message=True, oneof="value"),
        "pairs": Field(6, message=True, oneof="value"),
        "bytes": Field(7, oneof="value"),
    }
)
_PAIRS: Final = Layout({"pair": Field(1, repeated=True)})

_NODE: Final = {"node_name": "node_id", "log_name": "log_name"}
"""Attributes of the resource, as Envoy calls them."""

_NOTHING: Final = {"-": None, "": None}
"""What Envoy writes for an operator without a value."""
_TRACE_BYTES: Final = 16
_LATEST_NS: Final = np.uint64(1 << 63)


class Told(NamedTuple):
    """
    What n records say.

    Attributes
    ----------
    body
        String, null if it is no text.
    fields
        Texts by `JSON_KEYS`, those that are told; ``start_time`` and ``trace_id`` in any case.
    known
        bool[n], whether any key is known.
    """

    body: pl.Series
    fields: pl.DataFrame
    known: Mask


def node_columns(rows: Rows, resource: Spans, of: I64) -> pl.DataFrame:
    """What k resources say of their nodes, see `read_node`; ``of``: the row each is in."""
    own = Rows(rows.wire, len(of))
    attributes = own.read(resource, _RESOURCE).many["attribute"]
    pairs = own.read(every(attributes), MEMBER, attributes.owner)
    columns = {}
    for key, name in _NODE.items():
        at = np.flatnonzero(equal(rows.wire, pairs.spans["key"], key.encode()))
        value = own.read(pairs.spans["value"].of(at), _VALUE, attributes.owner[at]).spans["text"]
        columns[name] = spread(value, attributes.owner[at], len(of))
    gathered = Gathered(rows.wire, len(of))
    gathered.add(0, own, columns)
    texts = {name: gathered.text(name) for name in columns}
    for row in np.flatnonzero(gathered.fault != NO_FAULT).tolist():
        rows.blame(of[row : row + 1], int(gathered.fault[row]))
    return pl.DataFrame(texts).select(**read_node())


def record_texts(rows: Rows, spans: Spans) -> Told:
    """What n records say; faults of ``rows`` say which of them are no good."""
    record = rows.read(spans, _RECORD)
    body = rows.read(record.spans["body"], _VALUE)
    listed = rows.read(body.spans["pairs"], _PAIRS).many["pair"]
    attributes = record.many["attribute"]
    # Attributes come behind the body, so where both have a key, they say what it is.
    many = Occurrences(*(np.concatenate(part) for part in zip(listed, attributes, strict=True)))
    pairs = rows.read(every(many), MEMBER, many.owner)
    gathered = Gathered(rows.wire, rows.count)
    columns: dict[str, Spans | Values] = {"body": body.spans["text"]}
    known = np.zeros(rows.count, np.bool_)
    for key in JSON_KEYS if len(many.owner) else ():
        at = np.flatnonzero(equal(rows.wire, pairs.spans["key"], key.encode()))
        if not len(at):
            continue
        owner = many.owner[at]
        value = rows.read(pairs.spans["value"].of(at), _VALUE, owner)
        known[owner] = True
        columns[f"{key}/text"] = spread(value.spans["text"], owner, rows.count)
        for kind in ("integer", "number"):
            if value.values[kind].present.any():
                columns[f"{key}/{kind}"] = _spread(value.values[kind], owner, rows.count)
    gathered.add(0, rows, columns)
    texts = {key: _column(gathered, key) for key in JSON_KEYS if f"{key}/text" in gathered}
    start = _start(record.values["time"])
    for key, other in (
        ("start_time", start),
        ("trace_id", _trace_ids(rows, record.spans["trace"])),
    ):
        told = texts[key].cast(pl.String).replace(_NOTHING) if key in texts else other
        texts[key] = told.zip_with(told.is_not_null(), other)
    told_body = gathered.text("body")
    rows.fault[:] = gathered.fault
    return Told(told_body, pl.DataFrame(texts), known)


def _spread(values: Values, owner: I64, count: int) -> Values:
    whole = Values(np.zeros(count, np.bool_), np.zeros(count, np.uint64))
    whole.present[owner], whole.value[owner] = values.present, values.value
    return whole


def _column(gathered: Gathered, key: str) -> pl.Series:
    """Values of a key, as text; null for what is neither text nor a number."""
    text = gathered.text(f"{key}/text")
    for kind, dtype in (("integer", np.int64), ("number", np.float64)):
        if f"{key}/{kind}" not in gathered:
            continue
        present, value = gathered.values(f"{key}/{kind}")
        number = pl.Series(value.view(dtype)).cast(pl.String)
        text = number.zip_with(pl.Series(present), text)
    return text


def _start(time: Values) -> pl.Series:
    """Time of a record as JSON logs write it; null for 0, which says that it is not known."""
    usable = time.present & (time.value > 0) & (time.value < _LATEST_NS)
    stamp = pl.Series(np.where(usable, time.value, 0).astype(np.int64)).cast(pl.Datetime("ns"))
    text = stamp.dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ")
    return text.zip_with(pl.Series(usable), pl.Series([None], dtype=pl.String))


def _trace_ids(rows: Rows, spans: Spans) -> pl.Series:
    """Trace ids in hexadecimal; null for one that is not 16 bytes, or all zero."""
    whole = where(spans, spans.end - spans.begin == _TRACE_BYTES)
    at = whole.begin[:, np.newaxis] + np.arange(_TRACE_BYTES)
    held = rows.wire.buffer[at]
    told = whole.present & held.any(axis=1)
    text = pl.Series([row.tobytes() for row in held[told]], dtype=pl.Binary).bin.encode("hex")
    place = np.cumsum(told) - 1
    place[~told] = len(text)
    return text.append(pl.Series([None], dtype=pl.String)).gather(place)
