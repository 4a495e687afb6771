"""
What an access log service tells besides, if the proxy was configured to.

Headers, custom tags, and what the peers of a connection said of themselves
(Istio's peer metadata). All are maps, in which a few keys are looked for.

Before: als_columns.py. After: als_columns.py.
Source: Envoy ``additional_request_headers_to_log``, ``custom_tags`` and
``filter_state_objects_to_log``; Istio proxy, metadata_object.cc.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline.decode import als_layouts as layouts
from pipeline.decode.protobuf import I64, Occurrences, Spans
from pipeline.decode.protobuf_rows import MEMBER, Rows, every, some, where
from pipeline.decode.protobuf_text import equal

_TAGS: Final = {
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

_STRUCT_TYPE: Final = b"type.googleapis.com/google.protobuf.Struct"
_TRACEPARENT: Final = "^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-"
_TRACE_ID: Final = "^(?:[0-9a-f]{16}){1,2}$"


def headers(
    rows: Rows, asked: Occurrences, answered: Occurrences, ended: Occurrences
) -> dict[str, pl.Series]:
    """Trace id, upstream time and gRPC status, of headers and trailers."""
    told = rows.pairs(asked, {"traceparent": "parent", "x-b3-traceid": "b3"})
    told |= rows.pairs(
        answered, {"x-envoy-upstream-service-time": "upstream", "grpc-status": "header_status"}
    )
    told |= rows.pairs(ended, {"grpc-status": "trailer_status"})
    ms = pl.col("upstream").cast(pl.Float64, strict=False)
    b3 = pl.col("b3").str.to_lowercase()
    frame = pl.DataFrame(told).select(
        trace_id=pl.coalesce(
            pl.col("parent").str.extract(_TRACEPARENT), pl.when(b3.str.contains(_TRACE_ID)).then(b3)
        ),
        upstream_ms=pl.when((ms >= 0) & ms.is_finite()).then(ms),
        grpc_status=pl.coalesce("trailer_status", "header_status")
        .str.extract("^([0-9]{1,3})$")
        .cast(pl.UInt8, strict=False),
    )
    return frame.to_dict()


def tags(rows: Rows, many: Occurrences) -> dict[str, pl.Series]:
    """Columns of the custom tags that are understood."""
    return rows.pairs(many, _TAGS)


def peers(rows: Rows, many: Occurrences) -> dict[str, pl.Series]:
    """``reported_src_*`` and ``reported_dst_*``, of filter state."""
    members = rows.read(every(many), MEMBER, many.owner)
    columns: dict[str, pl.Series] = {}
    for side, keys in _PEERS.items():
        for key in keys:
            at = np.flatnonzero(equal(rows.wire, members.spans["key"], key.encode()))
            if not len(at):
                continue
            owner = many.owner[at]
            place = np.full(rows.count, len(at), np.int64)
            place[owner] = np.arange(len(at))
            for name, told in _peer(rows, some(members.spans["value"], at), owner).items():
                column = f"reported_{side}_{name}"
                found = told.append(pl.Series([None], dtype=pl.String)).gather(place)
                known = columns.get(column)
                columns[column] = (
                    found if known is None else known.zip_with(known.is_not_null(), found)
                )
    return columns


def _peer(rows: Rows, spans: Spans, of: I64) -> dict[str, pl.Series]:
    """What k peers say, each an Any that holds a Struct; null of those that hold something else."""
    whole = rows.read(spans, layouts.ANY, of)
    is_struct = equal(rows.wire, whole.spans["type"], _STRUCT_TYPE)
    return rows.struct(where(whole.spans["value"], is_struct), PEER_KEYS, of)
