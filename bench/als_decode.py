"""
Entries of Envoy's access log service to request rows, one core, beside a loop over them.

Messages of 30 HTTP entries with the fields a sidecar of a mesh fills, behind
the short identifier the agent puts in front. Ours goes all the way to rows
with service names, identities and accounting; the loop parses with Google's
parser (upb, in C) and takes the same fields of each entry into a list. How fast
the machine is just now, the decoder of IPFIX in the same run tells.
"""

import random
import uuid

import numpy as np
import pyarrow as pa
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2

from bench import traffic
from bench.decode import payloads as flow_payloads
from bench.measure import alternate, report
from collectors.log import Place
from pipeline.decode import Payloads, Source
from pipeline.decode.als import Als
from pipeline.decode.netflow import Netflow

ENTRIES = 30
_PLACE = Place("crosspane.v1.proxy.bench", 0)
_START_S = 1_764_000_000
_DURATIONS = (
    "time_to_last_rx_byte",
    "time_to_first_upstream_tx_byte",
    "time_to_last_upstream_tx_byte",
    "time_to_first_upstream_rx_byte",
    "time_to_last_upstream_rx_byte",
    "time_to_first_downstream_tx_byte",
    "time_to_last_downstream_tx_byte",
    "duration",
)


def messages(count: int, *, peers: bool = False) -> list[bytes]:
    """Messages of some proxies in turn; ``peers``: with Istio's peer metadata in each entry."""
    chance = random.Random(7)
    return [_message(chance, number, peers=peers).SerializeToString() for number in range(count)]


def _message(chance: random.Random, number: int, *, peers: bool) -> als_pb2.StreamAccessLogsMessage:
    message = als_pb2.StreamAccessLogsMessage()
    node = message.identifier.node
    node.id = f"sidecar~10.0.0.{number % 50}~web-{number % 50}.shop~shop.svc.cluster.local"
    node.cluster = "web.shop"
    for key, value in (("CLUSTER_ID", "east"), ("NAMESPACE", "shop"), ("WORKLOAD_NAME", "web")):
        node.metadata.fields[key].string_value = value
    message.identifier.log_name = "http_envoy_accesslog"
    for _ in range(ENTRIES):
        _fill(message.http_logs.log_entry.add(), chance, peers=peers)
    return message


def _fill(entry: accesslog_pb2.HTTPAccessLogEntry, chance: random.Random, *, peers: bool) -> None:
    common = entry.common_properties
    pod, server = chance.randrange(1, 200), chance.randrange(20)
    for name, host, port in (
        ("downstream_remote_address", f"10.0.1.{pod}", chance.randrange(32_768, 60_999)),
        ("downstream_direct_remote_address", f"10.0.1.{pod}", chance.randrange(32_768, 60_999)),
        ("downstream_local_address", "10.96.0.10", 8080),
        ("upstream_local_address", f"10.0.1.{pod}", chance.randrange(32_768, 60_999)),
        ("upstream_remote_address", f"10.0.2.{server}", 8080),
    ):
        address = getattr(common, name).socket_address
        address.address, address.port_value = host, port
    tls = common.tls_properties
    tls.tls_version = accesslog_pb2.TLSProperties.TLSv1_3
    tls.tls_cipher_suite.value = 0x1302
    tls.tls_sni_hostname = f"outbound_.8080_._.service-{server}.shop.svc.cluster.local"
    tls.local_certificate_properties.subject_alt_name.add().uri = (
        f"spiffe://cluster.local/ns/shop/sa/service-{server}"
    )
    tls.peer_certificate_properties.subject_alt_name.add().uri = (
        "spiffe://cluster.local/ns/shop/sa/web"
    )
    common.start_time.seconds = _START_S + chance.randrange(60)
    common.start_time.nanos = chance.randrange(10**9)
    for name in _DURATIONS:
        getattr(common, name).nanos = chance.randrange(10**8)
    common.upstream_cluster = "inbound|8080||"
    common.response_flags.SetInParent()
    if chance.random() < 0.02:
        common.response_flags.upstream_connection_failure = True
    common.route_name = "default"
    common.upstream_request_attempt_count = 1
    common.stream_id = str(uuid.UUID(int=chance.getrandbits(128)))
    common.downstream_wire_bytes_sent = chance.randrange(200, 60_000)
    common.downstream_wire_bytes_received = chance.randrange(200, 2_000)
    common.upstream_wire_bytes_sent = chance.randrange(200, 2_000)
    common.upstream_wire_bytes_received = chance.randrange(200, 60_000)
    common.access_log_type = accesslog_pb2.DownstreamEnd
    if peers:
        for side, workload in (("downstream_peer", "web"), ("upstream_peer", f"service-{server}")):
            _peer(common.filter_state_objects[side], workload)
    entry.protocol_version = accesslog_pb2.HTTPAccessLogEntry.HTTP11
    request, response = entry.request, entry.response
    request.request_method = 1
    request.scheme = "http"
    request.authority = f"service-{server}.shop:8080"
    request.path = f"/api/v1/items/{chance.randrange(10_000)}?page=2"
    request.user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
    request.request_id = str(uuid.UUID(int=chance.getrandbits(128)))
    request.request_headers_bytes = chance.randrange(200, 1_500)
    request.downstream_header_bytes_received = chance.randrange(200, 1_500)
    request.upstream_header_bytes_sent = chance.randrange(200, 1_500)
    response.response_code.value = chance.choice((200, 200, 200, 404, 503))
    response.response_headers_bytes = chance.randrange(100, 900)
    response.response_body_bytes = chance.randrange(60_000)
    response.response_code_details = "via_upstream"
    response.upstream_header_bytes_received = chance.randrange(100, 900)
    response.downstream_header_bytes_sent = chance.randrange(100, 900)


def _peer(value: object, workload: str) -> None:
    from google.protobuf import struct_pb2  # noqa: PLC0415

    peer = struct_pb2.Struct()
    peer.update(
        {
            "NAME": f"{workload}-5d8f9c7b6-x2x4z",
            "NAMESPACE": "shop",
            "CLUSTER_ID": "east",
            "WORKLOAD_NAME": workload,
            "OWNER": f"kubernetes://apis/apps/v1/namespaces/shop/deployments/{workload}",
            "PLATFORM_METADATA": {},
            "LABELS": {"app": workload, "version": "v1"},
        }
    )
    value.Pack(peer)  # type: ignore[attr-defined]


def payloads(held: list[bytes]) -> Payloads:
    """Payloads of fifty proxies in turn."""
    return Payloads(
        sources=[Source(_PLACE, "bench", "c", "n", f"proxy-{n}") for n in range(50)],
        source=(np.arange(len(held)) % 50).astype(np.int32),
        received_ns=np.full(len(held), 1_764_000_061_000_000_000, np.int64),
        payload=pa.array(held, pa.binary()),
    )


def _ours(batch: Payloads, entries: int) -> None:
    requests = Als().decode(batch).frames["requests"]
    assert requests.height == entries  # noqa: S101 - a bench of wrong results is none


def _ms(duration: object) -> float:
    return duration.seconds * 1e3 + duration.nanos / 1e6  # type: ignore[attr-defined]


def _loop(held: list[bytes]) -> list[tuple[object, ...]]:
    rows = []
    for payload in held:
        message = als_pb2.StreamAccessLogsMessage.FromString(payload)
        node = message.identifier.node.id
        for entry in message.http_logs.log_entry:
            common, request, response = entry.common_properties, entry.request, entry.response
            tls = common.tls_properties
            row = [node, common.start_time.seconds * 10**9 + common.start_time.nanos]
            for address in (
                common.downstream_direct_remote_address,
                common.downstream_local_address,
                common.upstream_local_address,
                common.upstream_remote_address,
            ):
                socket = address.socket_address
                row += [socket.address, socket.port_value]
            row += [_ms(common.duration), _ms(common.time_to_last_rx_byte)]
            row += [_ms(common.time_to_first_upstream_rx_byte), tls.tls_version]
            row += [tls.tls_sni_hostname, tls.peer_certificate_properties.subject_alt_name[0].uri]
            row += [tls.local_certificate_properties.subject_alt_name[0].uri]
            row += [[field.name for field, on in common.response_flags.ListFields() if on]]
            row += [common.upstream_cluster, common.route_name, common.stream_id]
            row += [common.downstream_wire_bytes_sent, common.downstream_wire_bytes_received]
            row += [common.upstream_wire_bytes_sent, common.upstream_wire_bytes_received]
            row += [common.upstream_request_attempt_count, common.access_log_type]
            row += [entry.protocol_version, request.request_method, request.authority]
            row += [request.path, request.user_agent, request.request_id]
            row += [request.request_body_bytes, response.response_body_bytes]
            row += [response.response_code.value, response.response_code_details]
            rows.append(tuple(row))
    return rows


def main() -> None:
    """Print the comparison."""
    plain, told = messages(1_000), messages(1_000, peers=True)
    entries = 1_000 * ENTRIES
    batch, with_peers = payloads(plain), payloads(told)
    few = plain[:200]
    datagrams, flows = flow_payloads(traffic.datagrams(3_000)), 3_000 * traffic.RECORDS_A_DATAGRAM
    print(f"als: {sum(map(len, plain)) / entries:.0f} bytes an entry,"
          f" {sum(map(len, told)) / entries:.0f} with peer metadata")  # fmt: skip
    report(
        f"als: {ENTRIES} HTTP entries a message",
        alternate(
            {
                "crosspane": (entries, lambda: _ours(batch, entries)),
                "crosspane, with peer metadata": (entries, lambda: _ours(with_peers, entries)),
                "protobuf (upb), a loop over entries": (len(few) * ENTRIES, lambda: _loop(few)),
                "IPFIX records, for scale": (flows, lambda: Netflow().decode(datagrams)),
            }
        ),
    )


if __name__ == "__main__":
    main()
