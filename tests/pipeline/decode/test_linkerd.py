"""linkerd-proxy's access log to rows: both forms, and what is no request."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_payloads import MAPPED, decode, reasons, told

from pipeline.decode.linkerd import Linkerd

CLIENT = "default.greeter.serviceaccount.identity.linkerd.cluster.local"
LINE = {
    "client.addr": "192.168.36.87:36930",
    "client.id": CLIENT,
    "host": "greeter.shop.svc.cluster.local:3000",
    "method": "POST",
    "processing_ns": "270000",
    "request_bytes": "17",
    "response_bytes": "29",
    "status": 200,
    "timestamp": "2025-08-31T14:10:58.256786757Z",
    "total_ns": "1500000",
    "trace_id": "",
    "uri": "http://greeter.shop.svc.cluster.local:3000/hello?name=secret",
    "user_agent": "curl",
    "version": "HTTP/2.0",
}
APACHE_ROW = {
    "start_ns": 1_756_649_458_256_786_757,
    "reporter": "destination",
    "proxy_model": "sidecar",
    "mesh": "linkerd",
    "log_type": "end",
    "protocol": "HTTP/2",
    "method": "POST",
    "authority": "greeter.shop.svc.cluster.local:3000",
    "path": "/hello",
    "status": 200,
    "service": "greeter.shop.svc.cluster.local",
    "service_port": 3000,
    "downstream_remote_ip_hi": 0,
    "downstream_remote_ip_lo": MAPPED + 0xC0A82457,
    "downstream_remote_port": 36930,
    "downstream_peer_identity": CLIENT,
}
ROW = APACHE_ROW | {
    "is_health_check": False,
    "duration_ms": 1.5,
    "ttfb_ms": 1.5,
    "upstream_ms": 1.23,
    "bytes_received": 17,
    "bytes_sent": 29,
}
APACHE = (
    f"192.168.36.87:36930 {CLIENT} - [2025-08-31T14:10:58.256786757Z]"
    ' "POST http://greeter.shop.svc.cluster.local:3000/hello?name=secret HTTP/2.0" 200'
).encode()


def row(line: bytes | dict[str, object]) -> dict[str, object]:
    (only,) = decode(Linkerd(), line).frames["requests"].to_dicts()
    return told(only)


def without(found: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in found.items() if name not in names}


def test_json():
    """The server's proxy, every field by hand; the query string is gone."""
    assert row(LINE) == pytest.approx(ROW)


def test_apache():
    """The same request in the other form, as far as that form tells it."""
    assert row(APACHE) == APACHE_ROW
    assert row(b"2025-08-31T14:10:58.3Z stderr F " + APACHE) == APACHE_ROW
    assert row(b"2025-08-31T14:10:58.3Z " + APACHE) == APACHE_ROW


def test_not_meshed_and_not_answered():
    """A dash is no identity, and a request without a response has no status."""
    line = APACHE.replace(CLIENT.encode(), b"-").removesuffix(b" 200")
    assert row(line) == without(APACHE_ROW, "downstream_peer_identity", "status")
    open_ended = without(LINE, "status", "total_ns", "processing_ns", "response_bytes")
    gone = ("status", "duration_ms", "ttfb_ms", "upstream_ms", "bytes_sent")
    assert row(open_ended) == without(ROW, *gone)


def test_requests_in_origin_form():
    """HTTP/1 has its host in a header; a host that is no Kubernetes name names no service."""
    line = LINE | {"uri": "/hello?x", "host": "example.com:80", "version": "HTTP/1.1"}
    expected = ROW | {"authority": "example.com:80", "protocol": "HTTP/1.1"}
    assert row(line) == pytest.approx(without(expected, "service", "service_port"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80f198ee56343ba864fe8b2a57d3eff7", {"trace_id": "80f198ee56343ba864fe8b2a57d3eff7"}),
        ("64fe8b2a57d3eff7", {"trace_id": "64fe8b2a57d3eff7"}),
        (
            "9fcc7101-8fc5-48a6-9e0a-1ff4e16bfe28",
            {"request_id": "9fcc7101-8fc5-48a6-9e0a-1ff4e16bfe28"},
        ),
        (
            "Self=1-a;Root=1-67891233-abcdef012345678912345678",
            {"trace_id": "67891233abcdef012345678912345678"},
        ),
        ("-", {}),
    ],
    ids=["b3", "b3_short", "request_id", "amazon", "none"],
)
def test_three_headers_in_one_field(text, expected):
    """``trace_id`` is whichever of three headers was there; its form says which."""
    assert row(LINE | {"trace_id": text}) == pytest.approx(ROW | expected)


def test_other_lines_of_the_proxy_are_ignored():
    """The proxy's own log goes to the same standard error: no traffic, and no reject."""
    decoded = decode(
        Linkerd(),
        b"[     0.003821s]  INFO ThreadId(01) linkerd2_proxy: release 2.250.0",
        b"2025-08-31T14:10:58.3Z stderr F [ 1200.003821s]  WARN ThreadId(01) outbound: slow",
        LINE,
    )
    assert decoded.counts["ignored_records"].to_list() == [2]


def test_rejects():
    """Each reason, with what it is about."""
    lines: list[bytes | dict[str, object]] = [
        b"GET / HTTP/1.1",
        {"status": 200},
        LINE | {"timestamp": None},
        LINE | {"timestamp": "yesterday"},
        LINE | {"status": 99999},
        LINE | {"status": "no"},
        APACHE.removesuffix(b"200") + b"20x",
        b"[1]",
    ]
    assert reasons(decode(Linkerd(), *lines)) == [
        (0, "format_mismatch", "neither form of linkerd's access log"),
        (1, "format_mismatch", "neither form of linkerd's access log"),
        (2, "required_missing", "timestamp"),
        (3, "field_invalid", "timestamp"),
        (4, "field_invalid", "status"),
        (5, "field_invalid", "status"),
        (6, "field_invalid", "status"),
        (7, "format_mismatch", "neither form of linkerd's access log"),
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.binary(max_size=80)
        | st.tuples(st.integers(0, 200), st.binary(max_size=6)).map(
            lambda cut: APACHE[: cut[0]] + cut[1] + APACHE[cut[0] :]
        )
        | st.dictionaries(
            st.sampled_from(sorted(LINE)), st.none() | st.text(max_size=9) | st.integers()
        ).map(lambda parts: json.dumps(LINE | parts).encode()),
        max_size=6,
    )
)
def test_any_lines_are_rows_ignored_or_rejected(lines):
    """Nothing a line can hold raises, or costs another line its row."""
    decoded = decode(Linkerd(), *lines, LINE)
    assert told(decoded.frames["requests"].to_dicts()[-1]) == pytest.approx(ROW)
