"""
Hubble's events, however they came, to rows: the one meaning of JSON and protobuf.

    events (`EVENTS`) ─┬─ L7      ─▶ requests   http, dns, kafka, as a node's proxy saw them
                       ├─ L3/L4   ─▶ verdicts   one event of one packet
                       └─ lost    ─▶ accounting what never got to us

A proxy tells a call twice: a REQUEST when it comes in, and a RESPONSE, with
status and latency, when it is answered. Each is a row: the first of log type
start, the second of log type end. Calls that were answered are counted by
their ends. A denied call is told by a REQUEST that is DROPPED, so its start
has ``authz`` denied, and nothing else has; the 403 the client got is its end.

Client and server are source and destination of a REQUEST, and the other way
round in a RESPONSE. EGRESS is told by the client's node, INGRESS by the
server's.

A lost event was seen by the kernel or the agent and not by us: it counts as
expected and not received, like a gap in a sequence. With filters at the
exporter, the share that is lost is an upper bound.

Before: hubble_json.py, hubble.py. After: requests.py, normalize.py.
Source: cilium api/v1/flow/flow.proto, api/v1/observer/observer.proto.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline import accounting, schema
from pipeline.decode import Payloads, Source, Vantage
from pipeline.decode import hubble_names as names
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.requests import request_rows

KINDS: Final = ("flow", "node_status", "lost_events", "agent_event", "debug_event")
"""What a response or a line may hold, by the name of its field, numbered from 1."""

_TEXT, _LIST = pl.String(), pl.List(pl.String)
_SIDE: Final = {
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
        **{f"src_{name}": dtype for name, dtype in _SIDE.items()},
        **{f"dst_{name}": dtype for name, dtype in _SIDE.items()},
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

_KEPT_LABELS: Final = (
    r"^(?:reserved:|cidr:|fqdn:|k8s:(?:app|k8s-app|version|app\.kubernetes\.io/[^=]+"
    r"|io\.cilium\.k8s\.policy\.serviceaccount|service\.istio\.io/[^=]+)=)"
)
_CLUSTER_LABEL: Final = r"^k8s:io\.cilium\.k8s\.policy\.cluster=(.+)$"
_URL: Final = r"^(?:[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*))?([^#]*)"
_TRACEPARENT: Final = r"^[0-9a-f]{2}-([0-9a-f]{32})-"
_NULL_FOR_ZERO: Final = (
    *(f"{side}_{name}" for side in ("src", "dst") for name in ("identity", "port")),
    "proxy_port",
    "tcp_flags",
)
"""What has its default is not told: there is no identity, port or TCP segment of 0."""
_MINUTE_NS: Final = 60 * 10**9


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


def frames(events: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """
    Rows of both tables.

    Parameters
    ----------
    events
        n rows of `EVENTS`, each with a time.
    """
    events = events.with_columns(
        type=names.named("type", names.TYPES),
        verdict=names.named("verdict", names.VERDICTS),
        drop_reason=names.named("drop_reason", names.DROP_REASONS),
        traffic_direction=names.named("traffic_direction", names.DIRECTIONS),
        l7_type=names.named("l7_type", names.L7_TYPES),
        **{name: pl.when(pl.col(name) != 0).then(name) for name in _NULL_FOR_ZERO},
        **{
            f"{side}_cluster": pl.coalesce(
                _told(f"{side}_cluster"),
                pl.col(f"{side}_labels")
                .list.eval(pl.element().str.extract(_CLUSTER_LABEL).drop_nulls())
                .list.first(),
            )
            for side in ("src", "dst")
        },
    )
    l7 = (pl.col("type") == "L7") | pl.col("l7_record").is_not_null()
    l7 = l7.fill_null(value=False)
    return {
        "verdicts": _verdicts(events.filter(~l7)),
        "requests": _requests(events.filter(l7)),
    }


def counts(lines: pl.DataFrame) -> pl.DataFrame:
    """
    Counts of n payloads, as `accounting.FRAME`.

    Parameters
    ----------
    lines
        ``vantage``, ``received_ns``, ``bytes``, ``kind`` (of `KINDS`; null:
        rejected), ``lost`` (events, of lost_events).
    """
    flow, good = pl.col("kind") == "flow", pl.col("kind").is_not_null()
    flows, lost = flow.fill_null(value=False).sum(), pl.col("lost").fill_null(0).sum()
    sums = {
        "received_payloads": pl.len(),
        "received_bytes": pl.col("bytes").sum(),
        "decoded_payloads": good.sum(),
        "rejected_payloads": (~good).sum(),
        "decoded_records": flows,
        "ignored_records": (good & ~flow).sum(),
        "sequence_units_expected": flows + lost,
        "sequence_units_received": flows,
    }
    minute = pl.col("received_ns") // _MINUTE_NS * _MINUTE_NS
    summed = lines.group_by("vantage", minute.alias("minute_ns"), maintain_order=True).agg(
        **{name: expression.cast(pl.Int64) for name, expression in sums.items()}
    )
    zero = [pl.lit(0, pl.Int64).alias(name) for name in accounting.COUNTERS if name not in sums]
    return summed.with_columns(zero).select(accounting.FRAME.names())


def _verdicts(events: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schema.DECODED_VERDICTS`."""
    kept = pl.element().filter(pl.element().str.contains(_KEPT_LABELS))
    looked_up = pl.col("event_type") == "5"
    columns = events.with_columns(
        *(
            pl.col(f"{side}_{name}").alias(f"reported_{side}_{name}").replace("", None)
            for side in ("src", "dst")
            for name in ("cluster", "namespace", "workload", "pod")
        ),
        *(pl.col(f"{side}_labels").list.eval(kept) for side in ("src", "dst")),
        *_address(events, {"src_ip": "src", "dst_ip": "dst", "src_ip_xlated": "post_nat_src"}),
        event_type=names.named("event_type", names.EVENT_TYPES),
        observation_point=names.named("observation_point", names.POINTS),
        trace_reason=names.named("trace_reason", names.TRACE_REASONS),
        policy_match=pl.when(looked_up).then(
            pl.col("policy_match_type").fill_null("0").replace(names.POLICY_MATCHES)
        ),
        interface=_told("interface"),
    )
    return schema.complete(columns, schema.DECODED_VERDICTS)


def _requests(events: pl.DataFrame) -> pl.DataFrame:
    """Rows of `schema.DECODED_REQUESTS`."""
    answer = pl.coalesce(
        pl.when(pl.col("l7_type").is_in(["REQUEST", "RESPONSE"])).then(
            pl.col("l7_type") == "RESPONSE"
        ),
        "is_reply",
        pl.lit(value=False),
    )
    events = events.with_columns(answer=answer)
    both = {name: (f"src_{name}", f"dst_{name}") for name in _SIDE}
    events = events.with_columns(
        pl.when("answer").then(after).otherwise(before).alias(f"{whose}_{name}")
        for name, (src, dst) in both.items()
        for whose, before, after in (("client", src, dst), ("server", dst, src))
    )
    http, dns = pl.col("l7_record") == "http", pl.col("l7_record") == "dns"
    kafka = pl.col("l7_record") == "kafka"
    latency_ns = pl.when(pl.col("latency_ns") > 0).then(
        pl.col("latency_ns").cast(pl.Int64, strict=False)
    )
    by_client = pl.col("traffic_direction") == "EGRESS"
    by_server = pl.col("traffic_direction") == "INGRESS"
    rcode = pl.when("answer").then(pl.col("dns_rcode").fill_null("0"))
    error = pl.when(pl.col("kafka_error_code") != "0").then("kafka_error_code")
    columns = events.select(
        "vantage",
        "received_ns",
        start_ns=pl.col("event_ns") - pl.when("answer").then(latency_ns).fill_null(0),
        reporter=pl.when(by_client)
        .then(pl.lit("source"))
        .when(by_server)
        .then(pl.lit("destination"))
        .otherwise(pl.lit("unknown"))
        .cast(schema.REPORTER),
        log_type=pl.when("answer")
        .then(pl.lit("end"))
        .otherwise(pl.lit("start"))
        .cast(schema.LOG_TYPE),
        protocol=pl.when(dns)
        .then(pl.lit("DNS"))
        .when(kafka)
        .then(pl.lit("Kafka"))
        .when(http)
        .then(_told("http_protocol")),
        method=pl.when(dns)
        .then(pl.col("dns_qtypes").list.join(","))
        .when(kafka)
        .then("kafka_api_key")
        .when(http)
        .then("http_method")
        .replace("", None),
        authority=pl.when(dns)
        .then(pl.col("dns_query").str.strip_suffix("."))
        .otherwise(pl.col("http_url").str.extract(_URL, 1))
        .replace("", None),
        path=pl.when(kafka)
        .then("kafka_topic")
        .otherwise(pl.col("http_url").str.extract(_URL, 2))
        .replace("", None),
        status=pl.when("answer").then("http_code"),
        grpc_status=pl.when("answer").then(pl.col("grpc_status").cast(pl.UInt8, strict=False)),
        response_code_details=pl.when(dns)
        .then(rcode.replace(names.RCODES))
        .when(kafka)
        .then("error_code " + error),
        termination_details="drop_reason",
        authz=pl.when(pl.col("verdict") == "DROPPED").then(pl.lit("denied")).cast(schema.AUTHZ),
        policy=pl.col("denied_by").list.first(),
        request_id=_told("x_request_id"),
        trace_id=pl.coalesce(_told("trace_id"), pl.col("traceparent").str.extract(_TRACEPARENT)),
        duration_ms=pl.when("answer").then(latency_ns) / 1e6,
        user_agent="user_agent",
        service=pl.col("server_service").str.replace(r"^([^/]+)/(.+)$", "$2.$1.svc"),
        downstream_remote_port="client_port",
        downstream_local_port=pl.when(by_server).then("server_port"),
        upstream_remote_port=pl.when(~by_server.fill_null(value=False)).then("server_port"),
        downstream_remote="client_ip",
        downstream_local=pl.when(by_server).then("server_ip"),
        upstream_remote=pl.when(~by_server.fill_null(value=False)).then("server_ip"),
        mesh=pl.lit("cilium"),
        proxy_model=pl.lit("host").cast(schema.PROXY_MODEL),
        **{
            f"reported_{side}_{name}": _told(f"{whose}_{name}")
            for side, whose in (("src", "client"), ("dst", "server"))
            for name in ("cluster", "namespace", "workload", "pod")
        },
    )
    addresses = ("downstream_remote", "downstream_local", "upstream_remote")
    columns = columns.with_columns(_address(columns, dict(zip(addresses, addresses, strict=True))))
    return request_rows(columns)


def _told(column: str) -> pl.Expr:
    """A text, null where it is empty."""
    return pl.when(pl.col(column) != "").then(column)


def _address(frame: pl.DataFrame, columns: dict[str, str]) -> list[pl.Series]:
    """Halves of each address in text."""
    halves = []
    for column, name in columns.items():
        text = frame[column]
        bare = text.str.contains(":", literal=True).fill_null(value=False)
        read = parse_addresses(("[" + text + "]").zip_with(bare, text))
        halves += [read.ip_hi.alias(f"{name}_ip_hi"), read.ip_lo.alias(f"{name}_ip_lo")]
    return halves
