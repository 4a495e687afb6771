"""
Hubble's messages for Google's protobuf library: the other implementation of `hubble_wire`.

Field numbers of cilium api/v1/flow/flow.proto and observer.proto (1.18). Messages
without descriptions of their own here (agent and debug events) have no fields.
"""

import json

from google.protobuf import (  # noqa: F401 - in the default pool
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message

ENUMS = {
    "Verdict": "VERDICT_UNKNOWN FORWARDED DROPPED ERROR AUDIT REDIRECTED TRACED TRANSLATED",
    "FlowType": "UNKNOWN_TYPE L3_L4 L7 SOCK",
    "L7FlowType": "UNKNOWN_L7_TYPE REQUEST RESPONSE SAMPLE",
    "TrafficDirection": "TRAFFIC_DIRECTION_UNKNOWN INGRESS EGRESS",
    "IPVersion": "IP_NOT_USED IPv4 IPv6",
    "TraceObservationPoint": "UNKNOWN_POINT TO_PROXY TO_HOST TO_STACK TO_OVERLAY FROM_ENDPOINT"
    " FROM_PROXY FROM_HOST FROM_STACK FROM_OVERLAY FROM_NETWORK TO_NETWORK FROM_CRYPTO TO_CRYPTO"
    " TO_ENDPOINT=101",
    "TraceReason": "TRACE_REASON_UNKNOWN NEW ESTABLISHED REPLY RELATED REOPENED SRV6_ENCAP",
    "DropReason": "DROP_REASON_UNKNOWN INVALID_SOURCE_IP=132 POLICY_DENIED=133 POLICY_DENY=181"
    " AUTH_REQUIRED=189 TTL_EXCEEDED=196",
    "LostEventSource": "UNKNOWN_LOST_EVENT_SOURCE PERF_EVENT_RING_BUFFER OBSERVER_EVENTS_QUEUE"
    " HUBBLE_RING_BUFFER",
}
# "type name number", a star for what is repeated.
MESSAGES = {
    "TCPFlags": "bool FIN 1, bool SYN 2, bool RST 3, bool PSH 4, bool ACK 5, bool URG 6, bool ECE 7,"
    " bool CWR 8, bool NS 9",
    "TCP": "uint32 source_port 1, uint32 destination_port 2, TCPFlags flags 3",
    "UDP": "uint32 source_port 1, uint32 destination_port 2",
    "SCTP": "uint32 source_port 1, uint32 destination_port 2",
    "ICMPv4": "uint32 type 1, uint32 code 2",
    "ICMPv6": "uint32 type 1, uint32 code 2",
    "Layer4": "TCP TCP 1, UDP UDP 2, ICMPv4 ICMPv4 3, ICMPv6 ICMPv6 4, SCTP SCTP 5",
    "Ethernet": "string source 1, string destination 2",
    "IP": "string source 1, string source_xlated 5, string destination 2, IPVersion ipVersion 3,"
    " bool encrypted 4",
    "Workload": "string name 1, string kind 2",
    "Endpoint": "uint32 ID 1, uint32 identity 2, string cluster_name 7, string namespace 3,"
    " string labels* 4, string pod_name 5, Workload workloads* 6",
    "Service": "string name 1, string namespace 2",
    "CiliumEventType": "int32 type 1, int32 sub_type 2",
    "NetworkInterface": "uint32 index 1, string name 2",
    "TraceParent": "string trace_id 1",
    "TraceContext": "TraceParent parent 1",
    "Policy": "string name 1, string namespace 2, string labels* 3, uint64 revision 4, string kind 5",
    "HTTPHeader": "string key 1, string value 2",
    "HTTP": "uint32 code 1, string method 2, string url 3, string protocol 4, HTTPHeader headers* 5",
    "DNS": "string query 1, string ips* 2, uint32 ttl 3, string cnames* 4,"
    " string observation_source 5, uint32 rcode 6, string qtypes* 7, string rrtypes* 8",
    "Kafka": "int32 error_code 1, int32 api_version 2, string api_key 3, int32 correlation_id 4,"
    " string topic 5",
    "Layer7": "L7FlowType type 1, uint64 latency_ns 2, DNS dns 100, HTTP http 101, Kafka kafka 102",
    "Flow": "Timestamp time 1, Verdict verdict 2, uint32 drop_reason 3, Ethernet ethernet 4, IP IP 5,"
    " Layer4 l4 6, Endpoint source 8, Endpoint destination 9, FlowType Type 10, string node_name 11,"
    " string source_names* 13, string destination_names* 14, Layer7 l7 15, bool reply 16,"
    " CiliumEventType event_type 19, Service source_service 20, Service destination_service 21,"
    " TrafficDirection traffic_direction 22, uint32 policy_match_type 23,"
    " TraceObservationPoint trace_observation_point 24, DropReason drop_reason_desc 25,"
    " BoolValue is_reply 26, NetworkInterface interface 28, uint32 proxy_port 29,"
    " TraceContext trace_context 30, string uuid 34, TraceReason trace_reason 36,"
    " string node_labels* 37, string Summary 100000, Policy egress_allowed_by* 21001,"
    " Policy ingress_allowed_by* 21002, Policy egress_denied_by* 21004, Policy ingress_denied_by* 21005",
    "NodeStatusEvent": "string node_names* 2, string message 3",
    "LostEvent": "LostEventSource source 1, uint64 num_events_lost 2, Int32Value cpu 3",
    "AgentEvent": "",
    "DebugEvent": "",
    "GetFlowsResponse": "Flow flow 1, NodeStatusEvent node_status 2, LostEvent lost_events 3,"
    " AgentEvent agent_event 4, DebugEvent debug_event 5, string node_name 1000, Timestamp time 1001",
}
SCALARS = {"string": 9, "bool": 8, "uint32": 13, "uint64": 4, "int32": 5}
KNOWN = ("Timestamp", "BoolValue", "Int32Value")


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="hubble_test.proto",
        package="hubble_test",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"],
    )
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for place, value in enumerate(values.split()):
            label, _, number = value.partition("=")
            enum.value.add(name=label, number=int(number or place))
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in filter(None, fields.split(", ")):
            kind, label, number = text.split()
            field = message.field.add(name=label.rstrip("*"), number=int(number))
            field.label = 3 if label.endswith("*") else 1
            if kind in SCALARS:
                field.type = SCALARS[kind]
            else:
                field.type = 14 if kind in ENUMS else 11
                field.type_name = (
                    f".google.protobuf.{kind}" if kind in KNOWN else f".hubble_test.{kind}"
                )
    return file


_POOL = descriptor_pool.Default()
_POOL.AddSerializedFile(_file().SerializeToString())
RESPONSE = message_factory.GetMessageClass(
    _POOL.FindMessageTypeByName("hubble_test.GetFlowsResponse")
)


def response(line: bytes | dict[str, object]) -> Message:
    """The message of a JSON line."""
    value = json.loads(line) if isinstance(line, bytes) else line
    return json_format.ParseDict(value, RESPONSE())


def to_wire(line: bytes | dict[str, object]) -> bytes:
    """A JSON line as the gRPC service would have sent it."""
    return response(line).SerializeToString()


def to_json(payload: bytes) -> bytes:
    """A message as Hubble's exporter would have written it."""
    return json.dumps(
        json_format.MessageToDict(RESPONSE.FromString(payload), preserving_proto_field_name=True)
    ).encode()
