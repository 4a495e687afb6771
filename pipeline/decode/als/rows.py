"""
Spans and numbers of access log entries to columns of requests.

Before: columns.py. After: requests.py.
Source: envoy/data/accesslog/v3/accesslog.proto; envoy/config/core/v3/base.proto.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode.addresses import distinct, parse_addresses
from pipeline.decode.als import layouts
from pipeline.decode.als.columns import ADDRESSES, DURATIONS
from pipeline.decode.als.told import PEER_KEYS, TAGS, header_columns
from pipeline.decode.protobuf.rows import LOW_32, Gathered, masked

_MAX_PORT: Final = 65_535
_PROTOCOLS: Final = (None, "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3")
_METHODS: Final = (
    None,
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
)
_TLS_VERSIONS: Final = (None, "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_LOG_TYPES: Final = (
    "end",  # NotSet: of an older proxy, which says with another field whether it goes on
    "start",  # TcpUpstreamConnected
    "periodic",
    "end",
    "start",  # DownstreamStart
    "periodic",
    "end",
    "attempt",  # UpstreamPoolReady, UpstreamPeriodic, UpstreamEnd
    "attempt",
    "attempt",
    "start",  # DownstreamTunnelSuccessfullyEstablished
    "start",  # UdpTunnelUpstreamConnected
    "periodic",
    "end",
)
_TEXTS: Final = (
    *layouts.COMMON_TEXTS,
    "sni",
    "downstream_peer_identity",
    "downstream_local_identity",
    "path",
    "authority",
    "user_agent",
    "request_id",
    "response_code_details",
)
_HEADERS: Final = ("parent", "b3", "upstream", "grpc_header", "grpc_trailer")
_REPORTED: Final = tuple(
    f"reported_{side}_{name}" for side in ("src", "dst") for name in PEER_KEYS.values()
)


def request_columns(entries: Gathered) -> pl.DataFrame:
    """Columns of `schema.DECODED_REQUESTS`, and ``direction`` and ``user_agent``, of n entries."""
    columns = {name: entries.text(name) for name in _TEXTS}
    columns["start_ns"] = pl.Series(entries.values("start_ns").value.view(np.int64))
    for name in DURATIONS:
        present, ms = entries.values(name)
        columns[name] = masked(ms.view(np.float64), present)
    for name in (*layouts.WIRE_BYTES, "bytes_received", "bytes_sent"):
        columns[name] = entries.numbers(name, pl.UInt64())
    columns["attempts"] = entries.numbers("attempts", pl.UInt32())
    code = entries.values("status")
    columns["status"] = masked(code.value.astype(np.uint16), code.present)
    columns["method"] = entries.named("method", _METHODS, pl.String())
    columns["downstream_tls"] = entries.named("downstream_tls", _TLS_VERSIONS, pl.String())
    columns["protocol"] = _protocol(entries)
    columns["log_type"] = _log_type(entries)
    columns["response_flags"] = _flags(entries)
    columns |= _addresses(entries)
    columns |= {name: entries.text(name, strict=False) for name in _REPORTED if name in entries}
    if _HEADERS[0] in entries:
        columns |= header_columns({name: entries.text(name) for name in _HEADERS})
    for key, name in TAGS.items():
        if key in entries:
            told, known = entries.text(key), columns.get(name)
            columns[name] = told if known is None else known.zip_with(known.is_not_null(), told)
    return pl.DataFrame(columns)


def _protocol(entries: Gathered) -> pl.Series:
    is_tcp = entries.values("is_tcp").present
    told = entries.named("protocol", _PROTOCOLS, pl.String())
    if not is_tcp.any():
        return told
    return told.zip_with(pl.Series(~is_tcp), pl.Series(["TCP"], dtype=pl.String))


def _log_type(entries: Gathered) -> pl.Series:
    told = entries.named("log_type", _LOG_TYPES, schema.LOG_TYPE)
    goes_on = (entries.values("intermediate").value != 0) & (
        entries.values("log_type").value & LOW_32 == 0
    )
    if not goes_on.any():
        return told
    return told.zip_with(pl.Series(~goes_on), pl.Series(["periodic"], dtype=schema.LOG_TYPE))


def _flags(entries: Gathered) -> pl.Series:
    """Short names, in the order of their numbers."""
    known, codes = np.unique(entries.values("flags").value, return_inverse=True)
    lists = [
        [name for place, name in enumerate(layouts.FLAG_NAMES) if bits >> place & 1]
        for bits in known.tolist()
    ]
    return pl.Series(lists, dtype=pl.List(pl.String)).gather(codes)


def _addresses(entries: Gathered) -> dict[str, pl.Series]:
    """Ends of both connections; null where one is no IP address."""
    host = distinct(entries.text(*(f"{name}_host" for name in ADDRESSES)))
    # What has a colon here is IPv6, for the port stands by itself.
    is_v6 = host.values.str.contains(":", literal=True)
    known = parse_addresses(host.values.zip_with(~is_v6, "[" + host.values + "]"))
    hi, lo = host.rows(known.ip_hi), host.rows(known.ip_lo)
    is_ip = lo.is_not_null().to_numpy()
    columns = {}
    for place, name in enumerate(ADDRESSES):
        rows = slice(place * entries.count, (place + 1) * entries.count)
        columns[f"{name}_ip_hi"], columns[f"{name}_ip_lo"] = hi[rows], lo[rows]
        port = entries.values(f"{name}_port").value & LOW_32
        usable = (port > 0) & (port <= _MAX_PORT) & is_ip[rows]
        columns[f"{name}_port"] = masked(port.astype(np.uint16), usable)
    return columns
