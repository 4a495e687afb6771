"""
Hubble's JSON export: one line in, one event out.

    {"flow":{"time":"...","verdict":"FORWARDED","IP":{...},"l4":{...},...},"node_name":"...","time":"..."}
    {"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"3"},"node_name":"...","time":"..."}

Field names are those of the protobuf messages, 64-bit numbers are text, and
what has its default is left out. A line may also be a flow alone, as old
versions of ``hubble observe -o json`` print it. A number or a boolean that is
none is null; a line where a list or an object should be and is not is refused,
and so are a flow without a time, and a line that holds nothing known.

Before: json_lines.py. After: events.py, flows.py (what the events mean).
Source: cilium pkg/hubble/exporter; api/v1/flow/flow.proto.
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline.decode import Decoded, Payloads, Stateless
from pipeline.decode.hubble import events as hubble_events
from pipeline.decode.hubble.events import KINDS, RECORDS
from pipeline.decode.hubble.flows import frames
from pipeline.decode.json_lines import (
    FAULTS,
    NO_FAULT,
    Fault,
    line_texts,
    read_objects,
    refused_lines,
)
from pipeline.decode.outcome import rejected
from pipeline.decode.rfc3339 import utc_ns
from pipeline.rejects import Reason

_FORMAT: Final = "hubble_json"
_FAULTS: Final = (
    *FAULTS,
    Fault(Reason.REQUIRED_MISSING, "flow"),
    Fault(Reason.REQUIRED_MISSING, "time"),
    Fault(Reason.FIELD_INVALID, "time"),
)
_NO_KIND, _NO_TIME, _BAD_TIME = range(len(FAULTS), len(_FAULTS))

_TEXT, _TEXTS = pl.String(), pl.List(pl.String)


def _object(*texts: str, **others: pl.DataType) -> pl.Struct:
    return pl.Struct({**dict.fromkeys(texts, _TEXT), **others})


_PORTS: Final = _object("source_port", "destination_port")
_ICMP: Final = _object("type", "code")
_NAMED: Final = _object("name", "namespace")
_POLICIES: Final = pl.List(_object("name", "namespace", "kind"))
_ENDPOINT: Final = _object(
    "identity",
    "namespace",
    "pod_name",
    "cluster_name",
    labels=_TEXTS,
    workloads=pl.List(_object("name")),
)
_FLOW: Final = _object(
    *("time", "node_name", "verdict", "Type", "reply", "is_reply", "traffic_direction"),
    *("policy_match_type", "trace_observation_point", "drop_reason_desc", "proxy_port"),
    "trace_reason",
    IP=_object("source", "destination", "source_xlated", "encrypted"),
    l4=_object(
        TCP=_object("source_port", "destination_port", flags=_object(*hubble_events.TCP_FLAGS)),
        UDP=_PORTS,
        SCTP=_PORTS,
        ICMPv4=_ICMP,
        ICMPv6=_ICMP,
    ),
    source=_ENDPOINT,
    destination=_ENDPOINT,
    source_names=_TEXTS,
    destination_names=_TEXTS,
    source_service=_NAMED,
    destination_service=_NAMED,
    event_type=_object("type"),
    interface=_object("index", "name"),
    trace_context=_object(parent=_object("trace_id")),
    egress_allowed_by=_POLICIES,
    ingress_allowed_by=_POLICIES,
    egress_denied_by=_POLICIES,
    ingress_denied_by=_POLICIES,
    l7=_object(
        "type",
        "latency_ns",
        dns=_object("query", "rcode", qtypes=_TEXTS),
        http=_object("code", "method", "url", "protocol", headers=pl.List(_object("key", "value"))),
        kafka=_object("error_code", "api_key", "topic"),
    ),
)
_LINE: Final = pl.Schema(
    {
        "flow": _FLOW,
        "lost_events": _object("num_events_lost"),
        **dict.fromkeys(("node_status", "agent_event", "debug_event"), _TEXT),
        "node_name": _TEXT,
        "time": _TEXT,
    }
)
_KEYS: Final = [f'"{kind}"' for kind in KINDS]
_BYTE: Final = 255


class HubbleJson(Stateless):
    """The decoder of kind ``hubble_json``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these lines."""
        raw = pl.Series(payloads.payload, dtype=pl.Binary)
        faults = np.full(len(raw), NO_FAULT, np.int8)
        text = line_texts(raw, faults)
        alone = text.str.starts_with("{") & ~text.str.contains_any(_KEYS)
        text = ('{"flow":' + text + "}").zip_with(alone, text)
        read, at = read_objects(text, faults, (_LINE,))
        flow = pl.col("flow").struct
        read = read.with_columns(
            kind=pl.coalesce(
                pl.when(pl.col(kind).is_not_null()).then(pl.lit(kind)) for kind in KINDS
            ),
            node=pl.coalesce(_filled(pl.col("node_name")), _filled(flow.field("node_name"))),
            told=pl.coalesce(_filled(flow.field("time")), _filled(pl.col("time"))),
            lost=pl.col("lost_events")
            .struct.field("num_events_lost")
            .cast(pl.UInt64, strict=False)
            .clip(upper_bound=hubble_events.MAX_LOST),
        ).with_columns(event_ns=utc_ns(pl.col("told")))
        is_flow = (read["kind"] == "flow").fill_null(value=False)
        faults[at[read["kind"].is_null().to_numpy()]] = _NO_KIND
        faults[at[(is_flow & read["event_ns"].is_null()).to_numpy()]] = _BAD_TIME
        faults[at[(is_flow & read["told"].is_null()).to_numpy()]] = _NO_TIME
        good = faults[at] == NO_FAULT
        told = pl.DataFrame({"row": np.arange(len(raw))}).join(
            read.select("kind", "node", "lost", row=pl.Series(at)).filter(good),
            on="row",
            how="left",
            maintain_order="left",
        )
        vantages, vantage = hubble_events.by_node(payloads, told["node"], _FORMAT)
        rows = at[good & is_flow.to_numpy()]
        events = _events(read.filter(pl.Series(good) & is_flow)).with_columns(
            vantage=pl.Series(vantage[rows]), received_ns=pl.Series(payloads.received_ns[rows])
        )
        lines = told.select(
            "kind",
            "lost",
            vantage=pl.Series(vantage),
            received_ns=pl.Series(payloads.received_ns),
            bytes=raw.bin.size(),
        )
        return Decoded(
            vantages=vantages,
            frames=frames(events.select(hubble_events.EVENTS.names())),
            rejects=rejected(refused_lines(payloads, faults, _FAULTS), vantage),
            counts=hubble_events.counts(lines),
        )


def _events(read: pl.DataFrame) -> pl.DataFrame:
    """Lines with a flow to columns of `EVENTS`, without vantage and time of receipt."""
    headers = read.select(header=_at("l7.http.headers")).with_row_index("row").explode("header")
    told = read.select(
        "event_ns",
        **{name: _at(path) for name, path in _ENUMS.items()},
        is_reply=pl.coalesce(
            _at("is_reply").replace_strict({"true": True, "false": False}, default=None),
            _true("reply"),
        ),
        src_ip=_filled(_at("IP.source")),
        dst_ip=_filled(_at("IP.destination")),
        src_ip_xlated=_filled(_at("IP.source_xlated")),
        encrypted=_true("IP.encrypted"),
        interface=pl.coalesce(_filled(_at("interface.name")), _at("interface.index")),
        proxy_port=_at("proxy_port").cast(pl.UInt16, strict=False),
        trace_id=_at("trace_context.parent.trace_id"),
        allowed_by=_policies("allowed_by"),
        denied_by=_policies("denied_by"),
        latency_ns=_at("l7.latency_ns").cast(pl.UInt64, strict=False),
        l7_record=pl.coalesce(
            pl.when(_at(f"l7.{name}").is_not_null()).then(pl.lit(name)) for name in RECORDS
        ),
        http_code=_at("l7.http.code").cast(pl.UInt16, strict=False),
        dns_qtypes=_at("l7.dns.qtypes"),
        **_l4(),
        **_endpoint("src", "source"),
        **_endpoint("dst", "destination"),
    )
    named = headers.drop_nulls().unnest("header")
    return told.with_columns(hubble_events.header_columns(named, read.height))


_ENUMS: Final = {
    "type": "Type",
    "verdict": "verdict",
    "drop_reason": "drop_reason_desc",
    "event_type": "event_type.type",
    "observation_point": "trace_observation_point",
    "trace_reason": "trace_reason",
    "traffic_direction": "traffic_direction",
    "policy_match_type": "policy_match_type",
    "l7_type": "l7.type",
    "http_method": "l7.http.method",
    "http_url": "l7.http.url",
    "http_protocol": "l7.http.protocol",
    "dns_query": "l7.dns.query",
    "dns_rcode": "l7.dns.rcode",
    "kafka_api_key": "l7.kafka.api_key",
    "kafka_topic": "l7.kafka.topic",
    "kafka_error_code": "l7.kafka.error_code",
}


def _at(path: str) -> pl.Expr:
    """A field of the flow, by the names on the way to it."""
    found = pl.col("flow")
    for name in path.split("."):
        found = found.struct.field(name)
    return found


def _filled(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _true(path: str) -> pl.Expr:
    """True where it is told, else null: false is left out."""
    return pl.when(_at(path) == "true").then(pl.lit(value=True))


def _policies(what: str) -> pl.Expr:
    """Policies of both directions, those of egress first, as text; null if there are none."""
    both = pl.concat_list(
        _at(f"{way}_{what}")
        .list.eval(hubble_events.policy_name(pl.element().struct.field).drop_nulls())
        .fill_null(pl.lit([], pl.List(pl.String)))
        for way in ("egress", "ingress")
    )
    return pl.when(both.list.len() > 0).then(both)


def _endpoint(side: str, end: str) -> dict[str, pl.Expr]:
    service = _at(f"{end}_service").struct
    return {
        f"{side}_identity": _at(f"{end}.identity").cast(pl.UInt32, strict=False),
        f"{side}_cluster": _at(f"{end}.cluster_name"),
        f"{side}_namespace": _at(f"{end}.namespace"),
        f"{side}_workload": _at(f"{end}.workloads").list.first().struct.field("name"),
        f"{side}_pod": _at(f"{end}.pod_name"),
        f"{side}_labels": _at(f"{end}.labels"),
        f"{side}_names": _at(f"{end}_names"),
        f"{side}_service": hubble_events.service_name(service.field),
    }


def _l4() -> dict[str, pl.Expr]:
    bits = [
        pl.when(_at(f"l4.TCP.flags.{flag}") == "true").then(1 << bit).otherwise(0)
        for bit, flag in enumerate(hubble_events.TCP_FLAGS)
    ]
    ports = {
        side: pl.coalesce(_at(f"l4.{name}.{end}_port") for name in ("TCP", "UDP", "SCTP"))
        for side, end in (("src", "source"), ("dst", "destination"))
    }
    icmp = [
        pl.when(_at(f"l4.{name}").is_not_null() & (kind <= _BYTE) & (code <= _BYTE)).then(
            kind * (_BYTE + 1) + code
        )
        for name in ("ICMPv4", "ICMPv6")
        for kind, code in [
            tuple(
                _at(f"l4.{name}.{part}").fill_null("0").cast(pl.UInt32, strict=False)
                for part in ("type", "code")
            )
        ]
    ]
    return {
        "protocol": pl.coalesce(
            pl.when(_at(f"l4.{name}").is_not_null()).then(pl.lit(number, pl.UInt8))
            for name, number in hubble_events.PROTOCOLS.items()
        ),
        "tcp_flags": pl.sum_horizontal(bits).cast(pl.UInt16),
        "icmp_type_code": pl.coalesce(icmp).cast(pl.UInt16),
        **{f"{side}_port": port.cast(pl.UInt16, strict=False) for side, port in ports.items()},
    }
