"""Access log service messages: recorded from Envoy, by others, and every reason for a reject."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf import json_format

from collectors.log import Place
from pipeline.decode import Declared, Decoded, Payloads, Source
from pipeline.decode.als import Als
from pipeline.decode.protobuf import MAX_FIELDS
from pipeline.rejects import RAW_BYTES

CASES = Path(__file__).resolve().parents[2] / "cases"
PLACE = Place("crosspane.v1.proxy.east", 0)
NOTHING = Declared()
LOOPBACK = (0, 0xFFFF7F000001)


def decode(held: list[bytes], declared: Declared = NOTHING) -> Decoded:
    return Als().decode(
        Payloads(
            sources=[Source(PLACE, "agent", "east", "n", "proxy", declared)],
            source=np.zeros(len(held), np.int32),
            received_ns=np.full(len(held), 1_764_000_090 * 10**9, np.int64),
            payload=pa.array(held, pa.binary()),
        )
    )


def recorded(path: Path) -> list[bytes]:
    """Payloads of a file, each behind its length."""
    data, held = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:4], "big")
        held.append(data[4 : 4 + size])
        data = data[4 + size :]
    return held


def counts(decoded: Decoded) -> dict[str, int]:
    return {
        name: int(decoded.counts[name].sum())
        for name in (
            "received_payloads",
            "decoded_payloads",
            "partial_payloads",
            "rejected_payloads",
            "decoded_records",
        )
    }


def message(*entries: accesslog_pb2.HTTPAccessLogEntry) -> bytes:
    whole = als_pb2.StreamAccessLogsMessage()
    whole.http_logs.log_entry.extend(entries)
    return whole.SerializeToString()


def entry(seconds: int = 1_764_000_000) -> accesslog_pb2.HTTPAccessLogEntry:
    one = accesslog_pb2.HTTPAccessLogEntry()
    one.common_properties.start_time.seconds = seconds
    return one


def only_row(one: accesslog_pb2.HTTPAccessLogEntry) -> dict[str, object]:
    rows = decode([message(one)]).frames["requests"]
    assert rows.height == 1
    return rows.row(0, named=True)


def test_recorded_calls():
    """Each call of the recording is the row it should be, denied and refused ones as such."""
    decoded = decode(recorded(CASES / "envoy_als" / "messages.bin"))
    rows = decoded.frames["requests"]
    columns = (
        "protocol",
        "method",
        "path",
        "status",
        "response_flags",
        "bytes_received",
        "bytes_sent",
        "attempts",
    )
    assert rows.select(columns).rows() == [
        ("TCP", None, None, None, [], 20, 116, 1),
        ("HTTP/1.1", "GET", "/ok", 200, [], 0, 5, 1),
        ("HTTP/1.1", "POST", "/ok/post", 200, ["DC"], 300, 0, 1),
        ("HTTP/1.1", "GET", "/missing", 404, [], 0, 4, 1),
        ("HTTP/1.1", "GET", "/secret", 403, [], 0, 19, None),
        ("HTTP/1.1", "GET", "/dead", 503, ["UF", "URX"], 0, 121, 2),
    ]
    assert counts(decoded) == {
        "received_payloads": 2,
        "decoded_payloads": 2,
        "partial_payloads": 0,
        "rejected_payloads": 0,
        "decoded_records": 6,
    }
    assert [(one.format, one.source.exporter) for one in decoded.vantages] == [
        ("envoy_als", "proxy")
    ]


def test_all_a_recorded_call_tells():
    """Times to the nanosecond, ends, wire bytes, trace id, and what the proxy says of itself."""
    row = (
        decode(recorded(CASES / "envoy_als" / "messages.bin")).frames["requests"].row(2, named=True)
    )
    ends = {"downstream_remote": 45822, "downstream_local": 18091}
    ends |= {"upstream_local": 59618, "upstream_remote": 18099}
    for end, port in ends.items():
        assert (row.pop(f"{end}_ip_hi"), row.pop(f"{end}_ip_lo")) == LOOPBACK
        assert row.pop(f"{end}_port") == port
    assert {name: value for name, value in row.items() if value is not None} == {
        "vantage": 0,
        "received_ns": 1_764_000_090 * 10**9,
        "start_ns": 1_795_721_041_027_601_000,
        "reporter": "destination",
        "proxy_model": "sidecar",
        "mesh": "istio",
        "log_type": "end",
        "is_health_check": False,
        "protocol": "HTTP/1.1",
        "method": "POST",
        "authority": "web.shop:8080",
        "path": "/ok/post",
        "route": "default",
        "status": 200,
        "response_flags": ["DC"],
        "response_code_details": "downstream_remote_disconnect",
        "request_id": "a2bf9031-39cb-4dcd-a16b-4b9404ce3f0c",
        "stream_id": "a2bf9031-39cb-4dcd-a16b-4b9404ce3f0c",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "duration_ms": 1.485006,
        "request_ms": 0.193268,
        "ttfb_ms": 0.745067,
        "upstream_ms": 0.0,
        "bytes_received": 300,
        "bytes_sent": 0,
        "downstream_wire_bytes_received": 557,
        "downstream_wire_bytes_sent": 143,
        "upstream_wire_bytes_received": 111,
        "upstream_wire_bytes_sent": 654,
        "attempts": 1,
        "upstream_cluster": "inbound|18099||",
        "service_port": 18099,
        "reported_dst_cluster": "east",
        "reported_dst_namespace": "shop",
        "reported_dst_workload": "web",
        "reported_dst_pod": "web-1",
    }


def test_denied_and_refused_calls_say_why():
    """The policy that denied; the failure of the transport."""
    rows = decode(recorded(CASES / "envoy_als" / "messages.bin")).frames["requests"]
    assert rows.row(4, named=True)["policy"] == "no-secrets"
    assert rows.row(4, named=True)["authz"] == "denied"
    assert rows.row(5, named=True)["upstream_failure"] == (
        "delayed connect error: Connection refused"
    )
    assert rows.row(5, named=True)["service"] == "dead.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "envoy-ingress",
            {
                "start_ns": 1_555_127_993_687_224_601,
                "proxy_model": "gateway",
                "path": "/productpage",
                "duration_ms": 1010.43291,
                "ttfb_ms": 1010.01071,
                "bytes_sent": 4415,
                "service": "productpage.default.svc.cluster.local",
                "service_port": 9080,
                "downstream_remote_port": 51489,
                "upstream_remote_ip_lo": 0xFFFF0A2C0236,
            },
        ),
        (
            "envoy-mesh-client-sidecar",
            {
                "start_ns": 1_555_127_993_695_750_999,
                "proxy_model": "sidecar",
                "path": "/details/0",
                "duration_ms": 10.745496,
                "ttfb_ms": 10.50049,
                "bytes_sent": 178,
                "service": "details.default.svc.cluster.local",
                "service_port": 9080,
                "downstream_remote_port": 58996,
                "upstream_remote_ip_lo": 0xFFFF0A2C0642,
            },
        ),
    ],
)
def test_samples_of_skywalking(corpus, name, expected):
    """Envoy of 2019 did not tell a duration: it is when the last byte went out."""
    text = (corpus / "skywalking-als" / f"{name}.msg").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    value, _ = json.JSONDecoder().raw_decode(text.strip())
    held = json_format.ParseDict(value, als_pb2.StreamAccessLogsMessage()).SerializeToString()
    row = decode([held]).frames["requests"].row(0, named=True)
    assert {key: row[key] for key in expected} == expected
    assert (row["status"], row["method"], row["reporter"]) == (200, "GET", "source")
    assert row["downstream_tls"] is None


def test_the_connection_counts_before_a_header():
    """Whom the bytes came from is the direct peer; without a usable one, the other."""
    one = entry()
    remote = one.common_properties.downstream_remote_address
    remote.socket_address.address, remote.socket_address.port_value = "203.0.113.9", 0
    direct = one.common_properties.downstream_direct_remote_address
    direct.socket_address.address, direct.socket_address.port_value = "10.0.0.7", 40_000
    row = only_row(one)
    assert (row["downstream_remote_ip_lo"], row["downstream_remote_port"]) == (
        0xFFFF0A000007,
        40_000,
    )
    direct.envoy_internal_address.server_listener_name = "connect_originate"
    row = only_row(one)
    assert (row["downstream_remote_ip_lo"], row["downstream_remote_port"]) == (0xFFFFCB007109, None)


def test_ipv6_pipes_and_names_that_are_no_address():
    """IPv6 as its 16 bytes; a pipe, a name and an internal address are no address of a network."""
    one = entry()
    common = one.common_properties
    common.downstream_local_address.socket_address.address = "2001:db8::1"
    common.downstream_local_address.socket_address.port_value = 443
    common.upstream_local_address.pipe.path = "/run/x.sock"
    common.upstream_remote_address.socket_address.address = "web.shop"
    common.upstream_remote_address.socket_address.port_value = 80
    row = only_row(one)
    assert row["downstream_local_ip_hi"] == 0x20010DB800000000
    assert (row["downstream_local_ip_lo"], row["downstream_local_port"]) == (1, 443)
    for end in ("upstream_local", "upstream_remote"):
        assert [row[f"{end}_{part}"] for part in ("ip_hi", "ip_lo", "port")] == [None] * 3


def test_tls_names_and_identities():
    """Of several names of a certificate the SPIFFE ID; versions as Envoy's text logs write them."""
    one = entry()
    tls = one.common_properties.tls_properties
    tls.tls_version = accesslog_pb2.TLSProperties.TLSv1_2
    tls.tls_sni_hostname = "outbound_.80_._.web.shop.svc.cluster.local"
    tls.peer_certificate_properties.subject_alt_name.add().dns = "client"
    tls.peer_certificate_properties.subject_alt_name.add().uri = "kuma://tag"
    tls.peer_certificate_properties.subject_alt_name.add().uri = "spiffe://td/ns/a/sa/b"
    tls.local_certificate_properties.subject_alt_name.add().uri = "urn:x"
    row = only_row(one)
    assert row["downstream_tls"] == "TLSv1.2"
    assert row["sni"] == "outbound_.80_._.web.shop.svc.cluster.local"
    assert row["downstream_peer_identity"] == "spiffe://td/ns/a/sa/b"
    assert row["downstream_local_identity"] == "urn:x"
    assert row["upstream_peer_identity"] is None


def test_what_an_agent_declares_counts_before_the_node_id():
    """Mesh and model of a proxy are its agent's to say."""
    whole = als_pb2.StreamAccessLogsMessage.FromString(message(entry()))
    whole.identifier.node.id = "sidecar~10.0.0.1~a.b~b.svc.cluster.local"
    held = [whole.SerializeToString()]
    row = decode(held, Declared("", "osm", "host")).frames["requests"].row(0, named=True)
    assert (row["mesh"], row["proxy_model"]) == ("osm", "host")
    row = decode(held).frames["requests"].row(0, named=True)
    assert (row["mesh"], row["proxy_model"]) == (None, "sidecar")


def test_an_identifier_twice_is_one():
    """The agent's identifier in front of the proxy's own: of a field the last counts."""
    front = als_pb2.StreamAccessLogsMessage()
    front.identifier.node.id = "waypoint~x"
    front.identifier.node.metadata.update({"CLUSTER_ID": "east"})
    whole = als_pb2.StreamAccessLogsMessage.FromString(message(entry()))
    whole.identifier.log_name = "inbound"
    held = front.SerializeToString() + whole.SerializeToString()
    row = decode([held]).frames["requests"].row(0, named=True)
    assert (row["proxy_model"], row["reporter"]) == ("waypoint", "destination")
    assert row["reported_dst_cluster"] == "east"


@pytest.mark.parametrize(
    ("bad", "reason", "detail"),
    [
        (
            lambda one: one.common_properties.ClearField("start_time"),
            "required_missing",
            "start_time",
        ),
        (
            lambda one: one.common_properties.start_time.MergeFrom(
                type(one.common_properties.start_time)(nanos=-1)
            ),
            "field_invalid",
            "start_time",
        ),
        (
            lambda one: one.response.response_code.MergeFrom(
                type(one.response.response_code)(value=1000)
            ),
            "field_invalid",
            "response_code",
        ),
    ],
)
def test_entries_of_no_use_are_refused_and_the_others_kept(bad, reason, detail):
    """One bad entry makes its payload partial; its bytes are kept, its neighbours are rows."""
    wrong = entry()
    bad(wrong)
    decoded = decode([message(entry(1), wrong, entry(3))])
    assert decoded.frames["requests"]["start_ns"].to_list() == [10**9, 3 * 10**9]
    assert decoded.rejects.drop("raw_length").rows() == [
        (0, 0, reason, detail, wrong.SerializeToString())
    ]
    assert counts(decoded) == {
        "received_payloads": 1,
        "decoded_payloads": 0,
        "partial_payloads": 1,
        "rejected_payloads": 0,
        "decoded_records": 2,
    }


def test_bytes_that_are_no_protobuf():
    """A payload cut short is refused whole; a bad entry within a good one, alone."""
    good = message(entry())
    within = b"\x12\x04\x0a\x02\x0a\xff"  # an entry whose common properties are cut
    decoded = decode([good[:-1], within, b"\x00", good])
    assert decoded.rejects.select("payload", "reason", "raw").rows() == [
        (0, "protobuf_malformed", good[:-1]),
        (2, "protobuf_malformed", b"\x00"),
        (1, "protobuf_malformed", b"\x0a\xff"),
    ]
    assert counts(decoded) == {
        "received_payloads": 4,
        "decoded_payloads": 1,
        "partial_payloads": 0,
        "rejected_payloads": 3,
        "decoded_records": 1,
    }


def test_text_that_is_not_utf8_refuses_its_entry():
    """Protobuf texts are UTF-8, or not protobuf."""
    raw = message(entry()) + b"\x12\x0e\x0a\x0c\x0a\x04\x2a\x02\x08\x05\x1a\x04\x1a\x02\xff\xfe"
    decoded = decode([raw])
    assert decoded.rejects.select("reason", "detail").rows() == [
        ("field_invalid", "a text that is not UTF-8")
    ]
    assert decoded.frames["requests"].height == 1


def test_a_message_of_too_many_fields():
    """A flood of tiny fields is refused, with its reason and a part of its bytes."""
    flood = b"\x20\x01" * (MAX_FIELDS + 1)
    decoded = decode([flood, message(entry())])
    assert decoded.rejects.select("reason", "raw_length").rows() == [
        ("protobuf_fields", 2 * MAX_FIELDS + 2)
    ]
    assert decoded.rejects["raw"].bin.size().to_list() == [RAW_BYTES]
    assert decoded.frames["requests"].height == 1


def test_health_checks_and_goings_on():
    """Health checks are marked; a periodic entry is no end."""
    checked, going = entry(), entry()
    checked.request.user_agent = "Envoy/HC"
    going.common_properties.access_log_type = accesslog_pb2.DownstreamPeriodic
    older = entry()
    older.common_properties.intermediate_log_entry = True
    rows = decode([message(checked, going, older)]).frames["requests"]
    assert rows.select("is_health_check", "log_type").rows() == [
        (True, "end"),
        (None, "periodic"),
        (None, "periodic"),
    ]


def test_numbers_nobody_told_are_null():
    """An entry of nothing but a start has nothing else."""
    row = only_row(entry())
    told = {name for name, value in row.items() if value is not None}
    assert told == {
        "vantage",
        "received_ns",
        "start_ns",
        "reporter",
        "log_type",
        "response_flags",
    }
    assert (row["reporter"], row["response_flags"]) == ("unknown", [])


def test_no_payloads_no_rows():
    """A batch of nothing has the columns of any other."""
    decoded = decode([])
    assert (
        decoded.frames["requests"].columns == decode([message(entry())]).frames["requests"].columns
    )
    assert isinstance(decoded.rejects, pl.DataFrame)
    assert decoded.rejects.height == 0


def test_many_bad_entries_of_one_payload_are_told_by_a_few():
    """Sixteen of each reason are kept; the last says how many more there are."""
    bad = accesslog_pb2.HTTPAccessLogEntry()
    bad.request.path = "/"
    decoded = decode([message(*[bad] * 1_000, entry())])
    assert decoded.rejects["detail"].to_list() == ["start_time"] * 15 + ["start_time; and 984 more"]
    assert decoded.frames["requests"].height == 1
