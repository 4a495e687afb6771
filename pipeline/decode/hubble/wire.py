"""
Hubble's messages to events: field by field, as columns.

    flow ─▶ IP, l4, source, destination, l7... ─▶ columns of `hubble_events.EVENTS`

What an older or newer Cilium has besides is passed over. Text that is no UTF-8
is null, and so is a number that its column cannot hold.

Before: __init__.py. After: layouts.py, protobuf; events.py.
Source: cilium api/v1/flow/flow.proto, api/v1/observer/observer.proto.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline.decode.hubble import events as hubble_events
from pipeline.decode.hubble import layouts
from pipeline.decode.protobuf import Fields, Layout, Occurrences, Spans, Values, Wire
from pipeline.decode.protobuf.text import texts, views

_MAX_SECONDS: Final = 9_223_372_035
_SECOND_NS: Final = 10**9
_BYTE: Final = 255
_ENUMS: Final = {
    "type": "Type",
    "verdict": "verdict",
    "drop_reason": "drop_reason_desc",
    "observation_point": "trace_observation_point",
    "trace_reason": "trace_reason",
    "traffic_direction": "traffic_direction",
    "policy_match_type": "policy_match_type",
}

_Rows = npt.NDArray[np.int64]


class Messages:
    """
    Responses of Hubble's Observer while they are read.

    Attributes
    ----------
    fault
        int8[n], a `protobuf.Fault`: of a response, or of a message in it.
    """

    def __init__(self, payload: pa.BinaryArray) -> None:
        self.wire = Wire(payload)
        self.fault = np.zeros(len(payload), np.int8)
        self._payload: _Rows = np.arange(len(payload))

    def responses(self) -> Fields:
        """Fields of the responses themselves."""
        wire = self.wire
        return self._read(
            Spans(self.fault == 0, wire.begin, wire.end), layouts.RESPONSE, self._payload
        )

    def lost(self, responses: Fields) -> npt.NDArray[np.uint64]:
        """Number of lost events that each response tells; 0 for most."""
        lost = self._read(responses.spans["lost_events"], layouts.LOST, self._payload)
        return lost.values["num_events_lost"].value

    def text(self, spans: Spans) -> pl.Series:
        """Text of spans; null where there is none."""
        return texts(self.wire.buffer, *views(self.wire, spans))[0]

    def times(self, spans: Spans, payload: _Rows | None = None) -> pl.Series:
        """Instants in UTC nanoseconds; null where none is told, or none that there is."""
        fields = self._read(spans, layouts.TIME, self._payload if payload is None else payload)
        seconds = fields.values["seconds"].value.view(np.int64)
        nanos = fields.values["nanos"].value.view(np.int64)
        good = spans.present & (seconds >= -_MAX_SECONDS) & (seconds <= _MAX_SECONDS)
        good &= (nanos >= 0) & (nanos < _SECOND_NS)
        instants = np.where(good, seconds, 0) * _SECOND_NS + np.where(good, nanos, 0)
        return pl.Series(pa.array(instants, mask=~good), dtype=pl.Int64)

    def events(self, responses: Fields) -> tuple[_Rows, pl.DataFrame]:
        """Which responses hold a flow, and its columns, without vantage and time of receipt."""
        spans = responses.spans["flow"]
        rows = np.flatnonzero(spans.present)
        flow = self._read(spans.of(rows), layouts.FLOW, rows)
        flow_ns, told_ns = self.times(flow.spans["time"], rows), self.times(responses.spans["time"])
        ip = self._read(flow.spans["IP"], layouts.IP, rows)
        event_type = self._read(flow.spans["event_type"], layouts.EVENT_TYPE, rows)
        interface = self._read(flow.spans["interface"], layouts.INTERFACE, rows)
        trace = self._read(flow.spans["trace_context"], layouts.TRACE, rows)
        parent = self._read(trace.spans["parent"], layouts.PARENT, rows)
        return rows, pl.DataFrame(
            {
                "event_ns": _either(flow_ns, told_ns.gather(rows)),
                **{name: _digits(flow.values[field]) for name, field in _ENUMS.items()},
                "event_type": _digits(event_type.values["type"]),
                "is_reply": self._is_reply(flow, rows),
                "src_ip": self.text(ip.spans["source"]),
                "dst_ip": self.text(ip.spans["destination"]),
                "src_ip_xlated": self.text(ip.spans["source_xlated"]),
                "encrypted": _true(ip.values["encrypted"]),
                "interface": _either(
                    self.text(interface.spans["name"]), _digits(interface.values["index"])
                ),
                "proxy_port": _numbers(flow.values["proxy_port"], pl.UInt16()),
                "trace_id": self.text(parent.spans["trace_id"]),
                "allowed_by": self._policies(flow, "allowed_by", rows),
                "denied_by": self._policies(flow, "denied_by", rows),
                **self._l4(flow, rows),
                **self._l7(flow, rows),
                **self._endpoint(flow, "src", "source", rows),
                **self._endpoint(flow, "dst", "destination", rows),
            }
        )

    def _read(self, spans: Spans, layout: Layout, payload: _Rows) -> Fields:
        """Fields of messages, each of one payload; a message that is none spoils its payload."""
        fields = self.wire.read(spans.begin, spans.end, layout)
        np.maximum.at(self.fault, payload, fields.fault)
        return fields

    def _several(self, many: Occurrences, layout: Layout, payload: _Rows) -> Fields:
        """Fields of repeated messages; ``payload`` is that of each owner."""
        present = np.ones(len(many.owner), np.bool_)
        return self._read(Spans(present, many.begin, many.end), layout, payload[many.owner])

    def _texts(self, many: Occurrences, count: int) -> pl.Series:
        """Repeated text, as lists; null where there is none."""
        present = np.ones(len(many.owner), np.bool_)
        return _lists(many.owner, self.text(Spans(present, many.begin, many.end)), count)

    def _is_reply(self, flow: Fields, payload: _Rows) -> pl.Series:
        spans = flow.spans["is_reply"]
        value = self._read(spans, layouts.BOOL, payload).values["value"].value != 0
        told = pl.Series(pa.array(value, mask=~spans.present), dtype=pl.Boolean)
        return _either(told, _true(flow.values["reply"]))

    def _policies(self, flow: Fields, what: str, payload: _Rows) -> pl.Series:
        """Policies of both directions, those of egress first, as lists of text."""
        parts = []
        for way in ("egress", "ingress"):
            many = flow.many[f"{way}_{what}"]
            fields = self._several(many, layouts.POLICY, payload)
            names = {name: self.text(fields.spans[name]) for name in ("kind", "namespace", "name")}
            named = pl.DataFrame({"row": many.owner, **names})
            parts.append(named.select("row", hubble_events.policy_name(pl.col).alias("policy")))
        both = pl.concat(parts).sort("row", maintain_order=True).drop_nulls()
        return _lists(both["row"].to_numpy(), both["policy"], len(payload))

    def _endpoint(self, flow: Fields, side: str, end: str, payload: _Rows) -> dict[str, pl.Series]:
        fields = self._read(flow.spans[end], layouts.ENDPOINT, payload)
        service = self._read(flow.spans[f"{end}_service"], layouts.NAMED, payload)
        workloads = fields.many["workloads"]
        owner, first = np.unique(workloads.owner, return_index=True)
        one = Occurrences(owner, workloads.begin[first], workloads.end[first])
        name = self.text(self._several(one, layouts.NAMED, payload).spans["name"])
        named = pl.DataFrame(
            {name: self.text(service.spans[name]) for name in ("namespace", "name")}
        )
        count = len(payload)
        return {
            f"{side}_identity": _numbers(fields.values["identity"], pl.UInt32()),
            f"{side}_cluster": self.text(fields.spans["cluster_name"]),
            f"{side}_namespace": self.text(fields.spans["namespace"]),
            f"{side}_workload": _nothing(count, pl.String()).scatter(owner, name),
            f"{side}_pod": self.text(fields.spans["pod_name"]),
            f"{side}_labels": self._texts(fields.many["labels"], count),
            f"{side}_names": self._texts(flow.many[f"{end}_names"], count),
            f"{side}_service": named.select(hubble_events.service_name(pl.col)).to_series(),
        }

    def _l4(self, flow: Fields, payload: _Rows) -> dict[str, pl.Series]:
        l4 = self._read(flow.spans["l4"], layouts.L4, payload)
        count = len(payload)
        protocol = np.zeros(count, np.uint8)
        ports = {side: np.zeros(count, np.uint64) for side in ("source", "destination")}
        flags = np.zeros(count, np.uint16)
        icmp = _nothing(count, pl.UInt16())
        for name, number in hubble_events.PROTOCOLS.items():
            spans = l4.spans[name]
            protocol[spans.present] = number
            if name.startswith("ICMP"):
                fields = self._read(spans, layouts.ICMP, payload)
                kind, code = (fields.values[part].value for part in ("type", "code"))
                here = np.flatnonzero(spans.present & (kind <= _BYTE) & (code <= _BYTE))
                icmp = icmp.scatter(here, kind[here] << np.uint64(8) | code[here])
                continue
            fields = self._read(spans, layouts.PORTS, payload)
            for side in ports:
                ports[side] |= fields.values[f"{side}_port"].value
            if name == "TCP":
                bits = self._read(fields.spans["flags"], layouts.FLAGS, payload)
                for bit, flag in enumerate(hubble_events.TCP_FLAGS):
                    flags |= (bits.values[flag].value != 0).astype(np.uint16) << np.uint16(bit)
        return {
            "protocol": pl.Series(pa.array(protocol, mask=protocol == 0)),
            "src_port": pl.Series(ports["source"]).cast(pl.UInt16, strict=False),
            "dst_port": pl.Series(ports["destination"]).cast(pl.UInt16, strict=False),
            "tcp_flags": pl.Series(flags),
            "icmp_type_code": icmp,
        }

    def _l7(self, flow: Fields, payload: _Rows) -> dict[str, pl.Series]:
        l7 = self._read(flow.spans["l7"], layouts.L7, payload)
        dns = self._read(l7.spans["dns"], layouts.DNS, payload)
        http = self._read(l7.spans["http"], layouts.HTTP, payload)
        kafka = self._read(l7.spans["kafka"], layouts.KAFKA, payload)
        headers = self._several(http.many["headers"], layouts.HEADER, payload)
        named = {name: self.text(headers.spans[name]) for name in ("key", "value")}
        long = pl.DataFrame({"row": http.many["headers"].owner, **named})
        return {
            "l7_type": _digits(l7.values["type"]),
            "latency_ns": _numbers(l7.values["latency_ns"], pl.UInt64()),
            "l7_record": held(l7, hubble_events.RECORDS),
            "http_code": _numbers(http.values["code"], pl.UInt16()),
            **{
                f"http_{name}": self.text(http.spans[name])
                for name in ("method", "url", "protocol")
            },
            **{column.name: column for column in hubble_events.header_columns(long, len(payload))},
            "dns_query": self.text(dns.spans["query"]),
            "dns_qtypes": self._texts(dns.many["qtypes"], len(payload)),
            "dns_rcode": _digits(dns.values["rcode"]),
            "kafka_api_key": self.text(kafka.spans["api_key"]),
            "kafka_topic": self.text(kafka.spans["topic"]),
            "kafka_error_code": _digits(kafka.values["error_code"], signed=True),
        }


def held(fields: Fields, names: Sequence[str]) -> pl.Series:
    """Which of these messages each message holds, by name; null if none."""
    which = _nothing(len(fields.fault), pl.String())
    for name in names:
        which = which.scatter(np.flatnonzero(fields.spans[name].present), name)
    return which


def _nothing(count: int, dtype: pl.DataType) -> pl.Series:
    return pl.repeat(None, count, dtype=dtype, eager=True)


def _either(first: pl.Series, second: pl.Series) -> pl.Series:
    """The first, and the second where there is none."""
    return first.zip_with(first.is_not_null(), second)


def _lists(owner: _Rows, values: pl.Series, count: int) -> pl.Series:
    """Values, in the order of their owners, as one list an owner; null for those without."""
    held = np.bincount(owner, minlength=count)
    offsets = pa.array(np.concatenate([[0], np.cumsum(held)]), pa.int64())
    mask = pa.array(held == 0)
    return pl.Series(
        pa.LargeListArray.from_arrays(offsets, values.to_arrow(), mask=mask),
        dtype=pl.List(pl.String),
    )


def _numbers(values: Values, dtype: pl.DataType) -> pl.Series:
    """Numbers; null where none is told, or one the type cannot hold."""
    return pl.Series(pa.array(values.value, mask=~values.present)).cast(dtype, strict=False)


def _digits(values: Values, *, signed: bool = False) -> pl.Series:
    """Numbers as text, as JSON has those of an enum that it has no name for."""
    return _numbers(values, pl.UInt64()).reinterpret(signed=signed).cast(pl.String)


def _true(values: Values) -> pl.Series:
    """True where it is told, else null: false is not told."""
    told = values.value != 0
    return pl.Series(pa.array(told, mask=~told), dtype=pl.Boolean)
