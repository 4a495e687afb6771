"""
OpenTelemetry logs of Envoy: one export request in, its log records out as request rows.

    ExportLogsServiceRequest
      resource_logs: resource (node_name, log_name...), scope_logs: log_record, log_record...
      log_record: time, body, attributes

What is in a record, whoever configured the proxy decides. A body that is text
is a line of an access log, and is read as one: by the format the agent
declares, else by those that are known. A body or attributes of keys and values
are read by the keys JSON logs have; the record's time is its start, and its
trace id the request's, where no key says them. Other keys are left out. A
record is refused for what a line would be, or when none of its keys is known.

Before: decode/__init__.py. After: fields.py, access_log, requests.py.
Source: opentelemetry/proto/logs/v1/logs.proto; Envoy, OpenTelemetryAccessLogConfig.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Source, Stateless, Vantage
from pipeline.decode.access_log import read_texts
from pipeline.decode.access_log.fields import read_fields
from pipeline.decode.envoy_node import told_by_node
from pipeline.decode.lines import REASONS, Fault, read_lines
from pipeline.decode.otlp import fields
from pipeline.decode.outcome import Refused, counted, first_few, rejected
from pipeline.decode.protobuf import Mask, Occurrences, Spans, Wire
from pipeline.decode.protobuf.rows import FAULTS, NO_FAULT, Rows, every
from pipeline.decode.requests import declared_columns, request_rows
from pipeline.rejects import RAW_BYTES, Reason

_UNKNOWN: Final = (Reason.FORMAT_MISMATCH, "no text, and no key that is known")
_OF_LINES: Final = {int(fault): why for fault, why in REASONS.items()} | {
    int(Fault.EMPTY): _UNKNOWN
}


class Otlp(Stateless):
    """The decoder of kind ``otlp_logs``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these requests."""
        used, codes = np.unique(payloads.source, return_inverse=True)
        vantage = codes.astype(np.int32)
        sources = [payloads.sources[code] for code in used]
        refused: list[Refused] = []
        found = _find(payloads.payload, refused)
        columns, ignored = _read(found, sources, vantage, refused)
        requests = pl.DataFrame(schema=schema.DECODED_REQUESTS)
        payload = np.zeros(0, np.int64)
        if columns.height:
            payload = found.payload[columns["record"].to_numpy()]
            of = vantage[payload]
            columns = columns.with_columns(
                vantage=of,
                received_ns=payloads.received_ns[payload],
                **declared_columns(sources, of),
            )
            requests = request_rows(columns.with_columns(**told_by_node(columns.columns)))
        records = np.bincount(payload, minlength=len(vantage))
        unused = np.bincount(found.payload[ignored], minlength=len(vantage))
        return Decoded(
            vantages=[Vantage(source, "envoy_otlp", 0) for source in sources],
            frames={"requests": requests},
            rejects=rejected(refused, vantage),
            counts=counted(payloads, vantage, records, refused, ignored=unused),
        )


class _Records(NamedTuple):
    """Log records of some payloads: where they are, of which payload, and of which resource."""

    wire: Wire
    spans: Spans
    payload: npt.NDArray[np.int64]
    node: pl.DataFrame

    def refuse(
        self,
        refused: list[Refused],
        faults: npt.NDArray[np.int8],
        bad: Mask,
        why: Mapping[int, tuple[Reason, str]],
    ) -> None:
        """Put bad records where they are counted."""
        at = np.flatnonzero(bad)
        for place, more in first_few(self.payload[at], faults[at]):
            row = int(at[place])
            first, end = int(self.spans.begin[row]), int(self.spans.end[row])
            raw = self.wire.take(first, min(end, first + RAW_BYTES))
            reason, detail = why[faults[row]]
            refused.append(Refused(int(self.payload[row]), reason, detail + more, raw, end - first))


def _find(payload: pa.BinaryArray, refused: list[Refused]) -> _Records:
    """Records of those payloads that are good."""
    wire = Wire(payload)
    rows = Rows(wire, len(payload))
    whole = Spans(wire.begin >= 0, wire.begin, wire.end)
    resources = rows.read(whole, fields.REQUEST).many["resource_logs"]
    of_resource = resources.owner
    read = rows.read(every(resources), fields.RESOURCE_LOGS, of_resource)
    scopes = read.many["scope_logs"]
    of_scope = of_resource[scopes.owner]
    records = rows.read(every(scopes), fields.SCOPE_LOGS, of_scope).many["record"]
    resource = scopes.owner[records.owner]
    node = fields.node_columns(rows, read.spans["resource"], of_resource)
    for row in np.flatnonzero(rows.fault != NO_FAULT).tolist():
        raw = wire.take(wire.begin[row], wire.end[row])
        refused.append(Refused(row, *FAULTS[rows.fault[row]], raw[:RAW_BYTES], len(raw)))
    good = (rows.fault == NO_FAULT)[of_resource[resource]]
    kept = Occurrences(resource[good], records.begin[good], records.end[good])
    return _Records(wire, every(kept), of_resource[kept.owner], node[kept.owner])


def _read(
    found: _Records,
    sources: list[Source],
    vantage: npt.NDArray[np.int32],
    refused: list[Refused],
) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """Columns of records, with ``record``, in order; and which records are of other logs."""
    count = len(found.payload)
    rows = Rows(found.wire, count)
    told = fields.record_texts(rows, found.spans)
    found.refuse(refused, rows.fault, rows.fault != NO_FAULT, dict(enumerate(FAULTS)))
    good = rows.fault == NO_FAULT
    frames, faults = _lines(told.body, found, good, sources, vantage)
    # What cannot be read as a line, or is none, may have keys that are known.
    keyed = np.flatnonzero(good & (faults != Fault.NONE) & told.known)
    if len(keyed):
        columns, wrong = read_fields(told.fields[keyed], None)
        faults[keyed] = wrong
        frames.append(_numbered(columns, keyed).filter(pl.Series(wrong == Fault.NONE)))
    wrong = good & (faults != Fault.NONE) & (faults != Fault.IGNORED)
    found.refuse(refused, faults, wrong, _OF_LINES)
    ignored = np.flatnonzero(good & (faults == Fault.IGNORED))
    if not frames:
        return pl.DataFrame(), ignored
    together = pl.concat(frames, how="diagonal").sort("record")
    at = together["record"].to_numpy()
    traced = told.fields["trace_id"].gather(at)
    known = together["trace_id"] if "trace_id" in together.columns else traced
    together = together.with_columns(trace_id=known.zip_with(known.is_not_null(), traced))
    return together.hstack(found.node[at]), ignored


def _lines(
    body: pl.Series,
    found: _Records,
    good: npt.NDArray[np.bool_],
    sources: list[Source],
    vantage: npt.NDArray[np.int32],
) -> tuple[list[pl.DataFrame], npt.NDArray[np.int8]]:
    """Columns of bodies that are lines of an access log, and the faults of those that are not."""
    faults = np.full(len(body), Fault.NONE, np.int8)
    text = read_lines(body.fill_null("").cast(pl.Binary), faults)
    faults[~good] = Fault.EMPTY
    formats = np.array([source.declared.format for source in sources])
    of = formats[vantage[found.payload]] if len(body) else np.array([], np.str_)
    frames = []
    for one in np.unique(of).tolist():
        at = np.flatnonzero((of == one) & (faults == Fault.NONE))
        part = faults[at]
        for rows, columns in read_texts(text.gather(at), one, part, np.zeros(len(at), np.bool_)):
            frames.append(_numbered(columns, at[rows]))
        faults[at] = part
    return frames, faults


def _numbered(columns: pl.DataFrame, record: npt.NDArray[np.int64]) -> pl.DataFrame:
    return columns.with_columns(pl.Series("record", record))
