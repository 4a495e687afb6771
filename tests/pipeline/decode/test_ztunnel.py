"""ztunnel's access log to rows: both forms, both ends, and what is no connection."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_payloads import MAPPED, decode, reasons, told

from pipeline.decode import ztunnel
from pipeline.decode.response_flags import FLAGS
from pipeline.decode.ztunnel import Ztunnel

POLICY = "AuthorizationPolicyDenied"
CLIENT = "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage"
SERVER = "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-details"
PARTS = {
    "src.addr": "10.129.0.48:40978",
    "src.workload": "productpage-v1-57ffb6658c-vmb6z",
    "src.namespace": "bookinfo",
    "src.identity": CLIENT,
    "src.cluster": "east",
    "dst.addr": "10.129.0.43:15008",
    "dst.hbone_addr": "10.129.0.43:9080",
    "dst.service": "details.bookinfo.svc.cluster.local",
    "dst.workload": "details-v1-6cd6d9df6b-mddv2",
    "dst.namespace": "bookinfo",
    "dst.identity": SERVER,
    "dst.cluster": "west",
    "direction": "outbound",
    "bytes_sent": 283,
    "bytes_recv": 358,
    "duration": "2ms",
}
UNQUOTED = ("src.addr", "dst.addr", "dst.hbone_addr", "bytes_sent", "bytes_recv")
TIME = "2025-01-23T05:07:25.806642Z"
START_NS = 1_737_608_845_804_642_000
BOTH = {
    "start_ns": START_NS,
    "proxy_model": "host",
    "mesh": "istio",
    "log_type": "end",
    "protocol": "TCP",
    "authority": "10.129.0.43:9080",
    "service": "details.bookinfo.svc.cluster.local",
    "duration_ms": 2.0,
    "downstream_remote_ip_hi": 0,
    "downstream_remote_ip_lo": MAPPED + 0x0A810030,
    "downstream_remote_port": 40978,
    "upstream_remote_ip_hi": 0,
    "upstream_remote_ip_lo": MAPPED + 0x0A81002B,
    "reported_src_cluster": "east",
    "reported_src_namespace": "bookinfo",
    "reported_src_workload": "productpage-v1-57ffb6658c-vmb6z",
    "reported_dst_cluster": "west",
    "reported_dst_namespace": "bookinfo",
    "reported_dst_workload": "details-v1-6cd6d9df6b-mddv2",
}
OUTBOUND_ROW = BOTH | {
    "reporter": "source",
    "bytes_received": 283,
    "bytes_sent": 358,
    "upstream_remote_port": 15008,
    "upstream_local_identity": CLIENT,
    "upstream_peer_identity": SERVER,
}
INBOUND_ROW = BOTH | {
    "reporter": "destination",
    "bytes_received": 358,
    "bytes_sent": 283,
    "downstream_local_ip_hi": 0,
    "downstream_local_ip_lo": MAPPED + 0x0A81002B,
    "downstream_local_port": 15008,
    "upstream_remote_port": 9080,
    "downstream_peer_identity": CLIENT,
    "downstream_local_identity": SERVER,
}


def text(message="connection complete", level="info", tab="\t", **changed: object) -> bytes:
    """A line as ztunnel writes it; ``changed`` keys have ``_`` for their dot."""
    parts = PARTS | {key.replace("_", ".", 1): value for key, value in changed.items()}
    parts = {key.replace("bytes.", "bytes_"): value for key, value in parts.items()}
    said = " ".join(
        f"{key}={value}" if key in UNQUOTED else f'{key}="{value}"'
        for key, value in parts.items()
        if value is not None
    )
    return tab.join((TIME, level, "access", message, said)).encode()


def as_json(**changed: object) -> dict[str, object]:
    head = {"level": "info", "time": TIME, "scope": "access", "message": "connection complete"}
    return head | PARTS | changed


def row(line: bytes | dict[str, object], source: int = 0) -> dict[str, object]:
    (only,) = decode(Ztunnel(), line, source=source).frames["requests"].to_dicts()
    return told(only)


def test_outbound():
    """The client's node: octets sent came from the client; the start is the end less 2 ms."""
    assert row(text()) == OUTBOUND_ROW


def test_inbound():
    """The server's node: octets received came from the client, who shows a certificate."""
    assert row(text(direction="inbound")) == INBOUND_ROW


@pytest.mark.parametrize(
    "line",
    [
        as_json(),
        as_json(duration="2ms", bytes_sent="283"),
        text(tab=" "),
        b"2025-01-23T05:07:25.9Z stdout F " + text(),
        b"2025-01-23T05:07:25.9Z " + text(tab=" "),
        text().replace(b"\taccess\t", b"\taccess:\t").replace(b"\tinfo\t", b"\tINFO\t"),
        b"2025-01-23T05:07:25.9Z stderr F " + json.dumps(as_json()).encode(),
        {**as_json(), "timestamp": TIME, "time": None, "target": "access", "scope": None},
    ],
    ids=["json", "text_numbers", "spaces", "cri", "kubectl", "old", "json_cri", "json_old"],
)
def test_one_meaning_however_written(line):
    """Forms, stamps and versions differ; the row does not."""
    assert row(line) == OUTBOUND_ROW


def test_keys_in_another_order():
    """A key that a newer ztunnel writes elsewhere, and one that is not known, cost no other."""
    line = text(direction=None).replace(
        b"src.addr=", b'direction="outbound" new.key="x y" src.addr='
    )
    assert row(line) == OUTBOUND_ROW


def test_absent_keys_are_null():
    """Without mTLS there is no identity; a plain connection has no tunnel."""
    plain = dict.fromkeys(("src_identity", "dst_identity", "dst_hbone_addr", "src_cluster"))
    inbound = row(text(direction="inbound", dst_addr="10.129.0.43:9080", **plain))
    gone = ("authority", "downstream_peer_identity", "downstream_local_identity")
    gone += ("reported_src_cluster", "upstream_remote_ip_hi", "upstream_remote_ip_lo")
    gone += ("upstream_remote_port",)
    expected = {name: value for name, value in INBOUND_ROW.items() if name not in gone}
    assert inbound == expected | {"downstream_local_port": 9080}


def test_remote_target_names_service_and_port():
    """Through another network's gateway the tunnel's target is a host and port, no address."""
    line = text(
        dst_hbone_addr="details.bookinfo.svc.cluster.local:9080", dst_addr="[fd00::7]:15008"
    )
    assert row(line) == OUTBOUND_ROW | {
        "authority": "details.bookinfo.svc.cluster.local:9080",
        "service_port": 9080,
        "upstream_remote_ip_hi": 0xFD00_0000_0000_0000,
        "upstream_remote_ip_lo": 7,
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            "connection closed due to policy rejection: explicitly denied by: istio-system/strict",
            {"authz": "denied", "policy": "istio-system/strict", "response_flags": [POLICY]},
        ),
        (
            "connection closed due to policy rejection: allow policies exist, but none allowed",
            {"authz": "denied", "response_flags": [POLICY]},
        ),
        (
            "connection closed due to policy change",
            {"authz": "denied", "response_flags": [POLICY]},
        ),
        (
            "io error: Connection refused (os error 111)",
            {"response_flags": ["ConnectionFailure"]},
        ),
        ("connection failed: deadline has elapsed", {"response_flags": ["ConnectionFailure"]}),
        ("tls error: certificate has expired", {"response_flags": ["TlsFailure"]}),
        ("http2 handshake failed: frame", {"response_flags": ["Http2HandshakeFailure"]}),
        ("identity error: no certificate", {"response_flags": ["IdentityError"]}),
        ("send: client disconnected before all data was written", {}),
    ],
)
def test_errors(error, expected):
    """What ztunnel says stands as it is, with its flag; a rejection is a denial, by name if it has one."""
    found = row(text(level="error", direction="inbound", error=error))
    assert found == INBOUND_ROW | {"termination_details": error} | expected
    assert {*expected.get("response_flags", [])} <= {flag.short for flag in FLAGS}


def test_error_of_the_way_out():
    """At the client's node an error that no policy made is the upstream's failure."""
    error = "connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: elapsed"
    found = row(text(level="error", error=error))
    assert found == OUTBOUND_ROW | {
        "termination_details": error,
        "upstream_failure": error,
        "response_flags": ["NetworkPolicyError"],
    }


def test_error_may_hold_anything():
    """Quotes and keys in the text of an error are text."""
    line = text(error=r"said \"no\" src.addr=1.1.1.1:1 duration=\"9ms\" C:\\x")
    assert row(line)["termination_details"] == 'said "no" src.addr=1.1.1.1:1 duration="9ms" C:\\x'
    assert row(line)["duration_ms"] == 2.0


def test_early_deny_and_opened():
    """A connection that failed is over, at the time of the line; one that opened is not."""
    failed = TIME.encode() + (
        b"\twarn\taccess\tconnection failed\tsrc.addr=10.244.1.104:35211 dst.addr=10.96.0.1:443"
        b' direction="outbound" error="unknown source"'
    )
    assert row(failed) == {
        "start_ns": START_NS + 2_000_000,
        "reporter": "source",
        "proxy_model": "host",
        "mesh": "istio",
        "log_type": "end",
        "protocol": "TCP",
        "termination_details": "unknown source",
        "upstream_failure": "unknown source",
        "downstream_remote_ip_hi": 0,
        "downstream_remote_ip_lo": MAPPED + 0x0AF40168,
        "downstream_remote_port": 35211,
        "upstream_remote_ip_hi": 0,
        "upstream_remote_ip_lo": MAPPED + 0x0A600001,
        "upstream_remote_port": 443,
    }
    assert row(text("connection opened", "debug", duration=None))["log_type"] == "start"


def test_declared_goes_before():
    """What the agent's configuration declares of its proxies is believed."""
    found = row(text(), source=2)
    assert (found["mesh"], found["proxy_model"]) == ("mine", "gateway")


def test_other_scopes_are_ignored():
    """The rest of ztunnel's log shares the stream: it is no traffic, and no reject."""
    decoded = decode(
        Ztunnel(),
        b"2026-08-24T01:53:53Z\tdebug\tstate:proxy{wl=a.b}:outbound{id=1}\twait for workload\twl=x",
        b"2026-08-24T01:53:53Z\tinfo\txds::client:xds{id=1}\tresponse",
        b"2026-08-24T01:53:53Z\tinfo\taccess\tsomething new",
        {"level": "info", "time": TIME, "scope": "xds", "message": "received response"},
        text(),
    )
    assert decoded.counts["ignored_records"].to_list() == [4]
    assert decoded.counts["decoded_records"].to_list() == [1]


def test_rejects():
    """Each reason, with what it is about."""
    lines: list[bytes | dict[str, object]] = [
        b"no such log",
        {"a": 1},
        text().removeprefix(TIME.encode() + b"\t"),
        text().replace(b"2025-01-23", b"2025-13-23"),
        text(direction="sideways"),
        b"",
        b"\xff",
        b"{",
        b"x" * 262_145,
        b"a\nb",
    ]
    assert reasons(decode(Ztunnel(), *lines)) == [
        (0, "format_mismatch", "no line of ztunnel's log"),
        (1, "format_mismatch", "no line of ztunnel's log"),
        (2, "required_missing", "time"),
        (3, "field_invalid", "time"),
        (4, "required_missing", "direction"),
        (5, "payload_empty", "no text"),
        (6, "json_malformed", "not UTF-8"),
        (7, "json_malformed", "not one JSON value"),
        (8, "line_too_long", "more than 262144 bytes"),
        (9, "json_malformed", "more than one line"),
    ]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.binary(max_size=80)
        | st.text(max_size=40).map(lambda error: text(error=error))
        | st.tuples(st.integers(0, 400), st.binary(max_size=6)).map(
            lambda cut: text()[: cut[0]] + cut[1] + text()[cut[0] :]
        )
        | st.dictionaries(st.sampled_from(sorted(PARTS)), st.none() | st.text(max_size=9)).map(
            lambda parts: json.dumps(as_json(**parts)).encode()
        ),
        max_size=6,
    )
)
def test_any_lines_are_rows_ignored_or_rejected(lines):
    """Nothing a line can hold raises, or costs another line its row."""
    decoded = decode(Ztunnel(), *lines, text())
    assert told(decoded.frames["requests"].to_dicts()[-1]) == OUTBOUND_ROW


PIECES = st.text(st.sampled_from('ab=" \\\t.:1'), max_size=8) | st.sampled_from(
    ["error=", "src.addr=1.1.1.1:1"]
)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(PARTS)), PIECES, max_size=3), min_size=1, max_size=5
    )
)
def test_the_quick_way_is_the_careful_one(changes):
    """Fields cut at spaces, where that is enough, are those that are looked for one by one."""
    lines = [
        (
            f"{TIME}\tinfo\taccess\tconnection complete\t"
            + " ".join(f"{key}={value}" for key, value in (PARTS | changed).items())
        ).encode()
        for changed in changes
    ]
    quick = decode(Ztunnel(), *lines)
    values = ztunnel._values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ztunnel, "_values", lambda parts: (values(parts)[0], values(parts)[1] | True))
        careful = decode(Ztunnel(), *lines)
    assert quick.frames["requests"].to_dicts() == careful.frames["requests"].to_dicts()
    assert reasons(quick) == reasons(careful)
