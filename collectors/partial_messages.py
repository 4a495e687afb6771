"""
Messages of protobuf of which only some fields are known, made from tables.

What is not in a table is an unknown field, and kept as it came: reading such a
message costs a fraction (Envoy's, a third), and writing it loses nothing. And
some messages nobody publishes for Python (Hubble's), or only as they were
years ago (those of OpenTelemetry that come with Envoy's).

Source: envoy/data/accesslog/v3/accesslog.proto;
opentelemetry/proto/{collector/logs,logs,common,resource}/v1; cilium
api/v1/observer/observer.proto and api/v1/flow/flow.proto.
Before: nothing. After: redact_messages.py, otlp.py, hubble.py.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_SCALARS: Final = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
}


class Field(NamedTuple):
    """A field: its name, number, and type, a scalar's or a message's."""

    name: str
    number: int
    of: str
    repeated: bool = False
    oneof: str = ""


def message_types(package: str, messages: Mapping[str, tuple[Field, ...]]) -> dict[str, Any]:
    """Make classes of messages, by name, that know these fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        oneofs = sorted({field.oneof for field in fields if field.oneof})
        for oneof in oneofs:
            message.oneof_decl.add(name=oneof)
        for field in fields:
            message.field.add(
                name=field.name,
                number=field.number,
                label=kinds.LABEL_REPEATED if field.repeated else kinds.LABEL_OPTIONAL,
                type=_SCALARS.get(field.of, kinds.TYPE_MESSAGE),
                type_name=None if field.of in _SCALARS else f".{package}.{field.of}",
                oneof_index=oneofs.index(field.oneof) if field.oneof else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


ENVOY: Final = message_types(
    "crosspane.envoy",
    {
        # An entry of map<string, ...> is such a message; its value is looked at only if it is text.
        "Text": (Field("key", 1, "string"), Field("value", 2, "string")),
        "Named": (Field("key", 1, "string"),),
        "Metadata": (
            Field("filter_metadata", 1, "Named", repeated=True),
            Field("typed_filter_metadata", 2, "Named", repeated=True),
        ),
        "AccessLogCommon": (
            Field("metadata", 17, "Metadata"),
            Field("custom_tags", 22, "Text", repeated=True),
        ),
        "HTTPRequestProperties": (
            Field("path", 5, "string"),
            Field("user_agent", 6, "string"),
            Field("referer", 7, "string"),
            Field("forwarded_for", 8, "string"),
            Field("original_path", 10, "string"),
            Field("request_headers", 13, "Text", repeated=True),
        ),
        "HTTPResponseProperties": (
            Field("response_headers", 4, "Text", repeated=True),
            Field("response_trailers", 5, "Text", repeated=True),
        ),
        "HTTPAccessLogEntry": (
            Field("common_properties", 1, "AccessLogCommon"),
            Field("request", 3, "HTTPRequestProperties"),
            Field("response", 4, "HTTPResponseProperties"),
        ),
        "TCPAccessLogEntry": (Field("common_properties", 1, "AccessLogCommon"),),
        "HTTPAccessLogEntries": (Field("log_entry", 1, "HTTPAccessLogEntry", repeated=True),),
        "TCPAccessLogEntries": (Field("log_entry", 1, "TCPAccessLogEntry", repeated=True),),
        "StreamAccessLogsMessage": (
            Field("http_logs", 2, "HTTPAccessLogEntries"),
            Field("tcp_logs", 3, "TCPAccessLogEntries"),
        ),
    },
)
"""Of Envoy's entries: what may be private."""

_ATTRIBUTES: Final = "attributes"

OTLP: Final = message_types(
    "crosspane.otlp",
    {
        "AnyValue": (
            Field("string_value", 1, "string", oneof="value"),
            Field("bool_value", 2, "bool", oneof="value"),
            Field("int_value", 3, "int64", oneof="value"),
            Field("array_value", 5, "ArrayValue", oneof="value"),
            Field("kvlist_value", 6, "KeyValueList", oneof="value"),
            Field("bytes_value", 7, "bytes", oneof="value"),
        ),
        "ArrayValue": (Field("values", 1, "AnyValue", repeated=True),),
        "KeyValue": (Field("key", 1, "string"), Field("value", 2, "AnyValue")),
        "KeyValueList": (Field("values", 1, "KeyValue", repeated=True),),
        "Resource": (Field(_ATTRIBUTES, 1, "KeyValue", repeated=True),),
        "InstrumentationScope": (
            Field("name", 1, "string"),
            Field(_ATTRIBUTES, 3, "KeyValue", repeated=True),
        ),
        "LogRecord": (
            Field("body", 5, "AnyValue"),
            Field(_ATTRIBUTES, 6, "KeyValue", repeated=True),
        ),
        "ScopeLogs": (
            Field("scope", 1, "InstrumentationScope"),
            Field("log_records", 2, "LogRecord", repeated=True),
            Field("schema_url", 3, "string"),
        ),
        "ResourceLogs": (
            Field("resource", 1, "Resource"),
            Field("scope_logs", 2, "ScopeLogs", repeated=True),
            Field("schema_url", 3, "string"),
        ),
        "ExportLogsServiceRequest": (Field("resource_logs", 1, "ResourceLogs", repeated=True),),
    },
)
"""Of OpenTelemetry's logs: what holds text."""

HUBBLE: Final = message_types(
    "crosspane.hubble",
    {
        "Timestamp": (Field("seconds", 1, "int64"), Field("nanos", 2, "int32")),
        "HTTPHeader": (Field("key", 1, "string"), Field("value", 2, "string")),
        "HTTP": (Field("url", 3, "string"), Field("headers", 5, "HTTPHeader", repeated=True)),
        "Layer7": (Field("http", 101, "HTTP"),),
        "Flow": (Field("l7", 15, "Layer7"), Field("summary", 100_000, "string")),
        "GetFlowsRequest": (
            Field("follow", 3, "bool"),
            Field("since", 7, "Timestamp"),
        ),
        "ServerStatusResponse": (Field("num_flows", 1, "uint64"),),
        "GetFlowsResponse": (
            Field("flow", 1, "Flow"),
            Field("node_name", 1000, "string"),
            Field("time", 1001, "Timestamp"),
        ),
    },
)
"""Of Hubble's observer: what is asked for, what may be private, when it was and whose it is."""
