"""
Layouts of Hubble's messages: which fields are wanted, and which are passed over.

Field numbers are those of Cilium 1.18.

Before: wire.py. After: protobuf (what reads them).
Source: cilium api/v1/flow/flow.proto, api/v1/observer/observer.proto.
"""

from typing import Final

from pipeline.decode.hubble.events import KINDS, PROTOCOLS, TCP_FLAGS
from pipeline.decode.protobuf import BYTES, VARINT, Field, Layout


def _message(number: int, oneof: str = "") -> Field:
    return Field(number, message=True, oneof=oneof)


def _several(number: int) -> Field:
    return Field(number, repeated=True)


def _number(number: int) -> Field:
    return Field(number, VARINT)


def _passed(*, spans: tuple[int, ...] = (), numbers: tuple[int, ...] = ()) -> dict[int, int]:
    """Fields that are often there and that nobody wants."""
    return dict.fromkeys(spans, BYTES) | dict.fromkeys(numbers, VARINT)


RESPONSE: Final = Layout(
    {kind: _message(number, "response") for number, kind in enumerate(KINDS, 1)}
    | {"node_name": Field(1000), "time": _message(1001)}
)
TIME: Final = Layout({"seconds": _number(1), "nanos": _number(2)})
LOST: Final = Layout({"num_events_lost": _number(2)}, passed=_passed(spans=(3,), numbers=(1,)))
FLOW: Final = Layout(
    {
        "time": _message(1),
        "verdict": _number(2),
        "IP": _message(5),
        "l4": _message(6),
        "source": _message(8),
        "destination": _message(9),
        "Type": _number(10),
        "source_names": _several(13),
        "destination_names": _several(14),
        "l7": _message(15),
        "reply": _number(16),
        "event_type": _message(19),
        "source_service": _message(20),
        "destination_service": _message(21),
        "traffic_direction": _number(22),
        "policy_match_type": _number(23),
        "trace_observation_point": _number(24),
        "drop_reason_desc": _number(25),
        "is_reply": _message(26),
        "interface": _message(28),
        "proxy_port": _number(29),
        "trace_context": _message(30),
        "trace_reason": _number(36),
        "egress_allowed_by": _several(21001),
        "ingress_allowed_by": _several(21002),
        "egress_denied_by": _several(21004),
        "ingress_denied_by": _several(21005),
    },
    passed=_passed(spans=(4, 11, 34, 37, 38, 39, 21006, 100_000), numbers=(3, 27, 31, 32, 33, 35)),
)
IP: Final = Layout(
    {
        "source": Field(1),
        "destination": Field(2),
        "encrypted": _number(4),
        "source_xlated": Field(5),
    },
    passed=_passed(numbers=(3,)),
)
L4: Final = Layout({name: _message(number, "protocol") for number, name in enumerate(PROTOCOLS, 1)})
PORTS: Final = Layout(
    {"source_port": _number(1), "destination_port": _number(2), "flags": _message(3)}
)
FLAGS: Final = Layout({name: _number(bit) for bit, name in enumerate(TCP_FLAGS, 1)})
ICMP: Final = Layout({"type": _number(1), "code": _number(2)})
ENDPOINT: Final = Layout(
    {
        "identity": _number(2),
        "namespace": Field(3),
        "labels": _several(4),
        "pod_name": Field(5),
        "workloads": _several(6),
        "cluster_name": Field(7),
    },
    passed=_passed(numbers=(1,)),
)
NAMED: Final = Layout({"name": Field(1), "namespace": Field(2)})
POLICY: Final = Layout(
    {"name": Field(1), "namespace": Field(2), "kind": Field(5)},
    passed=_passed(spans=(3,), numbers=(4,)),
)
EVENT_TYPE: Final = Layout({"type": _number(1)}, passed=_passed(numbers=(2,)))
BOOL: Final = Layout({"value": _number(1)})
INTERFACE: Final = Layout({"index": _number(1), "name": Field(2)})
TRACE: Final = Layout({"parent": _message(1)})
PARENT: Final = Layout({"trace_id": Field(1)})
L7: Final = Layout(
    {
        "type": _number(1),
        "latency_ns": _number(2),
        "dns": _message(100, "record"),
        "http": _message(101, "record"),
        "kafka": _message(102, "record"),
    }
)
DNS: Final = Layout(
    {"query": Field(1), "rcode": _number(6), "qtypes": _several(7)},
    passed=_passed(spans=(2, 4, 5, 8), numbers=(3,)),
)
HTTP: Final = Layout(
    {
        "code": _number(1),
        "method": Field(2),
        "url": Field(3),
        "protocol": Field(4),
        "headers": _several(5),
    }
)
HEADER: Final = Layout({"key": Field(1), "value": Field(2)})
KAFKA: Final = Layout(
    {"error_code": _number(1), "api_key": Field(3), "topic": Field(5)},
    passed=_passed(numbers=(2, 4)),
)
