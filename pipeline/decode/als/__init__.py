"""
Envoy's access log service: one message in, its entries out as request rows.

    StreamAccessLogsMessage   identifier: node, log name
                              http_logs or tcp_logs: entry, entry, ...

The agent puts the identifier in front of every message, so each stands for
itself. Messages are read some megabytes at a time, in columns. An entry is
refused when it is no protobuf, without a usable start time, with a response
code above 999, or with a text that is not UTF-8; a message when it is no
protobuf itself. Entries beside a refused one are rows like any others.

Of a request that goes on, Envoy may tell every now and then; ``log_type`` says
which rows those are.

    layouts    which fields
    columns    entries to columns
    told       what peers and custom tags say
    rows       columns to those of requests

Before: decode/__init__.py. After: layouts.py, columns.py, rows.py, requests.py.
Source: envoy/service/accesslog/v3/als.proto.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless, Vantage
from pipeline.decode.als import layouts
from pipeline.decode.als.columns import Entries, read_entries
from pipeline.decode.als.rows import request_columns
from pipeline.decode.als.told import PEER_KEYS
from pipeline.decode.envoy_node import read_node, told_by_node
from pipeline.decode.outcome import Refused, counted, first_few, rejected
from pipeline.decode.protobuf import Mask, Spans, Wire
from pipeline.decode.protobuf.rows import FAULTS, NO_FAULT, Gathered, Rows, either, every, where
from pipeline.decode.requests import declared_columns, request_rows
from pipeline.rejects import RAW_BYTES

_PIECE_BYTES: Final = 32 << 20
"""Payloads read together: so much, and one more."""

_ENTRIES: Final = 65_536
"""Entries whose columns are made at once: bounds what those that are refused may take."""
_BLOCK: Final = 8_192
"""Entries read together: their bytes, and what they become, stay in a cache."""

_NODE_TEXTS: Final = ("node_id", "log_name", *(f"node_{name}" for name in PEER_KEYS.values()))
_SIDES: Final = {"src": "source", "dst": "destination"}


class Als(Stateless):
    """The decoder of kind ``als``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these messages."""
        used, codes = np.unique(payloads.source, return_inverse=True)
        vantage = codes.astype(np.int32)
        sources = [payloads.sources[code] for code in used]
        refused: list[Refused] = []
        frames = [
            frame
            for first, piece in _pieces(payloads.payload)
            for frame in _read_piece(piece, first, refused)
        ]
        requests = pl.DataFrame(schema=schema.DECODED_REQUESTS)
        records = np.zeros(len(vantage), np.int64)
        if frames:
            columns = pl.concat(frames, how="diagonal")
            at = columns["payload"].to_numpy()
            records += np.bincount(at, minlength=len(records))
            requests = _requests(
                columns.with_columns(
                    vantage=vantage[at],
                    received_ns=payloads.received_ns[at],
                    **declared_columns(sources, vantage[at]),
                )
            )
        return Decoded(
            vantages=[Vantage(source, "envoy_als", 0) for source in sources],
            frames={"requests": requests},
            rejects=rejected(refused, vantage),
            counts=counted(payloads, vantage, records, refused),
        )


def _pieces(payload: pa.BinaryArray) -> Iterator[tuple[int, pa.BinaryArray]]:
    """Slices of some megabytes, each with the number of its first payload."""
    ends = np.frombuffer(payload.buffers()[1], np.int32)[payload.offset :][: len(payload) + 1]
    first = 0
    while first < len(payload):
        after = int(np.searchsorted(ends, int(ends[first]) + _PIECE_BYTES))
        after = min(max(after, first + 1), len(payload))
        yield first, payload[first:after]
        first = after


def _read_piece(payload: pa.BinaryArray, first: int, refused: list[Refused]) -> list[pl.DataFrame]:
    """Columns of the entries that are good; ``payload``, ``node_*`` and ``told_*`` besides."""
    wire = Wire(payload)
    messages = Rows(wire, len(payload))
    streams = messages.read(Spans(wire.begin >= 0, wire.begin, wire.end), layouts.STREAM)
    nodes = _nodes(messages, streams.spans["identifier"])
    http, tcp = streams.spans["http"], streams.spans["tcp"]
    wrapper = either(tcp, http)
    wrapper = where(wrapper, messages.fault == NO_FAULT)
    found = messages.read(wrapper, layouts.ENTRIES).many["entry"]
    nodes.fault[:] = messages.fault
    is_tcp = tcp.present[found.owner]
    who = pl.DataFrame({name: nodes.text(name) for name in _NODE_TEXTS})
    who = who.with_columns(**read_node()).drop("node_id", "log_name")
    good = (nodes.fault == NO_FAULT)[found.owner]
    every_payload = np.arange(first, first + len(payload))
    _refuse(nodes, Spans(wire.begin >= 0, wire.begin, wire.end), every_payload, refused)
    frames = []
    for start in range(0, len(is_tcp), _ENTRIES):
        some = slice(start, start + _ENTRIES)
        owner, spans = found.owner[some], every(found).of(some)
        entries = _read_entries(wire, spans, is_tcp[some])
        columns = request_columns(entries)
        _refuse(entries, spans, owner + first, refused)
        told = who[owner].with_columns(payload=pl.Series(owner + first, dtype=pl.Int32))
        kept = pl.Series(good[some] & (entries.fault == NO_FAULT))
        frames.append(pl.concat([told, columns], how="horizontal").filter(kept))
    return frames


def _read_entries(wire: Wire, spans: Spans, is_tcp: Mask) -> Gathered:
    entries = Gathered(wire, len(is_tcp))
    for start in range(0, len(is_tcp), _BLOCK):
        block = slice(start, start + _BLOCK)
        rows = Entries(wire, spans.of(block), is_tcp[block])
        entries.add(start, rows, read_entries(rows))
    return entries


def _nodes(messages: Rows, identifier: Spans) -> Gathered:
    """Who each message says it is from."""
    read = messages.read(identifier, layouts.IDENTIFIER)
    node = messages.read(read.spans["node"], layouts.NODE)
    keys = {key: f"node_{name}" for key, name in PEER_KEYS.items()}
    told = messages.struct(node.spans["metadata"], keys)
    told |= {"node_id": node.spans["id"], "log_name": read.spans["log_name"]}
    nodes = Gathered(messages.wire, messages.count)
    nodes.add(0, messages, told)
    return nodes


def _refuse(
    rows: Gathered, spans: Spans, payload: npt.NDArray[np.int64], refused: list[Refused]
) -> None:
    """Put rows with a fault where they are counted."""
    bad = np.flatnonzero(rows.fault != NO_FAULT)
    for place, more in first_few(payload[bad], rows.fault[bad]):
        row = bad[place]
        reason, detail = FAULTS[rows.fault[row]]
        first, end = int(spans.begin[row]), int(spans.end[row])
        raw = rows.wire.take(first, min(end, first + RAW_BYTES))
        refused.append(Refused(int(payload[row]), reason, detail + more, raw, end - first))


def _requests(columns: pl.DataFrame) -> pl.DataFrame:
    """
    Rows of requests.

    A proxy that speaks for one side of a call says of that side what it says of
    itself, its node's metadata.
    """
    rows = request_rows(columns.with_columns(**told_by_node(columns.columns)))
    own = columns.select(f"node_{name}" for name in PEER_KEYS.values())
    return (
        pl.concat([rows, own], how="horizontal")
        .with_columns(
            pl.coalesce(
                f"reported_{side}_{name}",
                pl.when(pl.col("reporter") == reporter).then(pl.col(f"node_{name}")),
            ).alias(f"reported_{side}_{name}")
            for side, reporter in _SIDES.items()
            for name in PEER_KEYS.values()
        )
        .select(schema.DECODED_REQUESTS.names())
    )
