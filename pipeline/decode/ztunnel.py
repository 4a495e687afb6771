"""
Access logs of ztunnel, the node's proxy of Istio ambient: one line in, one row out.

    2025-01-23T05:07:25.806642Z info access connection complete src.addr=10.129.0.48:40978 ...
    {"level":"info","time":"...","scope":"access","message":"connection complete",...}

Text has tabs between its first parts (spaces, where it was copied), then
``key=value``, text quoted as Rust does; ``LOG_FORMAT=json`` the same keys. A
key that is absent is null. Lines of other scopes than access are ignored: they
are ztunnel's own business. A stamp of a container runtime may be in front.

A row is one connection: inbound is told by the server's node (reporter
destination), outbound by the client's (source). ``connection opened``, at
level debug, is its start; ``connection complete`` and ``connection failed``
are its end. ztunnel writes when a connection is over and how long it took: the
start is the time less the duration, to the millisecond.

Octets are counted from the end that is local: outbound, what was sent came
from the client; inbound, what was received did. Rows have what came from the
client in ``bytes_received`` on both sides.

``dst.addr`` of an outbound line is the end of the tunnel (a pod or gateway,
port 15008). Where the client wants to go is ``dst.hbone_addr``, which is the
authority of the tunnel's CONNECT, and stands in ``authority``; where it is a
host and port it also names the service. The client's port differs between
outbound and inbound: that of the inbound line is the tunnel's.

What it says of an error is ``termination_details``, and outbound
``upstream_failure`` too unless a policy decided. ztunnel's response flags are
in its metrics, not in its log; a row has the one ztunnel gives for such an
error. Identities are there only with mTLS.

Before: json_lines.py. After: requests.py, normalize.py.
Source: istio/ztunnel src/proxy/metrics.rs, src/telemetry.rs, src/proxy.rs.
"""

import re
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
    Int64s,
    Mask,
    decoded_lines,
    line_texts,
    of_payloads,
    read_objects,
)
from pipeline.decode.requests import request_rows
from pipeline.decode.rfc3339 import utc_ns
from pipeline.rejects import Reason

_FAULTS: Final = (
    *FAULTS,
    Fault(Reason.FORMAT_MISMATCH, "no line of ztunnel's log"),
    Fault(Reason.REQUIRED_MISSING, "time"),
    Fault(Reason.FIELD_INVALID, "time"),
    Fault(Reason.REQUIRED_MISSING, "direction"),
)
_NOT_ZTUNNEL, _NO_TIME, _BAD_TIME, _NO_DIRECTION = range(len(FAULTS), len(_FAULTS))

_KEYS: Final = (
    *(f"src.{name}" for name in ("addr", "workload", "namespace", "identity", "cluster")),
    *(f"dst.{name}" for name in ("addr", "hbone_addr", "service", "workload", "namespace")),
    *("dst.identity", "dst.cluster", "direction", "bytes_sent", "bytes_recv", "duration", "error"),
)
"""In the order they are written."""
_HEAD: Final = ("time", "level", "scope", "message")
_JSON: Final = pl.Schema(dict.fromkeys((*_HEAD, "timestamp", "target", *_KEYS), pl.String()))
_LINE: Final = (
    r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T\S+\s+)??(?:(?<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T\S+)\s+)?"
    r"(?<level>(?i)trace|debug|info|warn|error)\s+(?<scope>\S+)(?:\s+(?<message>.*))?$"
)
_MESSAGE: Final = r"^(connection (?:complete|failed|opened))(?:\s+(.*))?$"
_VALUE: Final = r'"(?:[^"\\]|\\.)*"|[^\s"]\S*|'
_ERROR: Final = r'(?:^| )error="[^=]*"$'
"""An error, the last of the fields, without anything in it that looks like a field."""
_TIME: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]+$"
_PARTS: Final = tuple(f"field_{place}" for place in range(5))
_ESCAPES: Final = {r"\"": '"', r"\\": "\\", r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\'": "'"}
_OVER: Final = ("connection complete", "connection failed")
_OPENED: Final = "connection opened"
_DENIED: Final = "^connection closed due to policy (?:rejection|change)"
_FLAGS: Final = {
    "AuthorizationPolicyDenied": _DENIED,
    "ConnectionFailure": "^(?:connection failed:|io error: (?:Connection refused|.*unreachable"
    "|No route to host|.*timed out))",
    "TlsFailure": "^(?:tls error|tls handshake failed|ssl error):",
    "Http2HandshakeFailure": "^http2? handshake failed:",
    "NetworkPolicyError": "^connection timed out, maybe a NetworkPolicy",
    "IdentityError": "^identity error:",
}
"""Flag to the form of the errors ztunnel has it for; see `pipeline.decode.response_flags`."""
_DENIED_BY: Final = r"explicitly denied by: (\S+)$"
_HOST_PORT: Final = r"^([^:/\[\]]*[A-Za-z][^:/\[\]]*):([0-9]{1,5})$"
_IDENTITIES: Final = (
    ("upstream_local", True, "src"),
    ("upstream_peer", True, "dst"),
    ("downstream_peer", False, "src"),
    ("downstream_local", False, "dst"),
)
"""Whose certificate is on which connection, told by the client's node (True) or the server's."""
_DURATION: Final = r"^([0-9]{1,15})ms$"


class Ztunnel(Stateless):
    """The decoder of kind ``ztunnel``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these lines."""
        raw = pl.Series(payloads.payload, dtype=pl.Binary)
        faults = np.full(len(raw), NO_FAULT, np.int8)
        read = _read(line_texts(raw, faults), faults)
        line = read["line"].to_numpy()
        access = (read["scope"] == "access") & read["message"].str.contains(_MESSAGE)
        access = access.fill_null(value=False)
        for fault, missing in (
            (_NO_DIRECTION, ~read["direction"].is_in(["inbound", "outbound"])),
            (_BAD_TIME, read["end_ns"].is_null()),
            (_NO_TIME, read["time"].is_null()),
        ):
            faults[line[(access & missing.fill_null(value=True)).to_numpy()]] = fault
        faults[line[read["scope"].is_null().to_numpy()]] = _NOT_ZTUNNEL
        kept = access.to_numpy() & (faults[line] == NO_FAULT)
        at = line[kept]
        rows = read.filter(pl.Series(kept)).with_columns(of_payloads(payloads, at, "istio", "host"))
        frames = {"requests": _requests(rows)}
        return decoded_lines(payloads, "ztunnel", frames, at, (faults, _FAULTS))


def _read(text: pl.Series, faults: Int8s) -> pl.DataFrame:
    """Columns of all lines that can be read, in their order, by ``line``."""
    braced = text.str.starts_with("{").fill_null(value=False)
    fields, line = read_objects(text.set(~braced, None), faults, (_JSON,))
    plain = np.flatnonzero((~braced & text.is_not_null()).to_numpy())
    parts = [_of_json(fields, line), _of_text(text.gather(plain), plain)]
    read = pl.concat(parts, how="diagonal").sort("line")
    return read.with_columns(end_ns=utc_ns(pl.col("time")))


def _of_json(fields: pl.DataFrame, line: Int64s) -> pl.DataFrame:
    """Columns of lines that were JSON; ``scope`` is null where they are no log's."""
    return fields.with_columns(
        time=pl.coalesce("time", "timestamp"),
        scope=pl.when(pl.col("level").is_not_null()).then(pl.coalesce("scope", "target")),
        line=pl.Series(line, dtype=pl.Int64),
    ).drop("timestamp", "target")


def _of_text(text: pl.Series, line: Int64s) -> pl.DataFrame:
    """Columns of lines that were text; ``scope`` is null where they are no log's."""
    head = _heads(text)
    said = pl.col("fields").str.splitn("error=", 2).struct
    fields = head.select(
        fields=said.field("field_0").str.strip_chars(" \t"),
        error=pl.when(pl.col("fields").str.contains(_ERROR)).then(said.field("field_1")),
        all="fields",
    )
    values, odd = _values(fields["fields"].str.split(" "))
    values["error"] = fields["error"]
    columns = pl.DataFrame(values).select(_KEYS)
    unread = fields["error"].is_null() & fields["all"].str.contains("error=", literal=True)
    rows = np.flatnonzero(odd | unread.fill_null(value=False).to_numpy())
    if len(rows):
        slow = fields["all"].gather(rows).to_frame("fields").select(_slow(key) for key in _KEYS)
        columns = columns.select(one.scatter(rows, slow[one.name]) for one in columns)
    return (
        head.drop("fields")
        .hstack(columns.select(map(_unquoted, _KEYS)))
        .with_columns(line=pl.Series(line, dtype=pl.Int64))
    )


def _heads(text: pl.Series) -> pl.DataFrame:
    """``time``, ``level``, ``scope``, ``message`` and ``fields`` of lines, with tabs or without."""
    names = ("time", "level", "scope", "message", "fields")
    cut = text.str.splitn("\t", 5).struct.unnest().rename(dict(zip(_PARTS, names, strict=True)))
    as_written = cut["message"].is_in([*_OVER, _OPENED]) & cut["time"].str.contains(_TIME)
    as_written &= cut["level"].is_in(["info", "error", "warn", "debug"])
    rows = np.flatnonzero(~as_written.fill_null(value=False).to_numpy())
    if not len(rows):
        return cut
    other = (
        text.gather(rows)
        .to_frame("text")
        .select(pl.col("text").str.extract_groups(_LINE).struct.unnest())
    )
    said = other["message"].str.extract_groups(_MESSAGE).struct
    other = other.with_columns(
        pl.col("scope").str.strip_suffix(":"),
        message=said.field("1"),
        fields=said.field("2"),
    )
    return cut.select(one.scatter(rows, other[one.name]) for one in cut)


def _values(parts: pl.Series) -> tuple[dict[str, pl.Series], Mask]:
    """
    Value of each key, of n lists of ``key=value``.

    And which lists are odd: a part of theirs has no value, or one that goes on
    behind a space, or a key comes twice.
    """
    count = len(parts)
    tokens = pl.DataFrame({"row": np.arange(count), "part": parts}).explode("part").drop_nulls()
    tokens = tokens.select("row", pl.col("part").str.splitn("=", 2).struct.unnest())
    key, value = pl.col("field_0"), pl.col("field_1")
    broken = value.is_null() | (value.str.starts_with('"') != value.str.ends_with('"'))
    broken |= (value == '"') | value.str.contains("\t", literal=True)
    odd = np.zeros(count, np.bool_)
    odd[tokens.filter((key != "") & broken.fill_null(value=True))["row"].to_numpy()] = True
    values = {}
    for name, of_key in tokens.partition_by("field_0", as_dict=True).items():
        rows = of_key["row"].to_numpy()
        if name[0] in _KEYS:
            odd[rows[1:][rows[1:] == rows[:-1]]] = True
            values[str(name[0])] = _nothing(count).scatter(rows, of_key["field_1"])
    return {key: values.get(key, _nothing(count)) for key in _KEYS}, odd


def _nothing(count: int) -> pl.Series:
    return pl.repeat(None, count, dtype=pl.String, eager=True)


def _slow(key: str) -> pl.Expr:
    """Value of a key wherever it stands, as it is written."""
    value = ".*" if key == "error" else _VALUE
    return pl.col("fields").str.extract(rf"(?:^|\s){re.escape(key)}=({value})(?:\s|$)").alias(key)


def _unquoted(key: str) -> pl.Expr:
    """Text without Rust's quotes and escapes; null where it is empty."""
    value = pl.col(key)
    quoted = value.str.starts_with('"') & value.str.ends_with('"') & (value != '"')
    inner = pl.when(quoted).then(value.str.slice(1).str.strip_suffix('"')).otherwise(value)
    plain = (
        pl.when(quoted & inner.str.contains("\\", literal=True))
        .then(inner.str.replace_many(list(_ESCAPES), list(_ESCAPES.values())))
        .otherwise(inner)
    )
    return pl.when(plain != "").then(plain).alias(key)


def _requests(rows: pl.DataFrame) -> pl.DataFrame:
    """Lines to rows of `schema.DECODED_REQUESTS`."""
    outbound = pl.col("direction") == "outbound"
    over = pl.col("message").is_in(list(_OVER))
    sent, received = (
        pl.col(name).cast(pl.UInt64, strict=False) for name in ("bytes_sent", "bytes_recv")
    )
    took_ms = pl.col("duration").str.extract(_DURATION).cast(pl.Int64)
    denied = pl.col("error").str.contains(_DENIED)
    target = pl.col("dst.hbone_addr").str.extract_groups(_HOST_PORT).struct
    same = pl.col("dst.service").is_null() | (pl.col("dst.service") == target.field("1"))
    columns = rows.select(
        "vantage",
        "received_ns",
        "mesh",
        "proxy_model",
        "direction",
        *_addresses(rows),
        start_ns=pl.col("end_ns") - took_ms.fill_null(0) * 1_000_000,
        log_type=pl.when(over).then(pl.lit("end")).otherwise(pl.lit("start")).cast(schema.LOG_TYPE),
        protocol=pl.lit("TCP"),
        authority="dst.hbone_addr",
        service=pl.coalesce("dst.service", target.field("1")),
        service_port=pl.when(same).then(target.field("2").cast(pl.UInt16, strict=False)),
        duration_ms=took_ms.cast(pl.Float64),
        bytes_received=pl.when(outbound).then(sent).otherwise(received),
        bytes_sent=pl.when(outbound).then(received).otherwise(sent),
        termination_details="error",
        response_flags=pl.coalesce(
            pl.when(pl.col("error").str.contains(form)).then(pl.lit([flag]))
            for flag, form in _FLAGS.items()
        ),
        upstream_failure=pl.when(outbound & ~denied).then("error"),
        authz=pl.when(denied).then(pl.lit("denied")).cast(schema.AUTHZ),
        policy=pl.col("error").str.extract(_DENIED_BY),
        **{
            f"{leg}_identity": pl.when(outbound if by_client else ~outbound).then(
                f"{side}.identity"
            )
            for leg, by_client, side in _IDENTITIES
        },
        **{
            f"reported_{side}_{name}": f"{side}.{name}"
            for side in ("src", "dst")
            for name in ("cluster", "namespace", "workload")
        },
    )
    return request_rows(columns)


def _addresses(rows: pl.DataFrame) -> list[pl.Series]:
    """The client's end of the connection in, the own one inbound, the server's."""
    outbound = rows["direction"] == "outbound"
    texts = {
        "downstream_remote": rows["src.addr"],
        "downstream_local": rows["dst.addr"].set(outbound, None),
        "upstream_remote": rows["dst.addr"].zip_with(outbound, rows["dst.hbone_addr"]),
    }
    return [
        column.alias(f"{name}_{part}")
        for name, text in texts.items()
        for part, column in parse_addresses(text)._asdict().items()
    ]
