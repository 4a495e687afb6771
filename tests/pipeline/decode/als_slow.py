"""
Access log service messages read the slow and obvious way: Google's parser, entry by entry.

`rows` gives of each entry the columns that are in it, as `None`, numbers and
texts; `random_message` makes messages with any of the fields set to anything.
"""

import random
from ipaddress import ip_address

from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf import struct_pb2
from google.protobuf.message import Message

FLAGS = {
    "failed_local_healthcheck": "LH",
    "no_healthy_upstream": "UH",
    "upstream_request_timeout": "UT",
    "local_reset": "LR",
    "upstream_remote_reset": "UR",
    "upstream_connection_failure": "UF",
    "upstream_connection_termination": "UC",
    "upstream_overflow": "UO",
    "no_route_found": "NR",
    "delay_injected": "DI",
    "fault_injected": "FI",
    "rate_limited": "RL",
    "rate_limit_service_error": "RLSE",
    "downstream_connection_termination": "DC",
    "upstream_retry_limit_exceeded": "URX",
    "stream_idle_timeout": "SI",
    "invalid_envoy_request_headers": "IH",
    "downstream_protocol_error": "DPE",
    "upstream_max_stream_duration_reached": "UMSDR",
    "response_from_cache_filter": "RFCF",
    "no_filter_config_found": "NFCF",
    "duration_timeout": "DT",
    "upstream_protocol_error": "UPE",
    "no_cluster_found": "NC",
    "overload_manager": "OM",
    "dns_resolution_failure": "DF",
    "downstream_remote_reset": "DR",
}
LOG_TYPES = {
    "NotSet": "end",
    "TcpUpstreamConnected": "start",
    "TcpPeriodic": "periodic",
    "TcpConnectionEnd": "end",
    "DownstreamStart": "start",
    "DownstreamPeriodic": "periodic",
    "DownstreamEnd": "end",
    "UpstreamPoolReady": "attempt",
    "UpstreamPeriodic": "attempt",
    "UpstreamEnd": "attempt",
    "DownstreamTunnelSuccessfullyEstablished": "start",
    "UdpTunnelUpstreamConnected": "start",
    "UdpPeriodic": "periodic",
    "UdpSessionEnd": "end",
}
PROTOCOLS = {1: "HTTP/1.0", 2: "HTTP/1.1", 3: "HTTP/2", 4: "HTTP/3"}
TLS = {1: "TLSv1", 2: "TLSv1.1", 3: "TLSv1.2", 4: "TLSv1.3"}
METHODS = dict(
    enumerate(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"], 1)
)


def rows(message: als_pb2.StreamAccessLogsMessage) -> list[dict[str, object] | str]:
    """Of each entry its columns, or the reason it is refused."""
    is_tcp = message.WhichOneof("log_entries") == "tcp_logs"
    entries = message.tcp_logs.log_entry if is_tcp else message.http_logs.log_entry
    return [_row(entry, is_tcp) for entry in entries]


def _row(entry: Message, is_tcp: bool) -> dict[str, object] | str:  # noqa: C901 - flat, and meant to be
    common = entry.common_properties
    start = common.start_time
    if not common.HasField("start_time"):
        return "required_missing"
    if abs(start.seconds) > 9_223_372_035 or not 0 <= start.nanos < 10**9:
        return "field_invalid"
    if not is_tcp and entry.response.response_code.value > 999:
        return "field_invalid"
    row = {"start_ns": start.seconds * 10**9 + start.nanos}
    row["duration_ms"] = _ms(common, "duration", "time_to_last_downstream_tx_byte")
    row["request_ms"] = _ms(common, "time_to_last_rx_byte")
    row["ttfb_ms"] = _ms(common, "time_to_first_upstream_rx_byte")
    row |= _address("downstream_remote", common.downstream_direct_remote_address)
    if common.downstream_direct_remote_address.WhichOneof("address") != "socket_address":
        row |= _address("downstream_remote", common.downstream_remote_address)
    row |= _address("downstream_local", common.downstream_local_address)
    row |= _address("upstream_local", common.upstream_local_address)
    row |= _address("upstream_remote", common.upstream_remote_address)
    tls = common.tls_properties
    row["sni"] = tls.tls_sni_hostname or None
    row["downstream_tls"] = TLS.get(tls.tls_version)
    row["downstream_peer_identity"] = _identity(tls.peer_certificate_properties)
    row["downstream_local_identity"] = _identity(tls.local_certificate_properties)
    flags = [short for name, short in FLAGS.items() if getattr(common.response_flags, name)]
    if common.response_flags.unauthorized_details.reason == 1:
        flags.append("UAEX")
    row["response_flags"] = flags
    row["upstream_cluster"] = common.upstream_cluster or None
    row["upstream_failure"] = common.upstream_transport_failure_reason or None
    row["route"] = common.route_name or None
    row["termination_details"] = common.connection_termination_details or None
    row["stream_id"] = common.stream_id or None
    for name in ("downstream", "upstream"):
        for way in ("sent", "received"):
            row[f"{name}_wire_bytes_{way}"] = getattr(common, f"{name}_wire_bytes_{way}")
    row["attempts"] = common.upstream_request_attempt_count
    log_type = common.access_log_type
    known = accesslog_pb2.AccessLogType.values()
    row["log_type"] = (
        LOG_TYPES[accesslog_pb2.AccessLogType.Name(log_type)] if log_type in known else None
    )
    if log_type == 0 and common.intermediate_log_entry:
        row["log_type"] = "periodic"
    row |= _tcp(entry) if is_tcp else _http(entry)
    for key, name in (
        ("upstream_peer_uri_san", "upstream_peer_identity"),
        ("trace_id", "trace_id"),
    ):
        row[name] = row.get(name) or common.custom_tags.get(key) or None
    for key, side in (("downstream_peer", "src"), ("upstream_peer", "dst")):
        row |= _peer(common.filter_state_objects, key, side)
    return row


def _tcp(entry: Message) -> dict[str, object]:
    told = entry.HasField("connection_properties")
    connection = entry.connection_properties
    return {
        "protocol": "TCP",
        "bytes_received": connection.received_bytes if told else None,
        "bytes_sent": connection.sent_bytes if told else None,
        "method": None,
        "status": None,
    }


def _http(entry: Message) -> dict[str, object]:
    request, response = entry.request, entry.response
    headers, answer = request.request_headers, response.response_headers
    grpc = response.response_trailers.get("grpc-status") or answer.get("grpc-status")
    upstream_ms = answer.get("x-envoy-upstream-service-time")
    parent = headers.get("traceparent", "").split("-")
    return {
        "protocol": PROTOCOLS.get(entry.protocol_version),
        "bytes_received": request.request_body_bytes if entry.HasField("request") else None,
        "bytes_sent": response.response_body_bytes if entry.HasField("response") else None,
        "method": METHODS.get(request.request_method),
        "authority": request.authority or None,
        "path": (request.original_path or request.path).partition("?")[0]
        if request.original_path or request.path
        else None,
        "request_id": request.request_id or None,
        "status": response.response_code.value or None,
        "response_code_details": response.response_code_details or None,
        "grpc_status": int(grpc) if grpc else None,
        "upstream_ms": float(upstream_ms) if upstream_ms else None,
        "trace_id": parent[1] if len(parent) == 4 else None,
        "is_health_check": True
        if response.response_code_details.startswith("health_check_")
        else (request.user_agent.startswith("Envoy/HC") if request.user_agent else None),
    }


def _ms(common: Message, *names: str) -> float | None:
    for name in names:
        if common.HasField(name):
            one = getattr(common, name)
            good = one.seconds >= 0 and 0 <= one.nanos < 10**9
            return one.seconds * 1e3 + one.nanos / 1e6 if good else None
    return None


def _address(name: str, address: Message) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys((f"{name}_ip_hi", f"{name}_ip_lo", f"{name}_port"), None)
    if address.WhichOneof("address") != "socket_address":
        return row
    try:
        ip = ip_address(address.socket_address.address)
    except ValueError:
        return row
    number = int(ip) if ip.version == 6 else 0xFFFF << 32 | int(ip)
    row[f"{name}_ip_hi"], row[f"{name}_ip_lo"] = number >> 64, number & (1 << 64) - 1
    if 0 < address.socket_address.port_value < 1 << 16:
        row[f"{name}_port"] = address.socket_address.port_value
    return row


def _identity(certificate: Message) -> str | None:
    uris = [name.uri for name in certificate.subject_alt_name if name.WhichOneof("san") == "uri"]
    spiffe = [uri for uri in uris if uri.startswith("spiffe://")]
    return ((spiffe or uris) + [""])[0] or None


def _peer(state: object, key: str, side: str) -> dict[str, object]:
    row: dict[str, object] = {}
    for field, name in (
        ("CLUSTER_ID", "cluster"),
        ("NAMESPACE", "namespace"),
        ("WORKLOAD_NAME", "workload"),
        ("NAME", "pod"),
    ):
        row[f"reported_{side}_{name}"] = None
        for one in (key, f"wasm.{key}"):
            if row[f"reported_{side}_{name}"] is None and one in state:
                peer = struct_pb2.Struct()
                if state[one].Unpack(peer) and field in peer.fields:
                    row[f"reported_{side}_{name}"] = peer.fields[field].string_value or None
    return row


TEXTS = ("", "a", "x" * 12, "x" * 13, "väter/жизнь", "outbound|80||web.shop.svc", "long" * 60)
HOSTS = (
    "10.0.0.1",
    "192.168.17.254",
    "::1",
    "2001:db8::7",
    "",
    "localhost",
    "10.0.0.1:80",
    "1.2.3",
)
NUMBERS = (0, 1, 127, 128, 65_535, 65_536, 2**32 - 1)
LARGE = (*NUMBERS, 2**40 + 5, 2**63, 2**64 - 1)


def random_message(chance: random.Random, entries: int = 3) -> als_pb2.StreamAccessLogsMessage:
    """A message with any fields."""
    message = als_pb2.StreamAccessLogsMessage()
    if chance.random() < 0.8:
        node = message.identifier.node
        node.id = chance.choice(["sidecar~1.2.3.4~web-1.shop~shop.svc", "router~x", "", "other"])
        node.metadata.update({"CLUSTER_ID": "east", "LABELS": {"app": "web"}, "N": 1})
        message.identifier.log_name = chance.choice(["", "inbound", "http"])
    count = chance.randrange(entries + 1)
    if chance.random() < 0.3:
        message.tcp_logs.SetInParent()
        for _ in range(count):
            entry = message.tcp_logs.log_entry.add()
            _common(entry.common_properties, chance)
            if chance.random() < 0.7:
                entry.connection_properties.received_bytes = chance.choice(LARGE)
                entry.connection_properties.sent_bytes = chance.choice(LARGE)
    elif chance.random() < 0.9:
        message.http_logs.SetInParent()
        for _ in range(count):
            entry = message.http_logs.log_entry.add()
            _common(entry.common_properties, chance)
            _random_http(entry, chance)
    return message


def _random_http(entry: Message, chance: random.Random) -> None:
    entry.protocol_version = chance.randrange(7)
    if chance.random() < 0.8:
        request = entry.request
        request.request_method = chance.randrange(12)
        for name in ("authority", "path", "user_agent", "request_id", "original_path", "scheme"):
            if chance.random() < 0.5:
                setattr(request, name, chance.choice([*TEXTS, "/a?b=c", "Envoy/HC"]))
        request.request_body_bytes = chance.choice(LARGE)
        request.request_headers_bytes = chance.choice(LARGE)
        if chance.random() < 0.2:
            request.request_headers["traceparent"] = (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            )
            request.request_headers["x-other"] = chance.choice(TEXTS)
    if chance.random() < 0.8:
        response = entry.response
        if chance.random() < 0.8:
            response.response_code.value = chance.choice([0, 200, 404, 999, 503, 1000, 2**31])
        response.response_body_bytes = chance.choice(LARGE)
        response.response_code_details = chance.choice([*TEXTS, "health_check_ok"])
        if chance.random() < 0.2:
            response.response_headers["x-envoy-upstream-service-time"] = "17"
            response.response_headers["grpc-status"] = "14"
        if chance.random() < 0.2:
            response.response_trailers["grpc-status"] = "0"


def _common(common: Message, chance: random.Random) -> None:  # noqa: C901, PLR0912 - a list
    for name in (
        "downstream_remote_address",
        "downstream_local_address",
        "upstream_remote_address",
        "upstream_local_address",
        "downstream_direct_remote_address",
    ):
        if chance.random() < 0.7:
            _random_address(getattr(common, name), chance)
    if chance.random() < 0.9:
        common.start_time.seconds = chance.choice([1_764_000_000, 0, -5, 2**40])
        common.start_time.nanos = chance.choice([0, 1, 999_999_999, -1])
    for name in (
        "duration",
        "time_to_last_rx_byte",
        "time_to_first_upstream_rx_byte",
        "time_to_last_downstream_tx_byte",
        "time_to_first_upstream_tx_byte",
    ):
        if chance.random() < 0.6:
            duration = getattr(common, name)
            duration.seconds = chance.choice([0, 0, 7, 315_576_000_000, -1])
            duration.nanos = chance.choice([0, 1, 31_206, 999_999_999, -7])
    for name in (
        "upstream_cluster",
        "upstream_transport_failure_reason",
        "route_name",
        "connection_termination_details",
        "stream_id",
    ):
        if chance.random() < 0.5:
            setattr(common, name, chance.choice(TEXTS))
    for name in ("downstream_wire_bytes_sent", "upstream_wire_bytes_received"):
        if chance.random() < 0.5:
            setattr(common, name, chance.choice(LARGE))
    common.upstream_request_attempt_count = chance.choice(NUMBERS)
    common.access_log_type = chance.choice([0, 0, *range(16)])
    common.intermediate_log_entry = chance.random() < 0.3
    common.sample_rate = chance.choice([0.0, 0.5])
    _random_tls(common.tls_properties, chance)
    if chance.random() < 0.4:
        for name in chance.sample(sorted(FLAGS), 2):
            setattr(common.response_flags, name, True)
        common.response_flags.unauthorized_details.reason = chance.randrange(3)
    if chance.random() < 0.3:
        common.custom_tags["upstream_peer_uri_san"] = chance.choice(TEXTS)
        common.custom_tags["trace_id"] = "abc"
    if chance.random() < 0.3:
        common.filter_state_objects["other"].type_url = "x"
        for key in chance.sample(["upstream_peer", "wasm.upstream_peer", "downstream_peer"], 2):
            peer = struct_pb2.Struct()
            peer.update({"CLUSTER_ID": chance.choice(TEXTS), "NAME": "web-1", "NAMESPACE": 5})
            common.filter_state_objects[key].Pack(peer)


def _random_address(address: Message, chance: random.Random) -> None:
    kind = chance.randrange(6)
    if kind == 0:
        address.pipe.path = "/run/x.sock"
    elif kind == 1:
        address.envoy_internal_address.server_listener_name = "connect_originate"
    elif kind > 2:
        address.socket_address.address = chance.choice(HOSTS)
        address.socket_address.protocol = chance.randrange(2)
        if chance.random() < 0.9:
            address.socket_address.port_value = chance.choice(NUMBERS)
        else:
            address.socket_address.named_port = "http"


def _random_tls(tls: Message, chance: random.Random) -> None:
    if chance.random() < 0.4:
        return
    tls.tls_version = chance.randrange(7)
    tls.tls_cipher_suite.value = 0x1302
    tls.tls_sni_hostname = chance.choice(TEXTS)
    for certificate in (tls.peer_certificate_properties, tls.local_certificate_properties):
        for _ in range(chance.randrange(4)):
            name = certificate.subject_alt_name.add()
            kind = chance.randrange(3)
            if kind == 0:
                name.dns = "web.shop"
            else:
                name.uri = chance.choice(
                    ["spiffe://td/ns/shop/sa/web", "kuma://x", "", "spiffe://b"]
                )
