"""
Entries of the access log service to columns: n entries in, spans and numbers out.

Each kind of submessage is read once for all entries of a block, the addresses
together, the times together. Nothing is looked into here that is not a number:
texts stay spans of the buffer.

Before: __init__.py. After: told.py, rows.py.
Source: envoy/data/accesslog/v3/accesslog.proto.
"""

from typing import Final

import numpy as np

from pipeline.decode.als import layouts
from pipeline.decode.als.told import headers, peers, tags
from pipeline.decode.protobuf import I64, U64, Fields, Mask, Spans, Values, Wire
from pipeline.decode.protobuf.rows import (
    BAD_CODE,
    BAD_START,
    LOW_32,
    NO_START,
    Rows,
    either,
    every,
    joined,
    spread,
    where,
)
from pipeline.decode.protobuf.text import begins

ADDRESSES: Final = ("downstream_remote", "downstream_local", "upstream_local", "upstream_remote")
DURATIONS: Final = ("request_ms", "ttfb_ms", "duration_ms")

_TIME_LIMIT_S: Final = 9_223_372_035  # what nanoseconds in 64 bits reach, either way from 1970
_SECOND_NS: Final = 10**9
_MAX_STATUS: Final = 999
_EXTERNAL_SERVICE: Final = 1
_SPIFFE: Final = b"spiffe://"

Columns = dict[str, Spans | Values]
"""Name to texts, not looked into yet, or numbers."""


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


def read_entries(entries: Entries) -> Columns:
    """Columns of entries; those of an entry that gets a fault mean nothing."""
    whole = entries.read(entries.spans, layouts.ENTRY)
    common = entries.read(whole.spans["common"], layouts.COMMON)
    columns: Columns = {name: common.spans[name] for name in layouts.COMMON_TEXTS}
    columns |= {name: common.values[name] for name in layouts.COMMON_NUMBERS}
    columns["is_tcp"] = Values(entries.is_tcp, entries.is_tcp.astype(np.uint64))
    columns["protocol"] = whole.values["protocol"]
    columns["flags"] = _flags(entries, common.spans["flags"])
    columns |= _times(entries, common)
    columns |= _addresses(entries, common.spans)
    columns |= _tls(entries, common.spans["tls"])
    columns |= _http(entries, whole)
    if len(common.many["tag"].owner):
        columns |= tags(entries, common.many["tag"])
    if len(common.many["state"].owner):
        columns |= peers(entries, common.many["state"])
    return columns


def _flags(entries: Entries, spans: Spans) -> Values:
    """Bits of the flags that are true, by their place in `layouts.FLAG_NAMES`."""
    flags = entries.read(spans, layouts.FLAGGED)
    bits = np.zeros(entries.count, np.uint64)
    for place, one in enumerate(flags.values.values()):
        if one.present.any():
            bits |= (one.value != 0).astype(np.uint64) << np.uint64(place)
    if flags.spans["unauthorized"].present.any():
        reason = entries.read(flags.spans["unauthorized"], layouts.UNAUTHORIZED).values["reason"]
        external = reason.value & LOW_32 == _EXTERNAL_SERVICE
        bits |= external.astype(np.uint64) << np.uint64(len(flags.values))
    return Values(spans.present, bits)


def _times(entries: Entries, common: Fields) -> Columns:
    """Start and three durations, read together; all in nanoseconds or their fault."""
    spans, count = common.spans, entries.count
    # An older proxy does not say how long it took, but when its last byte went out.
    duration = either(spans["duration"], spans["last"])
    four = joined([spans["start"], spans["request"], spans["ttfb"], duration])
    times = entries.read(four, layouts.TIME, np.tile(np.arange(count), 4)).values
    seconds = times["seconds"].value.view(np.int64)
    nanos = times["nanos"].value.astype(np.uint32).view(np.int32).astype(np.int64)
    fits = (nanos >= 0) & (nanos < _SECOND_NS)
    start_s = seconds[:count]
    start_fits = fits[:count] & (start_s >= -_TIME_LIMIT_S) & (start_s <= _TIME_LIMIT_S)
    entries.blame(~four.present[:count], NO_START)
    entries.blame(~start_fits, BAD_START)
    start_ns = np.where(start_fits, start_s, 0) * _SECOND_NS + nanos[:count]
    columns: Columns = {"start_ns": Values(start_fits, start_ns.view(np.uint64))}
    good = four.present & fits & (seconds >= 0)
    ms = seconds * 1e3 + nanos / 1e6
    for place, name in enumerate(DURATIONS, start=1):
        rows = slice(place * count, (place + 1) * count)
        columns[name] = Values(good[rows], ms[rows].view(np.uint64))
    return columns


def _addresses(entries: Entries, spans: dict[str, Spans]) -> Columns:
    """``*_host`` and ``*_port`` of the ends of both connections."""
    count = entries.count
    of = np.tile(np.arange(count), len(ADDRESSES))
    read = entries.read(_sockets(entries, spans, of), layouts.SOCKET, of)
    columns: Columns = {}
    for place, name in enumerate(ADDRESSES):
        rows = slice(place * count, (place + 1) * count)
        columns[f"{name}_host"] = read.spans["address"].of(rows)
        columns[f"{name}_port"] = read.values["port"].of(rows)
    return columns


def _sockets(entries: Entries, spans: dict[str, Spans], of: I64) -> Spans:
    """Socket addresses, those of one field behind those of the other."""
    four = joined([spans["downstream_direct"], *(spans[name] for name in ADDRESSES[1:])])
    sockets = entries.read(four, layouts.ADDRESS, of).spans["socket"]
    # Whom the bytes came from counts before whom a header names. Where nobody
    # is told, or an internal listener handed them on, it is the other.
    rows = np.flatnonzero(~sockets.present[: entries.count])
    if len(rows):
        other = spans["downstream_remote"].of(rows)
        other = entries.read(other, layouts.ADDRESS, rows).spans["socket"]
        sockets = either(sockets, spread(other, rows, len(of)))
    return sockets


def _tls(entries: Entries, spans: Spans) -> Columns:
    tls = entries.read(spans, layouts.TLS)
    certificates = joined([tls.spans["peer"], tls.spans["local"]])
    peer, local = _identities(entries, certificates)
    return {
        "sni": tls.spans["sni"],
        "downstream_tls": tls.values["version"],
        "downstream_peer_identity": peer,
        "downstream_local_identity": local,
    }


def _identities(entries: Entries, certificates: Spans) -> tuple[Spans, Spans]:
    """The first SPIFFE ID of each certificate, if it has none its first URI; peer's and own."""
    count = entries.count
    of = np.tile(np.arange(count), 2)
    names = entries.read(certificates, layouts.CERTIFICATE, of).many["name"]
    uris = entries.read(every(names), layouts.ALTERNATIVE_NAME, of[names.owner]).spans["uri"]
    there = np.flatnonzero(uris.present)
    chosen = there[::-1]  # of two of one certificate, what is set last stays: the first
    if (names.owner[1:] == names.owner[:-1]).any():
        spiffe = np.flatnonzero(begins(entries.wire, uris, _SPIFFE))
        chosen = np.concatenate([chosen, spiffe[::-1]])
    both = spread(uris.of(chosen), names.owner[chosen], 2 * count)
    return both.of(slice(count)), both.of(slice(count, None))


def _http(entries: Entries, whole: Fields) -> Columns:
    """What only requests have, and the bytes, which of connections are told elsewhere."""
    asked, answered = (
        where(whole.spans[name], ~entries.is_tcp) for name in ("request", "response")
    )
    request = entries.read(asked, layouts.REQUEST)
    response = entries.read(answered, layouts.RESPONSE)
    connected = where(whole.spans["connection"], entries.is_tcp)
    connection = entries.read(connected, layouts.CONNECTION).values
    code = entries.read(response.spans["code"], layouts.NUMBER).values["value"].value & LOW_32
    entries.blame(code > _MAX_STATUS, BAD_CODE)
    original, path = request.spans["original_path"], request.spans["path"]
    if original.present.any():
        path = either(where(original, original.end > original.begin), path)
    received, sent = request.values["body_bytes"].value, response.values["body_bytes"].value
    columns: Columns = {
        "method": request.values["method"],
        "path": path,
        **{name: request.spans[name] for name in ("authority", "user_agent", "request_id")},
        "response_code_details": response.spans["details"],
        "status": Values(code > 0, code),
        # A number that is 0 is left out by who writes it; the other message is not there.
        "bytes_received": _told(asked, connected, received | connection["received"].value),
        "bytes_sent": _told(answered, connected, sent | connection["sent"].value),
    }
    maps = (request.many["header"], response.many["header"], response.many["trailer"])
    if any(len(one.owner) for one in maps):
        columns |= headers(entries, *maps)
    return columns


def _told(http: Spans, tcp: Spans, value: U64) -> Values:
    return Values(http.present | tcp.present, value)
