"""OpenTelemetry logs of Envoy: recorded in three shapes, and every reason for a reject."""

import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from protobuf_mutations import damaged
from test_als_decode import CASES, NOTHING, PLACE, recorded

from pipeline.decode import Declared, Decoded, Payloads, Source
from pipeline.decode.otlp import Otlp

chances = st.integers(0, (1 << 32) - 1).map(random.Random)
START_NS = 1_764_000_000_123_456_789


def decode(held: list[bytes], declared: Declared = NOTHING) -> Decoded:
    return Otlp().decode(
        Payloads(
            sources=[Source(PLACE, "agent", "east", "n", "10.0.0.1", declared)],
            source=np.zeros(len(held), np.int32),
            received_ns=np.full(len(held), 1_764_000_090 * 10**9, np.int64),
            payload=pa.array(held, pa.binary()),
        )
    )


def request(*records: logs_pb2.LogRecord) -> bytes:
    whole = logs_service_pb2.ExportLogsServiceRequest()
    logs = whole.resource_logs.add()
    # Its scope had another name when these messages were generated; the number is the same.
    logs.instrumentation_library_logs.add().logs.extend(records)
    return whole.SerializeToString()


def record(**attributes: str | int) -> logs_pb2.LogRecord:
    one = logs_pb2.LogRecord(time_unix_nano=START_NS)
    for key, value in attributes.items():
        pair = one.attributes.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value
    return one


def counts(decoded: Decoded) -> tuple[int, ...]:
    names = ("received", "decoded", "partial", "rejected")
    payloads = [int(decoded.counts[f"{name}_payloads"].sum()) for name in names]
    return (*payloads, int(decoded.counts["decoded_records"].sum()))


def test_recorded_in_three_shapes():
    """Keys in the body, keys in attributes, and a line of text say the same of each call."""
    decoded = decode(recorded(CASES / "envoy_otlp" / "requests.bin"))
    rows = decoded.frames["requests"]
    columns = ("method", "path", "status", "response_flags", "bytes_received", "bytes_sent")
    expected = [
        ("GET", "/ok", 200, [], 0, 5),
        ("POST", "/ok/post", 200, ["DC"], 300, 0),
        ("GET", "/missing", 404, [], 0, 4),
        ("GET", "/secret", 403, [], 0, 19),
        ("GET", "/dead", 503, ["URX", "UF"], 0, 121),
    ]
    assert rows.select(columns).rows() == expected * 3
    assert rows["upstream_remote_port"].to_list() == [18099, 18099, 18099, None, 18098] * 3
    assert rows["policy"].to_list() == [None, None, None, "no-secrets", None] * 3
    assert set(rows["proxy_model"]) == {"sidecar"}
    assert [one.format for one in decoded.vantages] == ["envoy_otlp"]
    assert counts(decoded) == (3, 3, 0, 0, 15)


def test_the_time_of_a_record_is_its_start():
    """Unless a key says it, and that to the millisecond only."""
    rows = decode(recorded(CASES / "envoy_otlp" / "requests.bin")).frames["requests"]
    assert rows["start_ns"].gather([0, 5, 10]).to_list() == [
        1_795_721_041_009_487_000,
        1_795_721_041_009_000_000,
        1_795_721_041_009_000_000,
    ]


def test_numbers_may_be_numbers():
    """A status or a duration is read, as text or as a number."""
    decoded = decode([request(record(response_code=404, duration="12", bytes_sent=7))])
    row = decoded.frames["requests"].row(0, named=True)
    assert (row["status"], row["duration_ms"], row["bytes_sent"]) == (404, 12.0, 7)
    assert row["start_ns"] == START_NS


def test_trace_id_of_the_record():
    """Sixteen bytes, in hexadecimal; all zero is none; a key counts before it."""
    records = [record(method="GET"), record(method="GET"), record(method="GET", trace_id="ab")]
    records[0].trace_id = bytes(range(16))
    records[1].trace_id = bytes(16)
    records[2].trace_id = bytes(range(16))
    rows = decode([request(*records)]).frames["requests"]
    assert rows["trace_id"].to_list() == ["000102030405060708090a0b0c0d0e0f", None, "ab"]


def test_a_key_without_a_value_hides_nothing():
    """Envoy writes "-" for an operator without a value: the record's own trace id and time count."""
    records = [record(method="GET", trace_id=text, start_time=text) for text in ("-", "", "-")]
    records[2].trace_id = bytes(range(16))
    rows = decode([request(*records)]).frames["requests"]
    assert rows["trace_id"].to_list() == [None, None, "000102030405060708090a0b0c0d0e0f"]
    assert rows["start_ns"].to_list() == [START_NS] * 3


def test_a_line_in_the_declared_format():
    """A body that is text is read by the format the agent declares."""
    one = logs_pb2.LogRecord(time_unix_nano=START_NS)
    one.body.string_value = "2026-11-24T03:02:52.011Z|GET|201"
    declared = Declared("%START_TIME%|%REQ(:METHOD)%|%RESPONSE_CODE%")
    rows = decode([request(one)], declared).frames["requests"]
    assert rows.select("start_ns", "method", "status").rows() == [
        (1_795_489_372_011_000_000, "GET", 201)
    ]


def test_records_of_no_use_are_refused_and_the_others_kept():
    """Nothing known, no time, a bad status: each a reject with its reason and its bytes."""
    nothing = logs_pb2.LogRecord(time_unix_nano=START_NS)
    unknown = record(color="red")
    text = logs_pb2.LogRecord(time_unix_nano=START_NS)
    text.body.string_value = "started"
    timeless = record(method="GET")
    timeless.time_unix_nano = 0
    status = record(response_code="many")
    held = [nothing, unknown, text, timeless, status]
    decoded = decode([request(*held, record(method="PUT"))])
    assert decoded.frames["requests"]["method"].to_list() == ["PUT"]
    assert decoded.rejects.select("reason", "detail", "raw").rows() == [
        ("format_mismatch", "no text, and no key that is known", nothing.SerializeToString()),
        ("format_mismatch", "no text, and no key that is known", unknown.SerializeToString()),
        ("format_mismatch", "of no format that is known; declare it", text.SerializeToString()),
        ("required_missing", "start_time", timeless.SerializeToString()),
        ("field_invalid", "response_code", status.SerializeToString()),
    ]
    assert counts(decoded) == (1, 0, 1, 0, 1)


def test_bytes_that_are_no_protobuf():
    """A request that cannot be read is refused whole, and takes nothing with it."""
    good = request(record(method="GET"))
    decoded = decode([good[:-1], b"\xff", good, b""])
    assert decoded.rejects.select("payload", "reason").rows() == [
        (0, "protobuf_malformed"),
        (1, "protobuf_malformed"),
    ]
    assert counts(decoded) == (4, 2, 0, 2, 1)


@given(chances, st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_bytes_decode_or_are_refused(chance, held):
    """Damage and nonsense raise nothing, and are each counted once."""
    whole = recorded(CASES / "envoy_otlp" / "requests.bin")
    every = [*held, *(damaged(one, chance) for one in whole)]
    received, *outcomes, _ = counts(decode(every))
    assert received == len(every) == sum(outcomes)
