"""
Operators of Envoy's format strings, and the field each one fills.

    %REQ(X-ENVOY-ORIGINAL-PATH?:PATH):64%     name (argument) : longest text

A field is a text an access log has, named as Istio's JSON log names it;
`access_log_fields` says which column it comes to. Operators without a field
are read over: they cost nothing and give nothing.

Before: format_string.py. After: fields.py.
Source: Envoy, access log command operators; Kuma, access log placeholders.
"""

import re
from typing import Final

PLAIN: Final = {
    "UPSTREAM_CLUSTER_RAW": "upstream_cluster",
    "UPSTREAM_CLUSTER": "upstream_cluster",
    "ACCESS_LOG_TYPE": "access_log_type",
    "BYTES_RECEIVED": "bytes_received",
    "BYTES_SENT": "bytes_sent",
    "CONNECTION_TERMINATION_DETAILS": "connection_termination_details",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": "downstream_direct_remote_address",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": "downstream_direct_remote_ip",
    "DOWNSTREAM_DIRECT_REMOTE_PORT": "downstream_direct_remote_port",
    "DOWNSTREAM_LOCAL_ADDRESS": "downstream_local_address",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": "downstream_local_ip",
    "DOWNSTREAM_LOCAL_PORT": "downstream_local_port",
    "DOWNSTREAM_LOCAL_URI_SAN": "downstream_local_uri_san",
    "DOWNSTREAM_PEER_URI_SAN": "downstream_peer_uri_san",
    "DOWNSTREAM_REMOTE_ADDRESS": "downstream_remote_address",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "downstream_remote_ip",
    "DOWNSTREAM_REMOTE_PORT": "downstream_remote_port",
    "DOWNSTREAM_TLS_VERSION": "downstream_tls_version",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED": "downstream_wire_bytes_received",
    "DOWNSTREAM_WIRE_BYTES_SENT": "downstream_wire_bytes_sent",
    "DURATION": "duration",
    "GRPC_STATUS": "grpc_status",
    "GRPC_STATUS_NUMBER": "grpc_status",
    "PATH": "path",
    "PROTOCOL": "protocol",
    "REQUESTED_SERVER_NAME": "requested_server_name",
    "REQUEST_DURATION": "request_duration",
    "RESPONSE_CODE": "response_code",
    "RESPONSE_CODE_DETAILS": "response_code_details",
    "RESPONSE_DURATION": "response_duration",
    "RESPONSE_FLAGS": "response_flags",
    "RESPONSE_FLAGS_LONG": "response_flags_long",
    "ROUTE_NAME": "route_name",
    "START_TIME": "start_time",
    "START_TIME_LOCAL": "start_time",
    "STREAM_ID": "stream_id",
    "TRACE_ID": "trace_id",
    "UPSTREAM_HOST": "upstream_host",
    "UPSTREAM_LOCAL_ADDRESS": "upstream_local_address",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": "upstream_local_ip",
    "UPSTREAM_LOCAL_PORT": "upstream_local_port",
    "UPSTREAM_LOCAL_URI_SAN": "upstream_local_uri_san",
    "UPSTREAM_PEER_URI_SAN": "upstream_peer_uri_san",
    "UPSTREAM_REMOTE_ADDRESS": "upstream_remote_address",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "upstream_remote_ip",
    "UPSTREAM_REMOTE_PORT": "upstream_remote_port",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": "upstream_request_attempt_count",
    "UPSTREAM_TLS_VERSION": "upstream_tls_version",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "upstream_transport_failure_reason",
    "UPSTREAM_WIRE_BYTES_RECEIVED": "upstream_wire_bytes_received",
    "UPSTREAM_WIRE_BYTES_SENT": "upstream_wire_bytes_sent",
    "KUMA_SOURCE_ADDRESS": "downstream_remote_address",
    "KUMA_SOURCE_ADDRESS_WITHOUT_PORT": "downstream_remote_ip",
    "KUMA_SOURCE_SERVICE": "kuma_source_service",
    "KUMA_DESTINATION_SERVICE": "kuma_destination_service",
    "KUMA_TRAFFIC_DIRECTION": "traffic_direction",
}
"""Operators that mean the same with any argument."""

HEADERS: Final = {
    "REQ": {
        ":AUTHORITY": "authority",
        "HOST": "authority",
        "X-ENVOY-ORIGINAL-HOST": "authority",
        ":METHOD": "method",
        ":PATH": "path",
        "X-ENVOY-ORIGINAL-PATH": "path",
        "TRACEPARENT": "traceparent",
        "B3": "b3",
        "X-B3-TRACEID": "trace_id",
        "X-REQUEST-ID": "request_id",
        "USER-AGENT": "user_agent",
    },
    "RESP": {
        ":STATUS": "response_code",
        "GRPC-STATUS": "grpc_status",
        "X-ENVOY-UPSTREAM-SERVICE-TIME": "upstream_service_time",
    },
    "TRAILER": {"GRPC-STATUS": "grpc_status"},
}
"""Operators that mean what header they are asked for."""
_DURATIONS: Final = {
    ("DS_RX_BEG", "DS_TX_END"): "duration",
    ("DS_RX_BEG", "DS_RX_END"): "request_duration",
    ("DS_RX_BEG", "US_RX_BEG"): "response_duration",
}
_PRECISIONS: Final = {"": "", "MS": "", "US": "_us", "NS": "_ns"}
_PEER: Final = re.compile(
    r"(downstream|upstream)_peer:FIELD:(name|namespace|cluster|workload)", re.IGNORECASE
)


def field(name: str, argument: str) -> str | None:
    """
    Field that an operator fills; None if it fills none.

    >>> field("REQ", "X-ENVOY-ORIGINAL-PATH?:PATH")
    'path'
    >>> field("COMMON_DURATION", "DS_RX_BEG:DS_RX_END:us")
    'request_duration_us'
    >>> field("REQ", "X-REQUEST-ID?USER-AGENT") is None
    True
    """
    if name in HEADERS:
        found = {HEADERS[name].get(header) for header in argument.upper().split("?")}
        return found.pop() if len(found) == 1 else None
    if name == "COMMON_DURATION":
        first, last, *precision = (*argument.upper().split(":"), "")
        start = _DURATIONS.get((first, last))
        unit = _PRECISIONS.get(precision[0] if precision else "")
        return None if start is None or unit is None else start + unit
    if name == "FILTER_STATE":
        peer = _PEER.fullmatch(argument)
        return None if peer is None else f"{peer[1]}_peer_{peer[2]}".lower()
    return PLAIN.get(name)
