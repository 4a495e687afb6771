"""
Entries of the access log service to columns: n entries in, n rows out.

Each kind of submessage is read once for all entries, the addresses together,
the times together. What an entry does not have is null; numbers a proxy always
writes are 0 where it wrote nothing, for protobuf leaves a 0 out.

Before: als.py. After: als_told.py, requests.py.
Source: envoy/data/accesslog/v3/accesslog.proto.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode import als_layouts as layouts
from pipeline.decode.addresses import distinct, parse_addresses
from pipeline.decode.als_told import headers, peers, tags
from pipeline.decode.protobuf import I64, Fields, Mask, Spans, Values, Wire
from pipeline.decode.protobuf_rows import (
    BAD_CODE,
    BAD_START,
    LOW_32,
    NO_START,
    Rows,
    either,
    every,
    joined,
    masked,
    named,
    numbers,
    some,
    where,
)

_TIME_LIMIT_S: Final = 9_223_372_035  # what nanoseconds in 64 bits reach, either way from 1970
_SECOND_NS: Final = 10**9
_MAX_STATUS: Final = 999
_MAX_PORT: Final = 65_535

_ADDRESSES: Final = ("downstream_remote", "downstream_local", "upstream_local", "upstream_remote")
_PROTOCOLS: Final = (None, "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3", "TCP")
_TCP: Final = _PROTOCOLS.index("TCP")
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
    None,  # NotSet: of an older proxy, which says with another field whether it goes on
    "start",  # TcpUpstreamConnected
    "periodic",
    "end",
    "start",  # DownstreamStart
    "periodic",
    "end",
    "start",  # UpstreamPoolReady
    "periodic",
    "end",
    "start",  # DownstreamTunnelSuccessfullyEstablished
    "start",  # UdpTunnelUpstreamConnected
    "periodic",
    "end",
)
_PERIODIC, _END = 2, 3
_UNAUTHORIZED: Final = "UAEX"
_EXTERNAL_SERVICE: Final = 1
_SPIFFE: Final = "spiffe://"


class Entries(Rows):
    """
    n entries of some messages.

    Parameters
    ----------
    spans
        Where each is.
    is_tcp
        bool[n].
    """

    def __init__(self, wire: Wire, spans: Spans, is_tcp: Mask) -> None:
        super().__init__(wire, len(is_tcp))
        self.spans = spans
        self.is_tcp = is_tcp


def read_entries(entries: Entries) -> dict[str, pl.Series]:
    """
    Columns of `schema.DECODED_REQUESTS`, and ``direction`` and ``user_agent``.

    Rows of entries with a fault are there too, and mean nothing.
    """
    whole = entries.read(entries.spans, layouts.ENTRY)
    common = entries.read(whole.spans["common"], layouts.COMMON)
    columns = _common(entries, common)
    columns |= _times(entries, common)
    columns |= _addresses(entries, common)
    columns |= _tls(entries, common.spans["tls"])
    columns |= _http(entries, whole)
    if len(common.many["tag"].owner):
        for name, told in tags(entries, common.many["tag"]).items():
            known = columns.get(name)
            columns[name] = told if known is None else known.zip_with(known.is_not_null(), told)
    if len(common.many["state"].owner):
        columns |= peers(entries, common.many["state"])
    return columns


def _common(entries: Entries, common: Fields) -> dict[str, pl.Series]:
    spans, values = common.spans, common.values
    log_type = values["log_type"].value & LOW_32
    older = np.where(values["intermediate"].value != 0, np.uint64(_PERIODIC), np.uint64(_END))
    log_type = np.where(log_type == 0, older, log_type)
    columns = {
        "log_type": named(log_type, _LOG_TYPES, schema.LOG_TYPE),
        "attempts": numbers(values["attempts"], pl.UInt32()),
        "response_flags": _flags(entries, spans["flags"]),
    }
    for name in layouts.COMMON_TEXTS:
        columns[name] = entries.text(spans[name])
    for name in layouts.WIRE_BYTES:
        columns[name] = numbers(values[name], pl.UInt64())
    return columns


def _flags(entries: Entries, spans: Spans) -> pl.Series:
    """Short names of the flags that are true, in the order of their numbers."""
    flags = entries.read(spans, layouts.FLAGGED)
    bits = np.zeros(entries.count, np.uint64)
    for place, one in enumerate(flags.values.values()):
        if one.present.any():
            bits |= (one.value != 0).astype(np.uint64) << np.uint64(place)
    if flags.spans["unauthorized"].present.any():
        reason = entries.read(flags.spans["unauthorized"], layouts.UNAUTHORIZED).values["reason"]
        external = reason.value & LOW_32 == _EXTERNAL_SERVICE
        bits |= external.astype(np.uint64) << np.uint64(len(flags.values))
    names = [*flags.values, _UNAUTHORIZED]
    known, codes = np.unique(bits, return_inverse=True)
    lists = [
        [name for place, name in enumerate(names) if mask >> place & 1] for mask in known.tolist()
    ]
    return pl.Series(lists, dtype=pl.List(pl.String)).gather(codes)


def _times(entries: Entries, common: Fields) -> dict[str, pl.Series]:
    """Start and three durations, read together."""
    spans, count = common.spans, entries.count
    # An older proxy does not say how long it took, but when its last byte went out.
    duration = either(spans["duration"], spans["last"])
    four = joined([spans["start"], spans["request"], spans["ttfb"], duration])
    times = entries.read(four, layouts.TIME, np.tile(np.arange(count), 4)).values
    seconds = times["seconds"].value.view(np.int64)
    nanos = times["nanos"].value.astype(np.uint32).view(np.int32).astype(np.int64)
    fits = (nanos >= 0) & (nanos < _SECOND_NS)
    start_s, start_fits = seconds[:count], fits[:count].copy()
    start_fits &= (start_s >= -_TIME_LIMIT_S) & (start_s <= _TIME_LIMIT_S)
    entries.blame(~four.present[:count], NO_START)
    entries.blame(~start_fits, BAD_START)
    good = four.present & fits & (seconds >= 0)
    ms = seconds * 1e3 + nanos / 1e6
    columns = {"start_ns": pl.Series(np.where(start_fits, start_s, 0) * _SECOND_NS + nanos[:count])}
    for place, name in enumerate(("request_ms", "ttfb_ms", "duration_ms"), start=1):
        rows = slice(place * count, (place + 1) * count)
        columns[name] = masked(pl.Series(ms[rows]), good[rows])
    return columns


def _addresses(entries: Entries, common: Fields) -> dict[str, pl.Series]:
    """Ends of both connections, read together; null where one is no IP address."""
    of = np.tile(np.arange(entries.count), len(_ADDRESSES))
    sockets = _sockets(entries, common.spans)
    read = entries.read(sockets, layouts.SOCKET, of)
    host = distinct(entries.text(read.spans["address"], of))
    # What has a colon here is IPv6, for the port stands by itself.
    is_v6 = host.values.str.contains(":", literal=True)
    known = parse_addresses(host.values.zip_with(~is_v6, "[" + host.values + "]"))
    hi, lo = host.rows(known.ip_hi), host.rows(known.ip_lo)
    number = read.values["port"].value & LOW_32
    usable = (number > 0) & (number <= _MAX_PORT) & lo.is_not_null().to_numpy()
    port = masked(pl.Series(number.astype(np.uint16)), usable)
    columns = {}
    for place, name in enumerate(_ADDRESSES):
        rows = slice(place * entries.count, (place + 1) * entries.count)
        columns[f"{name}_ip_hi"], columns[f"{name}_ip_lo"] = hi[rows], lo[rows]
        columns[f"{name}_port"] = port[rows]
    return columns


def _sockets(entries: Entries, spans: dict[str, Spans]) -> Spans:
    """Socket addresses, those of one field behind those of the other."""
    count = entries.count
    rows = np.arange(count)
    four = joined([spans["downstream_direct"], *(spans[name] for name in _ADDRESSES[1:])])
    sockets = entries.read(four, layouts.ADDRESS, np.tile(rows, 4)).spans["socket"]
    # Whom the bytes came from counts before whom a header names. Where nobody
    # is told, or an internal listener handed them on, it is the other.
    named_only = np.flatnonzero(~sockets.present[:count])
    if len(named_only):
        other = some(spans["downstream_remote"], named_only)
        other = entries.read(other, layouts.ADDRESS, named_only).spans["socket"]
        for part, found in zip(sockets, other, strict=True):
            part[named_only] = found
    return sockets


def _tls(entries: Entries, spans: Spans) -> dict[str, pl.Series]:
    tls = entries.read(spans, layouts.TLS)
    certificates = joined([tls.spans["peer"], tls.spans["local"]])
    identity = _identities(entries, certificates, np.tile(np.arange(entries.count), 2))
    return {
        "sni": entries.text(tls.spans["sni"]),
        "downstream_tls": named(tls.values["version"].value, _TLS_VERSIONS, pl.String()),
        "downstream_peer_identity": identity[: entries.count],
        "downstream_local_identity": identity[entries.count :],
    }


def _identities(entries: Entries, certificates: Spans, of: I64) -> pl.Series:
    """The first SPIFFE ID of each certificate; if it has none, its first URI."""
    names = entries.read(certificates, layouts.CERTIFICATE, of).many["name"]
    uris = entries.read(every(names), layouts.ALTERNATIVE_NAME, of[names.owner]).spans["uri"]
    there = np.flatnonzero(uris.present)
    owner = names.owner[there]
    uri = entries.text(some(uris, there), of[owner])
    first = np.full(len(of), len(there), np.int64)
    first[owner[::-1]] = np.arange(len(there))[::-1]
    if (owner[1:] == owner[:-1]).any():
        is_spiffe = uri.str.starts_with(_SPIFFE).fill_null(value=False)
        spiffe = np.flatnonzero(is_spiffe.to_numpy())
        first[owner[spiffe][::-1]] = spiffe[::-1]
    return uri.append(pl.Series([None], dtype=pl.String)).gather(first)


def _http(entries: Entries, whole: Fields) -> dict[str, pl.Series]:
    """What only requests have, and the bytes, which of connections are told elsewhere."""
    is_http = ~entries.is_tcp
    asked, answered = (where(whole.spans[name], is_http) for name in ("request", "response"))
    request = entries.read(asked, layouts.REQUEST)
    response = entries.read(answered, layouts.RESPONSE)
    connected = where(whole.spans["connection"], entries.is_tcp)
    connection = entries.read(connected, layouts.CONNECTION).values
    code = entries.read(response.spans["code"], layouts.NUMBER).values["value"].value & LOW_32
    entries.blame(code > _MAX_STATUS, BAD_CODE)
    protocol = whole.values["protocol"].value & LOW_32
    protocol = np.where(protocol < _TCP, protocol, 0)
    protocol = np.where(is_http, protocol, np.uint64(_TCP))
    original = request.spans["original_path"]
    path = (
        either(original, request.spans["path"]) if original.present.any() else request.spans["path"]
    )
    columns = {
        "protocol": named(protocol, _PROTOCOLS, pl.String()),
        "method": named(request.values["method"].value, _METHODS, pl.String()),
        "path": entries.text(path),
        "authority": entries.text(request.spans["authority"]),
        "user_agent": entries.text(request.spans["user_agent"]),
        "request_id": entries.text(request.spans["request_id"]),
        "response_code_details": entries.text(response.spans["details"]),
        "status": masked(pl.Series(code.astype(np.uint16)), code > 0),
        "bytes_received": _bytes(
            (asked, request.values["body_bytes"]), (connected, connection["received"])
        ),
        "bytes_sent": _bytes(
            (answered, response.values["body_bytes"]), (connected, connection["sent"])
        ),
    }
    maps = (request.many["header"], response.many["header"], response.many["trailer"])
    if any(len(one.owner) for one in maps):
        columns |= headers(entries, *maps)
    return columns


def _bytes(http: tuple[Spans, Values], tcp: tuple[Spans, Values]) -> pl.Series:
    """A number of the one message or of the other; 0 where that leaves it out."""
    value = http[1].value | tcp[1].value  # the one that is not there is 0
    return masked(pl.Series(value), http[0].present | tcp[0].present)
