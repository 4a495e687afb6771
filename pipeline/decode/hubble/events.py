"""
Events of Hubble as columns: what is read, by JSON and by protobuf alike.

A lost event was seen by the kernel or the agent and not by us: it counts as
expected and not received, like a gap in a sequence. With filters at the
exporter, the share that is lost is an upper bound.

Before: json_export.py, wire.py. After: flows.py (what the events mean).
Source: cilium api/v1/flow/flow.proto, api/v1/observer/observer.proto.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.decode import Payloads, Source, Vantage
from pipeline.decode.outcome import by_minute

KINDS: Final = ("flow", "node_status", "lost_events", "agent_event", "debug_event")
"""What a response or a line may hold, by the name of its field, numbered from 1."""

_TEXT, _LIST = pl.String(), pl.List(pl.String)
SIDE: Final = {
    "identity": pl.UInt32(),
    "cluster": _TEXT,
    "namespace": _TEXT,
    "workload": _TEXT,
    "pod": _TEXT,
    "labels": _LIST,
    "names": _LIST,
    "service": _TEXT,  # namespace/name
    "port": pl.UInt16(),
    "ip": _TEXT,
}
EVENTS: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        "event_ns": pl.Int64(),
        "type": _TEXT,
        "verdict": _TEXT,
        "drop_reason": _TEXT,
        "event_type": _TEXT,
        "observation_point": _TEXT,
        "trace_reason": _TEXT,
        "traffic_direction": _TEXT,
        "is_reply": pl.Boolean(),
        **{f"src_{name}": dtype for name, dtype in SIDE.items()},
        **{f"dst_{name}": dtype for name, dtype in SIDE.items()},
        "src_ip_xlated": _TEXT,
        "encrypted": pl.Boolean(),
        "protocol": pl.UInt8(),
        "tcp_flags": pl.UInt16(),
        "icmp_type_code": pl.UInt16(),
        "interface": _TEXT,
        "proxy_port": pl.UInt16(),
        "policy_match_type": _TEXT,
        "allowed_by": _LIST,
        "denied_by": _LIST,
        "trace_id": _TEXT,
        "l7_type": _TEXT,
        "latency_ns": pl.UInt64(),
        "l7_record": _TEXT,  # http, dns, kafka
        "http_code": pl.UInt16(),
        "http_method": _TEXT,
        "http_url": _TEXT,
        "http_protocol": _TEXT,
        **dict.fromkeys(("x_request_id", "traceparent", "user_agent", "grpc_status"), _TEXT),
        "dns_query": _TEXT,
        "dns_qtypes": _LIST,
        "dns_rcode": _TEXT,
        "kafka_api_key": _TEXT,
        "kafka_topic": _TEXT,
        "kafka_error_code": _TEXT,
    }
)
"""One event a row. Enums are text, by name or by number; the names are Hubble's own."""

TCP_FLAGS: Final = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")
"""By their bits, from the lowest."""

PROTOCOLS: Final = {"TCP": 6, "UDP": 17, "ICMPv4": 1, "ICMPv6": 58, "SCTP": 132}

RECORDS: Final = ("dns", "http", "kafka")

HEADERS: Final = {
    "x-request-id": "x_request_id",
    "traceparent": "traceparent",
    "user-agent": "user_agent",
    "grpc-status": "grpc_status",
}
"""Headers that are read, in lower case; the rest is nobody's business."""

MAX_LOST: Final = 1 << 40
"""No more lost events are believed at once: sums must fit."""

_MAX_NODES: Final = 1_024
"""Nodes told apart in one call; an exporter that makes up more is one vantage again."""
_MAX_NODE_NAME: Final = 512


def by_node(
    payloads: Payloads, node: pl.Series, kind: str
) -> tuple[list[Vantage], npt.NDArray[np.int32]]:
    """
    Vantages of n payloads: the node that is named in each, else its exporter.

    A relay speaks for many nodes over one connection.

    Parameters
    ----------
    node
        n names; null where none is told.
    kind
        Name of the format.
    """
    seen = node.drop_nulls().unique(maintain_order=True)
    believed = seen.filter(seen.str.len_bytes().is_between(1, _MAX_NODE_NAME))[:_MAX_NODES]
    told = pl.DataFrame({"source": payloads.source, "node": node}).with_columns(
        pl.when(pl.col("node").is_in(believed.to_list())).then("node")
    )
    known = told.unique(maintain_order=True)
    codes = told.join(
        known.with_row_index("vantage"),
        on=["source", "node"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )["vantage"]
    vantages = [
        Vantage(_source(payloads.sources[source], name), kind, 0)
        for source, name in known.iter_rows()
    ]
    return vantages, codes.cast(pl.Int32).to_numpy()


def _source(source: Source, node: str | None) -> Source:
    return source if node is None else source._replace(exporter=node)


def header_columns(headers: pl.DataFrame, count: int) -> list[pl.Series]:
    """
    Columns of `HEADERS` for n events; of a header that comes twice the first.

    Parameters
    ----------
    headers
        ``row`` (index of the event), ``key``, ``value``, in their order.
    """
    wanted = (
        headers.with_columns(
            name=pl.col("key").str.to_lowercase().replace_strict(HEADERS, default=None)
        )
        .filter(pl.col("name").is_not_null())
        .unique(["row", "name"], keep="first", maintain_order=True)
    )
    columns = []
    for name in HEADERS.values():
        found = wanted.filter(pl.col("name") == name)
        column = pl.repeat(None, count, dtype=pl.String, eager=True).alias(name)
        columns.append(column.scatter(found["row"], found["value"]))
    return columns


def policy_name(field: Callable[[str], pl.Expr]) -> pl.Expr:
    """``kind namespace/name`` of a policy, as far as they are told; ``field`` gives its fields."""
    place = pl.concat_str(
        field("namespace").replace("", None), field("name"), separator="/", ignore_nulls=True
    )
    named = pl.concat_str(field("kind").replace("", None), place, separator=" ", ignore_nulls=True)
    return pl.when(field("name") != "").then(named)


def service_name(field: Callable[[str], pl.Expr]) -> pl.Expr:
    """``namespace/name`` of a service; null without a name."""
    namespace = field("namespace").replace("", None)
    named = pl.concat_str(namespace, field("name"), separator="/", ignore_nulls=True)
    return pl.when(field("name") != "").then(named)


def counts(lines: pl.DataFrame) -> pl.DataFrame:
    """
    Counts of n payloads, as `accounting.FRAME`.

    Parameters
    ----------
    lines
        ``vantage``, ``received_ns``, ``bytes``, ``kind`` (of `KINDS`; null:
        rejected), ``lost`` (events, of lost_events).
    """
    flow, good = (pl.col("kind") == "flow").fill_null(value=False), pl.col("kind").is_not_null()
    return by_minute(
        lines.select(
            "vantage",
            "received_ns",
            received_payloads=1,
            received_bytes="bytes",
            decoded_payloads=good,
            rejected_payloads=~good,
            decoded_records=flow,
            ignored_records=good & ~flow,
            sequence_units_expected=flow.cast(pl.Int64) + pl.col("lost").fill_null(0),
            sequence_units_received=flow,
        )
    )
