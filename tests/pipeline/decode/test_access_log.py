"""Access log lines to rows: literal rows, every reject, and what a bad line may not do."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.log import Place
from pipeline import accounting, rejects, schema
from pipeline.decode import Decoded, Payloads, Source, json_lines
from pipeline.decode.access_log import AccessLog

SOURCES = [
    Source(Place("crosspane.v1.proxy.east", 0), "a", "east", "e", "reviews-1"),
    Source(Place("crosspane.v1.proxy.east", 0), "a", "east", "e", "silent"),
    Source(Place("crosspane.v1.proxy.west", 1), "b", "west", "w", "gateway-1"),
]
MAPPED = 0xFFFF_0000_0000
START = "2026-01-02T03:04:05.678Z"
START_NS = 1_767_323_045_678_000_000
NULLS = dict.fromkeys(schema.DECODED_REQUESTS.names()) | {
    "vantage": 0,
    "received_ns": 0,
    "start_ns": START_NS,
    "reporter": "unknown",
    "protocol": "TCP",
    "response_flags": [],
}


def payloads(lines: list[bytes], source: list[int] | None = None) -> Payloads:
    return Payloads(
        SOURCES,
        np.array(source or [0] * len(lines), np.int32),
        np.arange(len(lines), dtype=np.int64) * 0,
        pa.array(lines, pa.binary()),
    )


def decode(*lines: bytes | dict[str, object]) -> Decoded:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    decoded = AccessLog().decode(payloads(raw))
    requests, counts = decoded.frames["requests"], decoded.counts
    assert requests.schema == schema.DECODED_REQUESTS
    assert decoded.rejects.schema == rejects.FRAME
    assert counts.schema == accounting.FRAME
    assert counts["received_payloads"].sum() == len(lines)
    assert len(lines) == len(requests) + len(decoded.rejects) + counts["ignored_records"].sum()
    assert counts["received_bytes"].sum() == sum(map(len, raw))
    ignored = counts["ignored_records"].sum()
    assert counts["decoded_records"].sum() == len(requests)
    assert counts["decoded_payloads"].sum() == len(requests) + ignored
    assert counts["rejected_payloads"].sum() == len(decoded.rejects)
    return decoded


def row(line: dict[str, object]) -> dict[str, object]:
    """The one row of a line, START added."""
    (only,) = decode({"start_time": START} | line).frames["requests"].to_dicts()
    return only


def reasons(*lines: bytes | dict[str, object]) -> list[tuple[int, str, str]]:
    return decode(*lines).rejects.select("payload", "reason", "detail").rows()


CLIENT = {
    "authority": "ratings.shop:9080",
    "bytes_received": 17,
    "bytes_sent": 358,
    "connection_termination_details": None,
    "downstream_local_address": "10.96.0.7:9080",
    "downstream_remote_address": "10.0.0.5:43612",
    "duration": 15,
    "method": "POST",
    "path": "/ratings/0?token=secret?x",
    "protocol": "HTTP/2",
    "request_id": "9fcc7101",
    "requested_server_name": None,
    "response_code": 503,
    "response_code_details": "upstream_reset",
    "response_flags": "URX,UF",
    "route_name": "default",
    "start_time": START,
    "upstream_cluster": "outbound|9080|v1|ratings.shop.svc.cluster.local",
    "upstream_host": "[2001:db8::9]:15443",
    "upstream_local_address": "10.0.0.5:50000",
    "upstream_service_time": "14",
    "upstream_transport_failure_reason": "CERTIFICATE_VERIFY_FAILED",
    "user_agent": "curl",
    "x_forwarded_for": None,
    "upstream_peer_uri_san": "spiffe://mesh/ns/shop/sa/ratings",
    "downstream_tls_version": "-",
    "upstream_tls_version": "TLSv1.3",
    "upstream_request_attempt_count": 3,
    "traffic_direction": "outbound",
}
CLIENT_ROW = NULLS | {
    "mesh": "istio",
    "is_health_check": False,
    "reporter": "source",
    "protocol": "HTTP/2",
    "method": "POST",
    "authority": "ratings.shop:9080",
    "path": "/ratings/0",
    "status": 503,
    "response_flags": ["URX", "UF"],
    "response_code_details": "upstream_reset",
    "upstream_failure": "CERTIFICATE_VERIFY_FAILED",
    "duration_ms": 15.0,
    "upstream_ms": 14.0,
    "bytes_received": 17,
    "bytes_sent": 358,
    "attempts": 3,
    "request_id": "9fcc7101",
    "route": "default",
    "upstream_cluster": "outbound|9080|v1|ratings.shop.svc.cluster.local",
    "service": "ratings.shop.svc.cluster.local",
    "service_port": 9080,
    "service_subset": "v1",
    "downstream_remote_ip_hi": 0,
    "downstream_remote_ip_lo": MAPPED + 0x0A000005,
    "downstream_remote_port": 43612,
    "downstream_local_ip_hi": 0,
    "downstream_local_ip_lo": MAPPED + 0x0A600007,
    "downstream_local_port": 9080,
    "upstream_local_ip_hi": 0,
    "upstream_local_ip_lo": MAPPED + 0x0A000005,
    "upstream_local_port": 50000,
    "upstream_remote_ip_hi": 0x20010DB800000000,
    "upstream_remote_ip_lo": 9,
    "upstream_remote_port": 15443,
    "upstream_peer_identity": "spiffe://mesh/ns/shop/sa/ratings",
    "upstream_tls": "TLSv1.3",
}


def test_client_line():
    """A sidecar's outbound line, every field by hand; the query string is gone."""
    assert row(CLIENT) == CLIENT_ROW


def test_numbers_may_be_text_and_keys_in_any_order():
    """Only what is told counts, not how it is written."""
    turned = {key: str(v) if isinstance(v, int) else v for key, v in reversed(CLIENT.items())}
    assert row(turned) == CLIENT_ROW


def test_server_line_denied_by_policy():
    """An inbound line: service by SNI, policy with its nested brackets, identities."""
    sni = "outbound_.9080_._.reviews.shop.svc.cluster.local"
    assert row(
        {
            "method": "GET",
            "protocol": "HTTP/1.1",
            "path": "/",
            "response_code": 403,
            "response_code_details": "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]",
            "response_flags": "-",
            "requested_server_name": sni,
            "upstream_cluster": "inbound|9080||",
            "downstream_remote_address": "10.0.0.9:0",
            "downstream_peer_uri_san": "spiffe://mesh/ns/shop/sa/web",
            "downstream_local_uri_san": "spiffe://mesh/ns/shop/sa/reviews",
            "downstream_tls_version": "TLSv1.3",
            "upstream_host": "-",
        }
    ) == NULLS | {
        "mesh": "istio",
        "reporter": "destination",
        "protocol": "HTTP/1.1",
        "method": "GET",
        "path": "/",
        "status": 403,
        "response_code_details": "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]",
        "authz": "denied",
        "policy": "ns[shop]-policy[deny]-rule[0]",
        "sni": sni,
        "upstream_cluster": "inbound|9080||",
        "service": "reviews.shop.svc.cluster.local",
        "service_port": 9080,
        "downstream_remote_ip_hi": 0,
        "downstream_remote_ip_lo": MAPPED + 0x0A000009,
        "downstream_peer_identity": "spiffe://mesh/ns/shop/sa/web",
        "downstream_local_identity": "spiffe://mesh/ns/shop/sa/reviews",
        "downstream_tls": "TLSv1.3",
    }


def test_gateway_line_of_a_container_runtime():
    """An east-west gateway logs a TCP connection: status 0 is none, the stamp is left out."""
    name = "outbound_.9080_._.reviews.shop.svc"
    line = {
        "start_time": START,
        "response_code": 0,
        "response_flags": "NC",
        "upstream_cluster": name,
    }
    raw = b"2026-01-02T03:04:06.1Z stdout F " + json.dumps(line).encode() + b"\r\n"
    assert decode(raw).frames["requests"].to_dicts() == [
        NULLS
        | {
            "mesh": "istio",
            "reporter": "gateway",
            "response_flags": ["NC"],
            "upstream_cluster": name,
            "service": "reviews.shop.svc",
            "service_port": 9080,
        }
    ]


def test_optional_fields_that_cannot_be_are_null():
    """A wrong type in a field nobody needs costs the field, not the line."""
    wrong = {
        "authority": ["x"],
        "method": {"a": 1},
        "duration": -1,
        "upstream_service_time": "NaN",
        "bytes_sent": 1.5,
        "bytes_received": -3,
        "upstream_request_attempt_count": 2**40,
        "response_flags": [1],
        "upstream_host": 5,
        "traffic_direction": False,
    }
    assert row(wrong) == NULLS
    assert row({"authority": "[2001:db8::1]", "request_id": 7})["authority"] == "[2001:db8::1]"
    assert row({"request_id": 7})["request_id"] == "7"
    assert row({"bytes_sent": 2**64 - 1})["bytes_sent"] == 2**64 - 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", 1_767_323_045_000_000_000),
        ("2026-01-02T03:04:05.1Z", 1_767_323_045_100_000_000),
        ("2026-01-02T03:04:05.123456789999Z", 1_767_323_045_123_456_789),
        ("2026-01-02T05:34:05.5+02:30", 1_767_323_045_500_000_000),
        ("2026-01-01T22:04:05-05:00", 1_767_323_045_000_000_000),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
    ],
)
def test_start_times(text, expected):
    """RFC 3339 with any fraction and offset, to UTC nanoseconds."""
    assert row({"start_time": text})["start_ns"] == expected


@pytest.mark.parametrize(
    "value",
    [
        *("2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T24:04:05Z"),
        *("2500-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-01-02T03:04:05+99:00"),
        *("+026-01-02T03:04:05Z", "2026-01-02T03:04:05.Z", "é" * 30, 1_767_323_045, [START], True),
    ],
)
def test_unusable_start_times_are_rejected(value):
    """A line without a time cannot be placed, and is not guessed at."""
    assert reasons({"start_time": value}) == [(0, "field_invalid", "start_time")]


@pytest.mark.parametrize("value", ["x", 1000, -1, 200.5, [200], True, 10**30])
def test_unusable_status_is_rejected(value):
    """A status that is none makes the line untrustworthy."""
    line = {"start_time": START, "response_code": value}
    assert reasons(line) == [(0, "field_invalid", "response_code")]


@pytest.mark.parametrize("value", [None, "", "-"])
def test_missing_start_time_is_rejected(value):
    """Absent, null, empty and "-" are the same."""
    assert reasons({"start_time": value}, b"{}") == [
        (0, "required_missing", "start_time"),
        (1, "required_missing", "start_time"),
    ]


GOOD = json.dumps({"start_time": START, "authority": "good"}).encode()
MALFORMED = [
    *(
        b"{",
        b'{"a":1',
        b'{"a":1} x',
        b'{"a":1}{"a":2}',
        b'{"a":1},{"a":2}',
        b'{"a":01}',
    ),
    *(b'{"a":1e999}', b'{"a":"\\ud800"}', b'{"a":"\x00"}', b'{"a":' + b"9" * 60 + b"}"),
    *(b'{"a":' + b"[" * 100_000 + b"}", b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
]
OF_NO_FORMAT = [
    *(b"nonsense", b"[" * 100_000, b"[2026-01-02T03:04:05.678Z] nonsense"),
    *(b"2026-01-02T03:04:06.1Z stdout P {}", b'\xef\xbb\xbf{"a":1}'),
]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        *((line, ("json_malformed", "not one JSON value")) for line in MALFORMED),
        *(
            (line, ("format_mismatch", "of no format that is known; declare it"))
            for line in OF_NO_FORMAT
        ),
        (b'{"a":"\xff"}', ("json_malformed", "not UTF-8")),
        (b'{"start_time":\n"' + START.encode() + b'"}', ("json_malformed", "more than one line")),
        *(
            (line, ("json_not_object", "a JSON value, but no object"))
            for line in (b"[]", b"1", b"null")
        ),
        *((line, ("payload_empty", "no text")) for line in (b"", b" \r\n")),
        (b'{"a":"' + b"x" * 1_000_000 + b'"}', ("line_too_long", "more than 262144 bytes")),
    ],
)
def test_bad_lines_are_rejected_alone(line, reason):
    """Each bad line is one reject with its reason and bytes; those around it are rows."""
    decoded = decode(GOOD, line, GOOD)
    assert decoded.frames["requests"]["authority"].to_list() == ["good", "good"]
    assert decoded.rejects.drop("vantage").rows() == [(1, *reason, line[:2_048], len(line))]


def test_a_line_cannot_reach_into_others():
    """What would be JSON only together with its neighbours is not; nobody else's line changes."""
    forged = b'{"start_time":"' + START.encode() + b'","authority":"forged"}'
    opened = b'{"start_time":"' + START.encode() + b'","zz":[1'
    decoded = decode(opened, GOOD, b"{}]}," + forged + b"," + forged)
    assert decoded.frames["requests"]["authority"].to_list() == ["good"]
    assert decoded.rejects["payload"].to_list() == [0, 2]


def test_counts_are_by_vantage_and_minute():
    """One row for each source that sent and each minute; a silent source has none."""
    given_ = payloads([GOOD, b"{", GOOD, GOOD], [2, 0, 2, 2])
    given_.received_ns[:] = [59_999_999_999, 0, 60_000_000_000, 0]
    decoded = AccessLog().decode(given_)
    assert [(v.source.exporter, v.format, v.observation_domain) for v in decoded.vantages] == [
        ("reviews-1", "envoy_json", 0),
        ("gateway-1", "envoy_json", 0),
    ]
    names = ("vantage", "minute_ns", "received_payloads", "decoded_payloads", "rejected_payloads")
    assert sorted(decoded.counts.select(names).rows()) == [
        (0, 0, 1, 0, 1),
        (1, 0, 2, 2, 0),
        (1, 60_000_000_000, 1, 1, 0),
    ]
    assert decoded.frames["requests"]["vantage"].to_list() == [1, 1, 1]
    assert decoded.rejects["vantage"].to_list() == [0]


def test_nothing_in_nothing_out():
    """An empty batch has frames of the right columns; nothing is remembered."""
    decode()
    log = AccessLog()
    log.restore(SOURCES[0].place, b"")
    assert log.snapshot(SOURCES[0].place) == b""


def test_istio_lines_of_elastic(corpus: Path):
    """Real lines of an Istio mesh: inbound, inbound from IPv6, and a codec error."""
    folder = corpus / "elastic-integrations/istio/data_stream/access_logs/_dev/test/pipeline"
    decoded = decode(*(folder / "test-access-json-logs.log").read_bytes().splitlines())
    columns = (
        "start_ns",
        "reporter",
        "service",
        "status",
        "response_flags",
        "upstream_ms",
        "downstream_remote_ip_hi",
    )
    assert decoded.frames["requests"].select(columns).rows() == [
        (1662641465656000000, "destination", "reviews.default.svc.cluster.local", 200, [], 14.0, 0),
        (
            1662641465656000000,
            "destination",
            "reviews.default.svc.cluster.local",
            200,
            [],
            14.0,
            0x2A02CF4000000000,
        ),
        (1662024993553000000, "unknown", None, 400, ["DPE"], None, 0),
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["-", START]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(CLIENT, JSON)).map(
    lambda line: json.dumps(line).encode()
)
PIECES = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b",",
            b":",
            b'"zz"',
            b"1",
            b"\\u",
            b"d800",
            b"\n",
            b" ",
            GOOD,
        ]
    ),
    max_size=12,
).map(b"".join)
LINES = st.lists(st.binary(max_size=40) | OBJECTS | PIECES | st.just(GOOD), max_size=8)


@settings(deadline=None, max_examples=40)
@given(LINES)
def test_any_bytes_decode_or_reject(lines):
    """Nothing raises, each line is accounted for, and alone it gives the same as among others."""
    together = decode(*lines)
    apart = [decode(line) for line in lines]
    rows = [row for part in apart for row in part.frames["requests"].drop("vantage").rows()]
    # NaN never leaves the decoder, so rows compare.
    assert together.frames["requests"].drop("vantage").rows() == rows
    assert together.rejects["reason"].to_list() == [
        r for part in apart for r in part.rejects["reason"]
    ]


@settings(deadline=None, max_examples=40)
@given(LINES)
def test_slices_do_not_show(lines):
    """Parsing a few bytes at once gives what parsing all at once gives."""
    whole = decode(*lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "_SLICE_BYTES", 30)
        sliced = decode(*lines)
    assert sliced.frames["requests"].equals(whole.frames["requests"])
    assert sliced.rejects.equals(whole.rejects)


def test_literal_start_is_what_it_says():
    """The literal the rows above hold."""
    assert datetime.fromtimestamp(START_NS // 10**9, UTC).isoformat() == "2026-01-02T03:04:05+00:00"
    assert pl.Series([START_NS]).cast(pl.Datetime("ns")).dt.millisecond()[0] == 678
