"""
The messages of Envoy's access log service: which of their fields are read.

Tables only; the numbers are those of the ``.proto`` files, and where ``oneof``
or ``message`` is said, they say so.

Before: __init__.py. After: columns.py.
Source: envoy/service/accesslog/v3/als.proto; envoy/data/accesslog/v3/accesslog.proto;
envoy/config/core/v3/{address,base}.proto; google/protobuf/{any,timestamp}.proto.
"""

from typing import Final

from pipeline.decode.protobuf import BYTES, FIXED64, VARINT, Field, Layout
from pipeline.decode.response_flags import FLAGS


def _passed(varints: tuple[int, ...] = (), spans: tuple[int, ...] = ()) -> dict[int, int]:
    return dict.fromkeys(varints, VARINT) | dict.fromkeys(spans, BYTES)


def _texts(**numbers: int) -> dict[str, Field]:
    return {name: Field(number) for name, number in numbers.items()}


def _messages(**numbers: int) -> dict[str, Field]:
    return {name: Field(number, message=True) for name, number in numbers.items()}


def _varints(**numbers: int) -> dict[str, Field]:
    return {name: Field(number, VARINT) for name, number in numbers.items()}


STREAM: Final = Layout(
    {
        "identifier": Field(1, message=True),
        "http": Field(2, message=True, oneof="entries"),
        "tcp": Field(3, message=True, oneof="entries"),
    }
)
"""StreamAccessLogsMessage."""

COMMON_TEXTS: Final = {
    "upstream_cluster": 15,
    "upstream_failure": 18,
    "route": 19,
    "termination_details": 25,
    "stream_id": 26,
}
WIRE_BYTES: Final = {
    "downstream_wire_bytes_sent": 29,
    "downstream_wire_bytes_received": 30,
    "upstream_wire_bytes_sent": 31,
    "upstream_wire_bytes_received": 32,
}
"""Fields of AccessLogCommon by the columns they become, as they are."""

COMMON_NUMBERS: Final = {"attempts": 24, "intermediate": 27, "log_type": 33, **WIRE_BYTES}

IDENTIFIER: Final = Layout(_messages(node=1) | _texts(log_name=2))
NODE: Final = Layout(
    _texts(id=1, cluster=2) | _messages(metadata=3), _passed(spans=(4, 6, 7, 8, 9, 10, 11))
)
ENTRIES: Final = Layout({"entry": Field(1, repeated=True)})
"""HTTPAccessLogEntries and TCPAccessLogEntries."""

ENTRY: Final = Layout(
    _messages(common=1, connection=2, request=3, response=4) | _varints(protocol=2)
)
"""HTTPAccessLogEntry, and TCPAccessLogEntry: field 2 is the connection there."""

COMMON: Final = Layout(
    _messages(
        downstream_remote=2,
        downstream_local=3,
        tls=4,
        start=5,
        request=6,
        ttfb=9,
        last=12,
        upstream_remote=13,
        upstream_local=14,
        flags=16,
        downstream_direct=20,
        duration=23,
    )
    | _texts(**COMMON_TEXTS)
    | {"state": Field(21, repeated=True), "tag": Field(22, repeated=True)}
    | _varints(**COMMON_NUMBERS),
    {1: FIXED64} | _passed(spans=(7, 8, 10, 11, 17, 28)),
)
"""AccessLogCommon."""

CONNECTION: Final = Layout(_varints(received=1, sent=2))

REQUEST: Final = Layout(
    _varints(method=1, body_bytes=12)
    | _texts(authority=3, path=5, user_agent=6, request_id=9, original_path=10)
    | {"header": Field(13, repeated=True)},
    _passed(varints=(11, 14, 15), spans=(2, 4, 7, 8)),
)
RESPONSE: Final = Layout(
    _messages(code=1)
    | _varints(body_bytes=3)
    | _texts(details=6)
    | {"header": Field(4, repeated=True), "trailer": Field(5, repeated=True)},
    _passed(varints=(2, 7, 8)),
)
NUMBER: Final = Layout(_varints(value=1))
"""google.protobuf.UInt32Value."""

FLAGGED: Final = Layout(
    {
        flag.short: Field(flag.field, VARINT)
        for flag in FLAGS
        if flag.field and flag.name != "unauthorized_details"
    }
    | _messages(unauthorized=13)
)
"""ResponseFlags."""

FLAG_NAMES: Final = (*(name for name in FLAGGED.fields if name != "unauthorized"), "UAEX")
"""Short names; the last is that of the one that is a message."""

UNAUTHORIZED: Final = Layout(_varints(reason=1))

TLS: Final = Layout(
    _varints(version=1) | _texts(sni=3) | _messages(local=4, peer=5), _passed(spans=(2, 6, 7))
)
CERTIFICATE: Final = Layout({"name": Field(1, repeated=True)}, _passed(spans=(2, 3)))
ALTERNATIVE_NAME: Final = Layout({"uri": Field(1, oneof="san"), "dns": Field(2, oneof="san")})

ADDRESS: Final = Layout(
    {
        "socket": Field(1, message=True, oneof="address"),
        "pipe": Field(2, message=True, oneof="address"),
        "internal": Field(3, message=True, oneof="address"),
    }
)
SOCKET: Final = Layout(
    {
        "address": Field(2),
        "port": Field(3, VARINT, oneof="port"),
        "named_port": Field(4, oneof="port"),
    },
    _passed(varints=(1, 6), spans=(5, 7)),
)
TIME: Final = Layout(_varints(seconds=1, nanos=2))
"""google.protobuf.Timestamp and Duration."""

ANY: Final = Layout({"type": Field(1), "value": Field(2)})
