"""
Hubble's events, however they came, to rows: the one meaning of JSON and protobuf.

    `hubble_events.EVENTS` ─┬─ L7      ─▶ requests   http, dns, kafka, as a node's proxy saw them
                            └─ L3/L4   ─▶ verdicts   one event of one packet

A proxy tells a call twice: a REQUEST when it comes in, and a RESPONSE, with
status and latency, when it is answered. Each is a row: the first of log type
start, the second of log type end. Calls that were answered are counted by
their ends. A denied call is told by a REQUEST that is DROPPED, so its start
has ``authz`` denied, and nothing else has; the 403 the client got is its end.

Client and server are source and destination of a REQUEST, and the other way
round in a RESPONSE. EGRESS is told by the client's node, INGRESS by the
server's.

Before: events.py. After: requests.py, normalize.py.
Source: cilium api/v1/flow/flow.proto, api/v1/observer/observer.proto.
"""

from typing import Final

import polars as pl

from pipeline import schema
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.hubble import names
from pipeline.decode.hubble.events import SIDE
from pipeline.decode.requests import request_rows

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


def frames(events: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """
    Rows of both tables.

    Parameters
    ----------
    events
        n rows of `hubble_events.EVENTS`, each with a time.
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
    both = {name: (f"src_{name}", f"dst_{name}") for name in SIDE}
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
        user_agent=_told("user_agent"),
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
