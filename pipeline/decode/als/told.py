"""
What an access log service tells besides, if the proxy was configured to.

Headers, custom tags, and what the peers of a connection said of themselves
(Istio's peer metadata). All are maps, in which a few keys are looked for.

Before: columns.py. After: rows.py.
Source: Envoy ``additional_request_headers_to_log``, ``custom_tags`` and
``filter_state_objects_to_log``; Istio proxy, metadata_object.cc.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from pipeline.decode.als import layouts
from pipeline.decode.protobuf import Occurrences, Spans, Wire
from pipeline.decode.protobuf.rows import MEMBER, NO_FAULT, Rows, either, every, spread, where
from pipeline.decode.protobuf.text import distinct, ends, equal

TAGS: Final = {
    "downstream_peer_uri_san": "downstream_peer_identity",
    "downstream_local_uri_san": "downstream_local_identity",
    "upstream_peer_uri_san": "upstream_peer_identity",
    "upstream_local_uri_san": "upstream_local_identity",
    "downstream_tls_version": "downstream_tls",
    "upstream_tls_version": "upstream_tls",
    "traffic_direction": "direction",
    "trace_id": "trace_id",
}
"""Custom tags that are understood: by the names JSON logs have for them, to the column."""

_PEERS: Final = {
    "src": ("downstream_peer", "wasm.downstream_peer"),
    "dst": ("upstream_peer", "wasm.upstream_peer"),
}
"""Side to the names its metadata has had; of two the first counts."""

PEER_KEYS: Final = {
    "CLUSTER_ID": "cluster",
    "NAMESPACE": "namespace",
    "WORKLOAD_NAME": "workload",
    "NAME": "pod",
}
"""Keys of a node's metadata to what they are of a side."""

_STRUCT_TYPE: Final = b"/google.protobuf.Struct"  # what is before the last slash has no meaning
_TRACEPARENT: Final = "^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-"
_TRACE_ID: Final = "^(?:[0-9a-f]{16}){1,2}$"


def headers(
    rows: Rows, asked: Occurrences, answered: Occurrences, ended: Occurrences
) -> dict[str, Spans]:
    """Headers and trailers that are understood."""
    return {
        **rows.pairs(asked, {"traceparent": "parent", "x-b3-traceid": "b3"}),
        **rows.pairs(
            answered, {"x-envoy-upstream-service-time": "upstream", "grpc-status": "grpc_header"}
        ),
        **rows.pairs(ended, {"grpc-status": "grpc_trailer"}),
    }


def header_columns(texts: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    """Trace id, upstream time and gRPC status, of the texts of `headers`."""
    ms = pl.col("upstream").cast(pl.Float64, strict=False)
    b3 = pl.col("b3").str.to_lowercase()
    frame = pl.DataFrame(texts).select(
        trace_id=pl.coalesce(
            pl.col("parent").str.extract(_TRACEPARENT), pl.when(b3.str.contains(_TRACE_ID)).then(b3)
        ),
        upstream_ms=pl.when((ms >= 0) & ms.is_finite()).then(ms),
        grpc_status=pl.coalesce("grpc_trailer", "grpc_header")
        .str.extract("^([0-9]{1,3})$")
        .cast(pl.UInt8, strict=False),
    )
    return frame.to_dict()


def tags(rows: Rows, many: Occurrences) -> dict[str, Spans]:
    """Custom tags that are understood."""
    return rows.pairs(many, {key: key for key in TAGS})


def peers(rows: Rows, many: Occurrences) -> dict[str, Spans]:
    """
    ``reported_src_*`` and ``reported_dst_*``, of filter state.

    The proxy passes these on and does not answer for them: one that is no
    protobuf says nothing, and its entry is as good as any.
    """
    members = rows.read(every(many), MEMBER, many.owner)
    columns: dict[str, Spans] = {}
    found = [
        (side, np.flatnonzero(equal(rows.wire, members.spans["key"], key.encode())))
        for side, keys in _PEERS.items()
        for key in keys
    ]
    told = _peer(rows.wire, members.spans["value"].of(np.concatenate([at for _, at in found])))
    first = 0
    for side, at in found:
        some = slice(first, first + len(at))
        first += len(at)
        for name, texts in told.items() if len(at) else ():
            column = f"reported_{side}_{name}"
            here = spread(texts.of(some), many.owner[at], rows.count)
            known = columns.get(column)
            columns[column] = here if known is None else either(known, here)
    return columns


def _peer(wire: Wire, spans: Spans) -> dict[str, Spans]:
    """What k peers say, each an Any that holds a Struct; nothing of those that hold another."""
    # There are few peers, and each is told of in many entries.
    first, kind = distinct(wire, spans)
    rows = Rows(wire, len(first))
    whole = rows.read(spans.of(first), layouts.ANY)
    is_struct = ends(wire, whole.spans["type"], _STRUCT_TYPE)
    told = rows.struct(where(whole.spans["value"], is_struct), PEER_KEYS)
    good = rows.fault == NO_FAULT
    return {name: where(one, good & (one.end > one.begin)).of(kind) for name, one in told.items()}
