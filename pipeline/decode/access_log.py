"""
JSON access logs of Envoy and Istio: one line in, one request row out.

    {"authority": "...", "response_code": 200, "start_time": "2026-11-24T03:02:52.011Z", ...}

Keys are those of Istio's default JSON format and seven more that name
identities and TLS (tests/lab records them). A key that is absent, null, "-" or
empty is null; numbers may be text; other keys are left out; a line may stand
behind the time stamp a container runtime writes. A value of another type in a
field nobody needs is null: only a line without a usable start time is refused.

All lines of a batch are parsed at once by Polars. If one of them is no JSON the
batch is parsed line by line instead, so that a bad line costs time, not rows.

Before: pipeline/intake.py. After: pipeline/normalize.py.
Source: Envoy access log command operators; Istio telemetry_logging.go.
"""

from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from collectors.log import Place
from pipeline import accounting, rejects, schema
from pipeline.decode import Decoded, Payloads, Vantage
from pipeline.decode.addresses import split_addresses
from pipeline.rejects import RAW_BYTES, Reason

MAX_LINE_BYTES: Final = 1 << 20
"""Longer lines are no access log; agents cut at less by default."""

_TEXTS: Final = {
    "protocol": "protocol",
    "method": "method",
    "authority": "authority",
    "path": "path",
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
_NUMBERS: Final = {
    "duration": "duration_ms",
    "upstream_service_time": "upstream_ms",
    "bytes_received": "bytes_received",
    "bytes_sent": "bytes_sent",
    "upstream_request_attempt_count": "attempts",
}
_ADDRESSES: Final = {
    "downstream_remote_address": "downstream_remote",
    "downstream_local_address": "downstream_local",
    "upstream_local_address": "upstream_local",
    "upstream_host": "upstream_remote",
}
_KEYS: Final = (
    *_TEXTS,
    *_NUMBERS,
    *_ADDRESSES,
    "response_code",
    "response_flags",
    "start_time",
    "traffic_direction",
)
_LINE: Final = pl.Struct(dict.fromkeys(_KEYS, pl.String()))

_CRI: Final = r"^\S+ (?:stdout|stderr) [FP] (\{.*)$"
_OUTBOUND: Final = r"^outbound\|(\d{1,5})\|([^|]*)\|(.+)$"
_INBOUND_PORT: Final = r"^inbound\|(\d{1,5})\|"
# outbound_.PORT_.SUBSET_.HOST, cut three times: the host may hold "_." itself.
_PASSTHROUGH: Final = r"^outbound_\.(\d{1,5})_\.(.*?)_\.(.+)$"
_POLICY: Final = r"rbac_access_denied_matched_policy\[(.*)\]"
_TIME: Final = "%Y-%m-%dT%H:%M:%S%.f%#z"
_MINUTE_NS: Final = 60 * 10**9


class AccessLog:
    """The decoder of kind ``access_log``; see `pipeline.decode.Decoder`. Remembers nothing."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these lines."""
        lines = pl.DataFrame(
            {
                "vantage": payloads.source,  # each source is one vantage
                "received_ns": payloads.received_ns,
                "payload": np.arange(len(payloads.source), dtype=np.int32),
                "raw": pl.Series(payloads.payload, dtype=pl.Binary),
            },
            schema_overrides={"vantage": pl.Int32},
        )
        text = _object_text(lines["raw"])
        parsed, reasons = _parse(text)
        started = pl.DataFrame({"text": parsed["start_time"]}).select(
            pl.col("text").str.to_datetime(_TIME, time_unit="ns", strict=False, time_zone="UTC")
        )["text"]
        missing = _text(parsed["start_time"]).is_null()
        reasons = _first_reason(
            reasons,
            (missing, Reason.REQUIRED_MISSING),
            (started.is_null(), Reason.FIELD_INVALID),
        )
        good = reasons.is_null()
        rows = pl.concat([lines.select("vantage", "received_ns"), parsed], how="horizontal")
        requests = _requests(
            rows.with_columns(started.cast(pl.Int64).alias("start_ns")).filter(good)
        )
        return Decoded(
            vantages=[Vantage(source, "envoy_json", 0) for source in payloads.sources],
            frames={"requests": requests},
            rejects=_rejects(lines, reasons),
            counts=_counts(lines, good),
        )

    def snapshot(self, place: Place) -> bytes:
        """Nothing: each line stands for itself."""
        del place
        return b""

    def restore(self, place: Place, state: bytes) -> None:
        """Nothing."""


def _object_text(raw: pl.Series) -> pl.Series:
    """Lines as text, without a container runtime's stamp; null for what is no UTF-8 or too long."""
    short = raw.set(raw.bin.size() > MAX_LINE_BYTES, None)
    try:
        text = short.cast(pl.String)
    except pl.exceptions.PolarsError:
        text = pl.Series("raw", [_utf8(line) for line in short], pl.String)
    stamped = text.str.contains(_CRI)
    if stamped.any():
        text = text.str.extract(_CRI).set(~stamped.fill_null(False), None).fill_null(text)  # noqa: FBT003
    return text.str.strip_chars()


def _utf8(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None


def _parse(text: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Values of `_KEYS` as text, and the reason of each line that has none."""
    none = pl.Series("reason", [None] * len(text), pl.String)
    if text.null_count() == 0 and text.str.starts_with("{").all():
        try:
            return text.str.json_decode(_LINE).struct.unnest(), none
        except pl.exceptions.PolarsError:
            pass  # which line it was, the slow way tells
    values: list[dict[str, str | None]] = []
    reasons: list[str | None] = []
    for line in text:
        row, reason = _parse_line(line)
        values.append(row)
        reasons.append(reason)
    return (
        pl.DataFrame(values, schema=dict.fromkeys(_KEYS, pl.String())),
        pl.Series("reason", reasons, pl.String),
    )


def _parse_line(line: str | None) -> tuple[dict[str, str | None], str | None]:
    empty: dict[str, str | None] = dict.fromkeys(_KEYS)
    if line is None:
        return empty, Reason.JSON_MALFORMED
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return empty, Reason.JSON_MALFORMED
    if not isinstance(value, dict):
        return empty, Reason.JSON_NOT_OBJECT
    return {key: _as_text(value.get(key)) for key in _KEYS}, None


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else None


def _text(column: pl.Series | pl.Expr) -> Any:
    """Null for what proxies write where they have nothing."""
    return column.replace({"-": None, "": None})


def _first_reason(reasons: pl.Series, *more: tuple[pl.Series, Reason]) -> pl.Series:
    for rows, reason in more:
        reasons = reasons.set(rows & reasons.is_null(), reason.value)
    return reasons


def _requests(rows: pl.DataFrame) -> pl.DataFrame:
    """Text of good lines to rows of `schema.DECODED_REQUESTS`."""
    rows = split_addresses(rows, _ADDRESSES)
    schema_of = schema.DECODED_REQUESTS
    cluster, sni = _text(pl.col("upstream_cluster")), _text(pl.col("requested_server_name"))
    direction = _text(pl.col("traffic_direction"))
    reporter = (
        pl.when((direction == "outbound") | cluster.str.contains(r"^outbound\|"))
        .then(pl.lit("source"))
        .when((direction == "inbound") | cluster.str.contains(r"^inbound(-vip)?\|"))
        .then(pl.lit("destination"))
        .when((direction == "gateway") | cluster.str.starts_with("outbound_."))
        .then(pl.lit("gateway"))
        .when(cluster.is_in(["PassthroughCluster", "BlackHoleCluster"]))
        .then(pl.lit("source"))
        .when(cluster == "InboundPassthroughCluster")
        .then(pl.lit("destination"))
        .otherwise(pl.lit("unknown"))
    )

    def named(group: int) -> pl.Expr:
        """Port, subset or host of the service called."""
        return pl.coalesce(
            cluster.str.extract(_OUTBOUND, group),
            cluster.str.extract(_PASSTHROUGH, group),
            sni.str.extract(_PASSTHROUGH, group),
        )

    protocol, method = _text(pl.col("protocol")), _text(pl.col("method"))
    status = pl.col("response_code").cast(pl.UInt16, strict=False)
    flags = pl.col("response_flags").fill_null("").str.split(",")
    return rows.select(
        "vantage",
        "received_ns",
        "start_ns",
        reporter.cast(schema.REPORTER).alias("reporter"),
        *(
            _text(pl.col(key)).alias(name)
            for key, name in _TEXTS.items()
            if key not in ("protocol", "path")
        ),
        pl.when(protocol.is_null() & method.is_null())
        .then(pl.lit("TCP"))
        .otherwise(protocol)
        .alias("protocol"),
        # Query strings carry what is nobody's business.
        _text(pl.col("path")).str.extract(r"^([^?#]*)").alias("path"),
        pl.when(status > 0).then(status).alias("status"),
        flags.list.filter(~pl.element().is_in(["", "-"])).alias("response_flags"),
        pl.col("response_code_details").str.extract(_POLICY).alias("policy"),
        *(
            _text(pl.col(key)).cast(schema_of[name], strict=False).alias(name)
            for key, name in _NUMBERS.items()
        ),
        named(3).alias("service"),
        pl.coalesce(named(1), cluster.str.extract(_INBOUND_PORT))
        .cast(pl.UInt16, strict=False)
        .alias("service_port"),
        _text(named(2)).alias("service_subset"),
        *(
            f"{name}_{part}" for name in _ADDRESSES.values() for part in ("ip_hi", "ip_lo", "port")
        ),
    ).select(schema_of.names())


def _rejects(lines: pl.DataFrame, reasons: pl.Series) -> pl.DataFrame:
    length = lines["raw"].bin.size().cast(pl.UInt32)
    too_long = length > MAX_LINE_BYTES
    reason = reasons.set(too_long & reasons.is_not_null(), Reason.LINE_TOO_LONG.value)
    return lines.select(
        "vantage",
        "payload",
        reason.alias("reason"),
        pl.lit("").alias("detail"),
        pl.col("raw").bin.slice(0, RAW_BYTES),
        length.alias("raw_length"),
    ).filter(reason.is_not_null())


def _counts(lines: pl.DataFrame, good: pl.Series) -> pl.DataFrame:
    minute = pl.col("received_ns") // _MINUTE_NS * _MINUTE_NS
    decoded = pl.col("good").cast(pl.Int64).sum()
    sums = {
        "received_payloads": pl.len().cast(pl.Int64),
        "received_bytes": pl.col("raw").bin.size().cast(pl.Int64).sum(),
        "decoded_payloads": decoded,
        "decoded_records": decoded,
        "rejected_payloads": (~pl.col("good")).cast(pl.Int64).sum(),
    }
    return (
        lines.with_columns(good.alias("good"))
        .group_by("vantage", minute.alias("minute_ns"), maintain_order=True)
        .agg(total.alias(name) for name, total in sums.items())
        .with_columns(
            pl.lit(0, pl.Int64).alias(name) for name in accounting.COUNTERS if name not in sums
        )
        .select(accounting.FRAME.names())
    )
