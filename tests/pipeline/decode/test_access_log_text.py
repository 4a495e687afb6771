"""Text access logs: literal rows of each mesh's default, declared formats, and other logs beside."""

import functools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.log import Place
from pipeline import schema
from pipeline.decode import Declared, Decoded, Payloads, Source
from pipeline.decode.access_log import AccessLog
from pipeline.decode.access_log.container_log import MAX_REMEMBERED

PLACE = Place("crosspane.v1.proxy.east", 0)
MAPPED = 0xFFFF_0000_0000
START_NS = 1_767_323_045_678_000_000
BARE = {
    "vantage": 0,
    "received_ns": 0,
    "start_ns": START_NS,
    "reporter": "unknown",
    "response_flags": [],
}


def payloads(lines: list[bytes], *formats: str, source: list[int] | None = None) -> Payloads:
    sources = [
        Source(PLACE, "a", "east", "e", f"proxy-{n}", Declared(text))
        for n, text in enumerate(formats or ("",))
    ]
    return Payloads(
        sources,
        np.array(source or [0] * len(lines), np.int32),
        np.zeros(len(lines), np.int64),
        pa.array(lines, pa.binary()),
    )


def decode(*lines: str, declared: str = "") -> Decoded:
    decoded = AccessLog().decode(payloads([line.encode() for line in lines], declared))
    assert decoded.frames["requests"].schema == schema.DECODED_REQUESTS
    ignored = decoded.counts["ignored_records"].sum()
    rows = len(decoded.frames["requests"])
    assert decoded.counts["decoded_payloads"].sum() == rows + ignored
    assert len(lines) == rows + ignored + len(decoded.rejects)
    return decoded


def row(line: str, declared: str = "") -> dict[str, object]:
    """The one row of a line, without its nulls."""
    decoded = decode(line, declared=declared)
    assert decoded.rejects.rows() == []
    (only,) = decoded.frames["requests"].to_dicts()
    return {name: value for name, value in only.items() if value is not None}


def reasons(*lines: str, declared: str = "") -> list[tuple[int, str, str]]:
    return decode(*lines, declared=declared).rejects.select("payload", "reason", "detail").rows()


CLIENT = (
    '[2026-01-02T03:04:05.678Z] "POST /ratings/0?token=secret HTTP/2" 503 URX,UF upstream_reset'
    ' - "CERTIFICATE_VERIFY_FAILED" 17 358 15 14 "10.1.1.1" "curl (a; b)" "9fcc" "ratings:9080"'
    ' "[2001:db8::9]:15443" outbound|9080|v1|ratings.shop.svc.cluster.local 10.0.0.5:50000'
    " 10.96.0.7:9080 10.0.0.5:43612 - default"
)
CLIENT_ROW = BARE | {
    "reporter": "source",
    "mesh": "istio",
    "is_health_check": False,
    "protocol": "HTTP/2",
    "method": "POST",
    "authority": "ratings:9080",
    "path": "/ratings/0",
    "route": "default",
    "status": 503,
    "response_flags": ["URX", "UF"],
    "response_code_details": "upstream_reset",
    "upstream_failure": "CERTIFICATE_VERIFY_FAILED",
    "request_id": "9fcc",
    "duration_ms": 15.0,
    "upstream_ms": 14.0,
    "bytes_received": 17,
    "bytes_sent": 358,
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
}


def test_istio():
    """Istio's default text, every field by hand; the query string is gone."""
    assert row(CLIENT) == CLIENT_ROW


@pytest.mark.parametrize(
    "stamp",
    ["2026-01-02T03:04:06.1Z ", "2026-01-02T03:04:06.1Z stdout F ", "2026-01-02T03:04:06+01:00 "],
)
def test_stamps_are_left_out(stamp):
    """Whatever a container runtime, or kubectl, writes in front."""
    assert row(stamp + CLIENT + "\r\n") == CLIENT_ROW


def test_older_istio():
    """Before 1.9 two fields were not there, before 1.8 a policy status was, before 1.3 no route."""
    gone = {"response_code_details"}
    expected = {name: value for name, value in CLIENT_ROW.items() if name not in gone}
    line = CLIENT.replace("upstream_reset - ", "")
    assert row(line) == expected
    line = line.replace("URX,UF ", 'URX,UF "-" ')
    assert row(line) == expected
    del expected["route"]
    assert row(line.removesuffix(" default")) == expected


def test_a_tcp_connection():
    """An east-west gateway has no request to tell of; Istio's form of nothing is null."""
    line = (
        '[2026-01-02T03:04:05.678Z] "- - -" 0 - - - "-" 906 1244 12 - "-" "-" "-" "-"'
        ' "10.0.0.9:8080" outbound_.8080_._.reviews.shop.svc 10.0.0.2:40000 10.0.0.2:15443'
        " 192.168.0.1:61000 outbound_.8080_._.reviews.shop.svc -"
    )
    assert {k: v for k, v in row(line).items() if "_ip_" not in k and "_port" not in k} == BARE | {
        "reporter": "gateway",
        "mesh": "istio",
        "protocol": "TCP",
        "duration_ms": 12.0,
        "bytes_received": 906,
        "bytes_sent": 1244,
        "sni": "outbound_.8080_._.reviews.shop.svc",
        "upstream_cluster": "outbound_.8080_._.reviews.shop.svc",
        "service": "reviews.shop.svc",
    }


def test_kuma():
    """Kuma's two defaults: services by their tags, the client by the address it is given."""
    http = (
        '[2026-01-02T03:04:05.678Z] default "GET /x HTTP/1.1" 200 - 0 5 3 2 "-" "curl" "-" "id"'
        ' "web" "client_shop_svc" "web_shop_svc_80" "10.0.0.5" "10.0.0.9:80"'
    )
    expected = BARE | {
        "mesh": "kuma",
        "service": "web.shop",
        "service_port": 80,
        "reported_src_workload": "client_shop_svc",
        "downstream_remote_ip_hi": 0,
        "downstream_remote_ip_lo": MAPPED + 0x0A000005,
        "upstream_remote_ip_hi": 0,
        "upstream_remote_ip_lo": MAPPED + 0x0A000009,
        "upstream_remote_port": 80,
    }
    assert row(http) == expected | {
        "protocol": "HTTP/1.1",
        "method": "GET",
        "authority": "web",
        "path": "/x",
        "status": 200,
        "request_id": "id",
        "duration_ms": 3.0,
        "upstream_ms": 2.0,
        "bytes_received": 0,
        "bytes_sent": 5,
        "is_health_check": False,
    }
    tcp = (
        "[2026-01-02T03:04:05.678Z] UF default 10.0.0.5(client_shop_svc)->10.0.0.9:80"
        "(web_shop_svc_80) took 7ms, sent 11 bytes, received: 13 bytes"
    )
    assert row(tcp) == expected | {
        "response_flags": ["UF"],
        "duration_ms": 7.0,
        "bytes_sent": 11,
        "bytes_received": 13,
    }


def test_quotes_in_values():
    """Envoy escapes nothing: one way to read a line is enough, several are too many."""
    agent = 'curl "quoted" (a; b)'
    assert row(CLIENT.replace("curl (a; b)", agent)) == CLIENT_ROW
    forged = CLIENT.replace("curl (a; b)", 'x" "forged" "x')
    assert reasons(forged) == [(0, "format_mismatch", "can be read in several ways")]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (" 503 ", " 5x3 ", ("field_invalid", "response_code")),
        ("2026-01-02T03:04", "2026-13-02T03:04", ("field_invalid", "start_time")),
        (" - default", "", ("format_mismatch", "of no format that is known; declare it")),
        ("[2026", "2026", ("format_mismatch", "of no format that is known; declare it")),
    ],
)
def test_bad_lines_are_rejected_alone(old, new, reason):
    """Those around are rows."""
    decoded = decode(CLIENT, CLIENT.replace(old, new), CLIENT)
    assert decoded.rejects.select("payload", "reason", "detail").rows() == [(1, *reason)]
    assert len(decoded.frames["requests"]) == 2


def test_numbers_that_are_none_are_null():
    """A wrong value in a field nobody needs costs the field, not the line."""
    found = row(CLIENT.replace(" 17 358 15 14 ", " x -1 NaN - "))
    left = {"bytes_received", "bytes_sent", "duration_ms", "upstream_ms"}
    assert found == {name: value for name, value in CLIENT_ROW.items() if name not in left}


TEXT = "%REQ(:METHOD)% at %START_TIME(%s.%3f)% -> %RESPONSE_CODE% %GRPC_STATUS% %ACCESS_LOG_TYPE%"
NESTED = json.dumps(
    {
        "when": "%START_TIME%",
        "http": {"line": "%REQ(:METHOD)% %REQ(:PATH)%", "code": "%RESPONSE_CODE%"},
        "peer": "%DOWNSTREAM_PEER_URI_SAN%",
        "ms": "%DURATION%",
    }
)


def test_a_declared_text_format():
    """A line says what its format says, and nothing is made up for what it does not."""
    line = "GET at 1767323045.678 -> 200 PermissionDenied DownstreamPeriodic"
    expected = BARE | {"method": "GET", "status": 200, "grpc_status": 7, "log_type": "periodic"}
    assert row(line, TEXT) == expected
    assert row("2026-01-02T03:04:06.1Z stdout F " + line, TEXT + "\n") == expected
    assert reasons(CLIENT, "", declared=TEXT) == [
        (0, "format_mismatch", "not of the format that is declared"),
        (1, "payload_empty", "no text"),
    ]


def test_a_declared_json_format():
    """Keys at any depth; of a certificate's several URIs the SPIFFE ID."""
    line = {
        "when": "2026-01-02T03:04:05.678Z",
        "http": {"line": "GET /a?b", "code": 204},
        "peer": "kuma://kuma.io/zone/east,spiffe://default/web",
        "ms": 1.5,
        "other": [1],
    }
    expected = BARE | {
        "method": "GET",
        "path": "/a",
        "status": 204,
        "downstream_peer_identity": "spiffe://default/web",
        "duration_ms": 1.5,
    }
    assert row(json.dumps(line), NESTED) == expected
    del expected["method"], expected["path"], expected["status"]
    assert row(json.dumps(line | {"http": None}), NESTED) == expected
    assert row(json.dumps(line | {"http": {"line": "GET"}}), NESTED) == expected
    assert reasons("{}", "[]", '{"when": 1}', "{", declared=NESTED) == [
        (0, "required_missing", "start_time"),
        (1, "json_not_object", "a JSON value, but no object"),
        (2, "field_invalid", "start_time"),
        (3, "json_malformed", "not one JSON value"),
    ]


def test_a_declared_format_of_no_use():
    """Every line of it is a reject that says so, never an exception."""
    assert reasons(CLIENT, declared="%PROTOCOL%") == [
        (0, "format_unusable", "the format that is declared cannot be used")
    ]


def test_sources_with_formats_of_their_own():
    """Rows stay in the order of the lines, and each is its own vantage's."""
    text = b"GET at 1767323045.678 -> 200 OK DownstreamEnd"
    lines = [text, CLIENT.encode(), b'{"start_time":"2026-01-02T03:04:05.678Z"}', text]
    decoded = AccessLog().decode(payloads(lines, "", TEXT, source=[1, 0, 0, 1]))
    assert [(v.source.exporter, v.format) for v in decoded.vantages] == [
        ("proxy-0", "envoy_text"),
        ("proxy-0", "envoy_json"),
        ("proxy-1", "envoy_text"),
    ]
    rows = decoded.frames["requests"].select("vantage", "method", "grpc_status").rows()
    assert rows == [(2, "GET", 0), (0, "POST", None), (1, None, None), (2, "GET", 0)]


AGENT = "2020-06-29T23:37:27.287895Z\tinfo\tEffective config: binaryPath: /usr/local/bin/envoy"
OTHERS = [
    AGENT,
    "2026-01-02T03:04:06.1Z stdout F " + AGENT,
    '{"level":"info","time":"2023-05-10T17:43:55.356626Z","msg":"FLAG: --x"}',
    "[2023-05-10 17:43:55.356][12][info][main] [source/server/server.cc:404] initializing",
    "[Envoy (Epoch 0)] [2020-06-29 23:37:27.335][21][warning][config] gRPC config stream closed",
]


@pytest.mark.parametrize("line", OTHERS)
def test_other_logs_of_the_container_are_ignored(line):
    """An entry, and the lines it goes on over, until one of the access log."""
    decoded = decode(CLIENT, line, "  drainDuration: 45s", "", CLIENT, "nonsense")
    assert len(decoded.frames["requests"]) == 2
    assert decoded.counts["ignored_records"].sum() == 3
    assert decoded.rejects["payload"].to_list() == [5]


def test_an_entry_goes_on_in_the_next_batch():
    """How lines are divided into batches does not show; who is within an entry is kept."""
    log = AccessLog()
    assert log.snapshot(PLACE) == b""
    log.decode(payloads([AGENT.encode()]))
    state = log.snapshot(PLACE)
    other = AccessLog()
    other.restore(PLACE, state)
    for decoder in (log, other):
        assert decoder.decode(payloads([b"  more"])).rejects.is_empty()
        assert decoder.decode(payloads([CLIENT.encode()])).rejects.is_empty()
        assert decoder.snapshot(PLACE) == b""
        assert len(decoder.decode(payloads([b"  more"])).rejects) == 1
    other.restore(PLACE, state)
    other.restore(PLACE, b"")
    assert len(other.decode(payloads([b"  more"])).rejects) == 1


def test_what_is_remembered_is_bounded():
    """More sources than that are not remembered; their entries are rejects, not memory."""
    count = MAX_REMEMBERED + 1
    log = AccessLog()
    formats = [""] * count
    log.decode(payloads([AGENT.encode()] * count, *formats, source=list(range(count))))
    after = log.decode(payloads([b"  more"] * count, *formats, source=list(range(count))))
    assert len(after.rejects) == 1


@pytest.mark.parametrize(
    ("path", "rows", "ignored"),
    [
        ("istio-bugreport-logs/input/format_json.log", 0, 12),
        ("istio-bugreport-logs/input/format_txt.log", 0, 14),
        ("istio-bugreport-logs/input/ingress.log", 0, 145),
        ("istio-bugreport-logs/output/multi_line_entries.log", 0, 20),
        ("ztunnel-logs-kiali/tests/data/logs/waypoint.log", 16, 0),
        (
            "elastic-integrations/istio/data_stream/access_logs/_dev/test/pipeline/test-access-logs.log",
            10,
            0,
        ),
    ],
)
def test_samples_of_other_projects(corpus: Path, path, rows, ignored):
    """Every line is a row, or an entry of another log."""
    decoded = decode(*(corpus / path).read_text("utf-8").splitlines())
    assert (len(decoded.frames["requests"]), len(decoded.rejects)) == (rows, 0)
    assert decoded.counts["ignored_records"].sum() == ignored


def test_a_waypoint(corpus: Path):
    """Its upstream is inside Envoy, which is no address; its clusters tell what it is."""
    path = corpus / "ztunnel-logs-kiali/tests/data/logs/waypoint.log"
    found = decode(*path.read_text("utf-8").splitlines()).frames["requests"]
    assert found["reporter"].unique().to_list() == ["waypoint"]
    assert found.select("service", "service_port", "service_subset").row(0) == (
        *("details.bookinfo.svc.cluster.local", 9080, None),
    )
    inside = found.filter(pl.col("service").str.starts_with("details"))
    assert inside["upstream_remote_ip_lo"].null_count() == len(inside) > 0


SPANS = st.tuples(st.integers(0, len(CLIENT)), st.integers(0, 12), st.sampled_from(["", *' "|[-x']))
DAMAGED = st.lists(SPANS, max_size=4).map(
    lambda spans: functools.reduce(
        lambda line, span: line[: span[0]] + span[2] + line[span[0] + span[1] :], spans, CLIENT
    )
)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(["", TEXT, NESTED, "%X%"]), DAMAGED | st.text()), max_size=6)
)
def test_any_line_is_a_row_or_a_reject(lines):
    """Nothing raises, each line is accounted for, and is read alone as among others."""
    formats = [text for text, _ in lines]
    raw = [line.encode() for _, line in lines]
    every = list(range(len(lines)))
    together = AccessLog().decode(payloads(raw, *formats, source=every))
    apart = [
        AccessLog().decode(payloads([line], text)) for line, text in zip(raw, formats, strict=True)
    ]
    rows = [row for one in apart for row in one.frames["requests"].drop("vantage").rows()]
    assert together.frames["requests"].drop("vantage").rows() == rows
    found = [row[:-2] for one in apart for row in one.rejects.drop("vantage", "payload").rows()]
    assert [row[:-2] for row in together.rejects.drop("vantage", "payload").rows()] == found
    assert together.counts["received_payloads"].sum() == len(lines)
    assert len(rows) + len(found) == len(lines)
