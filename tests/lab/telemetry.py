"""
How proxies report: files, Envoy's access log service, OTLP.

    JSON file     one object a line, the keys below
    text file     Istio's default format
    ALS           a gRPC stream, HTTP and TCP, to the agent of the cluster
    OTLP          the same keys as OpenTelemetry log records, for chosen proxies

gRPC goes over Unix domain sockets, as to an agent that a DaemonSet runs: they
cross network namespaces. A proxy works as well when nobody listens there.

In JSON numbers are numbers, but for `upstream_service_time`: it is a header. A
line has null where there is no value.

Before: messages.py. After: envoy.py puts the loggers into each listener.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .messages import TYPE, Json, pipe_cluster, typed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Direction = Literal["inbound", "outbound", "gateway"]

KEYS = {
    # Istio's default.
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    # Identities, TLS, retries.
    "downstream_peer_uri_san": "%DOWNSTREAM_PEER_URI_SAN%",
    "downstream_local_uri_san": "%DOWNSTREAM_LOCAL_URI_SAN%",
    "upstream_peer_uri_san": "%UPSTREAM_PEER_URI_SAN%",
    "upstream_local_uri_san": "%UPSTREAM_LOCAL_URI_SAN%",
    "downstream_tls_version": "%DOWNSTREAM_TLS_VERSION%",
    "upstream_tls_version": "%UPSTREAM_TLS_VERSION%",
    "upstream_request_attempt_count": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    # Ids, phases, octets on the wire.
    "access_log_type": "%ACCESS_LOG_TYPE%",
    "stream_id": "%STREAM_ID%",
    "trace_id": "%TRACE_ID%",
    "grpc_status": "%GRPC_STATUS_NUMBER%",
    "request_duration": "%REQUEST_DURATION%",
    "response_duration": "%RESPONSE_DURATION%",
    "downstream_wire_bytes_received": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "downstream_wire_bytes_sent": "%DOWNSTREAM_WIRE_BYTES_SENT%",
    "upstream_wire_bytes_received": "%UPSTREAM_WIRE_BYTES_RECEIVED%",
    "upstream_wire_bytes_sent": "%UPSTREAM_WIRE_BYTES_SENT%",
}
TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
    '%CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" '
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
"""Istio's default text format."""

_TAGS = ("upstream_peer_uri_san", "upstream_local_uri_san", "upstream_tls_version", "trace_id")
"""Keys which Envoy's access log entries have no field for: they go as tags."""
_HEADERS = ["x-envoy-upstream-service-time", "grpc-status"]

ALS_CLUSTER, OTLP_CLUSTER = "agent-als", "agent-otlp"
_LOGGERS = TYPE + "extensions.access_loggers."
_FLUSH = "0.5s"


@dataclass(frozen=True)
class Telemetry:
    """
    What is switched on.

    Attributes
    ----------
    text
        Each proxy also writes Istio's text format, beside its JSON file.
    als
        Cluster, or one of its proxies, to the socket to stream to; those of a
        cluster that is not named have no access log service.
    otlp
        Proxy to the socket it sends OTLP to.
    """

    text: bool = False
    als: Mapping[str, Path] = field(default_factory=dict)
    otlp: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Loggers:
    """The access loggers of one proxy; `json_file` and `text_file` are where it writes."""

    json_file: Path
    text_file: Path | None
    als: Path | None
    otlp: Path | None

    def http(self, direction: Direction) -> list[Json]:
        """Return the loggers of a listener that understands HTTP."""
        return self._all(direction, "http_grpc", "HttpGrpcAccessLogConfig")

    def tcp(self, direction: Direction) -> list[Json]:
        """Return the loggers of a listener that only sees connections."""
        return self._all(direction, "tcp_grpc", "TcpGrpcAccessLogConfig")

    def refused(self, direction: Direction) -> list[Json]:
        """Return the loggers of a listener itself: connections it knows nothing to do with."""
        no_route = {"response_flag_filter": {"flags": ["NR"]}}
        return [{**logger, "filter": no_route} for logger in self.tcp(direction)]

    def clusters(self) -> list[Json]:
        """Return the clusters through which the gRPC loggers send."""
        named = ((ALS_CLUSTER, self.als), (OTLP_CLUSTER, self.otlp))
        return [pipe_cluster(name, path) for name, path in named if path is not None]

    def _all(self, direction: Direction, grpc: str, message: str) -> list[Json]:
        keys = {**KEYS, "traffic_direction": direction}
        made = [_file(self.json_file, {"json_format": keys})]
        if self.text_file is not None:
            made.append(_file(self.text_file, {"text_format_source": {"inline_string": TEXT}}))
        if self.als is not None:
            stream = _stream(f"{direction}_{grpc}", ALS_CLUSTER)
            stream["custom_tags"] = [{"tag": key, "value": KEYS[key]} for key in _TAGS]
            fields: Json = {"common_config": stream}
            if grpc == "http_grpc":
                fields["additional_response_headers_to_log"] = _HEADERS
                fields["additional_response_trailers_to_log"] = ["grpc-status"]
            made.append(typed(f"access_loggers.{grpc}", _LOGGERS + "grpc.v3.", message, **fields))
        if self.otlp is not None:
            made.append(_otlp(keys, direction))
        return made


def _file(path: Path, log_format: Json) -> Json:
    fields: dict[str, Any] = {"path": str(path), "log_format": log_format}
    return typed("access_loggers.file", _LOGGERS + "file.v3.", "FileAccessLog", **fields)


def _stream(log_name: str, cluster: str) -> Json:
    return {
        "log_name": log_name,
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": cluster}},
        "buffer_flush_interval": _FLUSH,
    }


def _otlp(keys: Mapping[str, str], direction: Direction) -> Json:
    attributes = [{"key": key, "value": {"string_value": text}} for key, text in keys.items()]
    return typed(
        "access_loggers.open_telemetry",
        _LOGGERS + "open_telemetry.v3.",
        "OpenTelemetryAccessLogConfig",
        common_config=_stream(f"{direction}_otlp", OTLP_CLUSTER),
        attributes={"values": attributes},
    )
