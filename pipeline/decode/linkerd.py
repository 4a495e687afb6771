"""
Access logs of linkerd-proxy: one line in, one row out.

    {"client.addr":"10.0.0.7:36930","client.id":"web.shop.serviceaccount.identity...","status":200,...}
    10.0.0.7:36930 web.shop.service... - [2025-08-31T14:10:58.25Z] "GET http://... HTTP/2.0" 200

Only the server's proxy writes one, so the reporter is destination. It does not
write its own address: the server is known by who wrote the log, and by the
authority. A client of another cluster's gateway is not seen: the gateway is.

``client.id`` "-" is a client without mTLS; whether it spoke TLS is not told.
``timestamp`` is when the request came in. ``total_ns`` ends with the head of
the response: it is ``ttfb_ms``, and ``duration_ms`` for want of more. Of it the
proxy itself took ``processing_ns``, and the rest is ``upstream_ms``. Octets are
what content-length declares. ``trace_id`` is x-b3-traceid, else x-request-id,
else x-amzn-trace-id: told apart by their form. Without a response no status is
written. The apache form has neither durations, octets nor ids.

Before: json_lines.py. After: requests.py, normalize.py.
Source: linkerd2-proxy linkerd/http/access-log, linkerd/tracing/src/access_log.rs.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.json_lines import (
    FAULTS,
    NO_FAULT,
    Fault,
    Int8s,
    decoded_lines,
    line_texts,
    of_payloads,
    read_objects,
)
from pipeline.decode.meshes import linkerd
from pipeline.decode.requests import request_rows
from pipeline.decode.rfc3339 import utc_ns
from pipeline.rejects import Reason

_FAULTS: Final = (
    *FAULTS,
    Fault(Reason.FORMAT_MISMATCH, "neither form of linkerd's access log"),
    Fault(Reason.REQUIRED_MISSING, "timestamp"),
    Fault(Reason.FIELD_INVALID, "timestamp"),
    Fault(Reason.FIELD_INVALID, "status"),
)
_NO_FORM, _NO_TIME, _BAD_TIME, _BAD_STATUS = range(len(FAULTS), len(_FAULTS))

_JSON: Final = pl.Schema(
    dict.fromkeys(
        (
            *("client.addr", "client.id", "timestamp", "method", "uri", "version", "trace_id"),
            *("request_bytes", "status", "response_bytes", "total_ns", "processing_ns"),
            *("user_agent", "host"),
        ),
        pl.String(),
    )
)
_APACHE: Final = (
    r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T\S+ )?(?<addr>\S+) (?<id>\S+) - \[(?<timestamp>[^\]]*)\]"
    r' "(?<method>\S+) (?<uri>\S+) (?<version>\S+)"(?: (?<status>\S+))?$'
)
_OTHER_LOG: Final = r"^\[\s*[0-9]+\.[0-9]+s\]\s+(?:TRACE|DEBUG|INFO|WARN|ERROR)\b"
"""What the proxy writes besides, to the same standard error."""
_URI: Final = "^(?:[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*))?([^#]*)"
_TRACE_ID: Final = "^(?:[0-9A-Fa-f]{16}){1,2}$"
_AMAZON: Final = "(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})"


class Linkerd(Stateless):
    """The decoder of kind ``linkerd``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these lines."""
        raw = pl.Series(payloads.payload, dtype=pl.Binary)
        faults = np.full(len(raw), NO_FAULT, np.int8)
        text = line_texts(raw, faults)
        other = text.str.contains(_OTHER_LOG).fill_null(value=False)
        read = _read(text.set(other, None), faults)
        line = read["line"].to_numpy()
        for fault, wrong in (
            (_BAD_STATUS, read["status"].is_not_null() & read["code"].is_null()),
            (_BAD_TIME, read["start_ns"].is_null()),
            (_NO_TIME, read["timestamp"].is_null()),
            (_NO_FORM, read["client.addr"].is_null()),
        ):
            faults[line[wrong.to_numpy()]] = fault
        kept = faults[line] == NO_FAULT
        at = line[kept]
        rows = read.filter(pl.Series(kept)).with_columns(
            of_payloads(payloads, at, "linkerd", "sidecar")
        )
        frames = {"requests": _requests(rows)}
        return decoded_lines(payloads, "linkerd", frames, at, (faults, _FAULTS))


def _read(text: pl.Series, faults: Int8s) -> pl.DataFrame:
    """Columns of all lines that can be read, in their order, by ``line``."""
    braced = text.str.starts_with("{").fill_null(value=False)
    fields, line = read_objects(text.set(~braced, None), faults, (_JSON,))
    plain = np.flatnonzero((~braced & text.is_not_null()).to_numpy())
    apache = (
        text.gather(plain)
        .to_frame("text")
        .select(pl.col("text").str.extract_groups(_APACHE).struct.unnest())
    )
    read = pl.concat(
        [
            fields.with_columns(line=pl.Series(line, dtype=pl.Int64)),
            apache.rename({"addr": "client.addr", "id": "client.id"}).with_columns(
                line=pl.Series(plain, dtype=pl.Int64)
            ),
        ],
        how="diagonal",
    ).sort("line")
    told = [pl.when(~pl.col(name).is_in(["", "-"])).then(name) for name in _JSON]
    code = pl.col("status").cast(pl.UInt16, strict=False)
    return read.with_columns(told).with_columns(
        start_ns=utc_ns(pl.col("timestamp")),
        code=pl.when(code.is_between(100, 999)).then(code),
    )


def _requests(rows: pl.DataFrame) -> pl.DataFrame:
    """Lines to rows of `schema.DECODED_REQUESTS`."""
    total_ns, own_ns = (
        pl.col(name).cast(pl.UInt64, strict=False).cast(pl.Float64)
        for name in ("total_ns", "processing_ns")
    )
    rows = rows.with_columns(
        authority=pl.coalesce("host", pl.col("uri").str.extract(_URI, 1).replace("", None))
    )
    named = linkerd.read(pl.col("authority"))
    amazon = pl.col("trace_id").str.extract_groups(_AMAZON).struct
    is_trace = pl.col("trace_id").str.contains(_TRACE_ID)
    from_amazon = pl.concat_str(amazon.field("1"), amazon.field("2"))
    columns = rows.select(
        "vantage",
        "received_ns",
        "mesh",
        "proxy_model",
        "start_ns",
        "method",
        "authority",
        "user_agent",
        *(
            column.alias(f"downstream_remote_{part}")
            for part, column in parse_addresses(rows["client.addr"])._asdict().items()
        ),
        reporter=pl.lit("destination").cast(schema.REPORTER),
        log_type=pl.lit("end").cast(schema.LOG_TYPE),
        protocol=pl.col("version").replace({"HTTP/2.0": "HTTP/2", "HTTP/3.0": "HTTP/3"}),
        path=pl.col("uri").str.extract(_URI, 2).replace("", None),
        status="code",
        request_id=pl.when(~is_trace & from_amazon.is_null()).then("trace_id"),
        trace_id=pl.coalesce(pl.when(is_trace).then("trace_id"), from_amazon),
        duration_ms=total_ns / 1e6,
        ttfb_ms=total_ns / 1e6,
        upstream_ms=pl.when(own_ns <= total_ns).then(total_ns - own_ns) / 1e6,
        bytes_received=pl.col("request_bytes").cast(pl.UInt64, strict=False),
        bytes_sent=pl.col("response_bytes").cast(pl.UInt64, strict=False),
        service=named.service,
        service_port=pl.when(named.service.is_not_null()).then(
            named.port.cast(pl.UInt16, strict=False)
        ),
        downstream_peer_identity="client.id",
    )
    return request_rows(columns)
