"""Connections as the kernel counts them, to flows: two directions, what is unknown, what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netflow_wire import rows
from scraped import EPOCH_S, decode

from pipeline import schema
from pipeline.decode import Decoded

START_NS = EPOCH_S * 10**9
SAMPLE = {
    "local": "10.0.0.7:40000",
    "remote": "10.1.0.9:443",
    "start_ns": START_NS - 10 * 10**9,
    "end_ns": START_NS,
    "bytes_sent": 5_200,
    "bytes_received": 700,
    "bytes_retransmitted": 1_400,
    "segments_sent": 9,
    "segments_received": 6,
    "segments_retransmitted": 1,
    "rtt_us": 1_810,
    "min_rtt_us": 1_500,
}
NAMES = (
    *("src", "src_port", "dst", "dst_port", "bytes", "packets", "retransmitted_bytes"),
    *("retransmitted_packets", "rtt_us", "min_rtt_us", "end_reason", "biflow_direction"),
)


def decoded(*samples: dict[str, Any]) -> Decoded:
    given_as = [json.dumps(one).encode() for one in samples]
    return decode("sockets", *(("own", at, one) for at, one in enumerate(given_as)))


def test_a_connection_is_two_flows():
    """What was sent, and how much of it again; what came back, of which nobody here knows that."""
    told = decoded(SAMPLE)
    assert told.rejects.height == 0
    assert told.counts["decoded_records"].sum() == 1
    assert told.frames["flows"].schema == schema.DECODED_FLOWS
    assert [one.format for one in told.vantages] == ["inet_diag"]
    here, there = ("10.0.0.7", 40_000), ("10.1.0.9", 443)
    assert rows(told, *NAMES) == [
        (*here, *there, 5_200, 9, 1_400, 1, 1_810, 1_500, 2, 0),
        (*there, *here, 700, 6, None, None, 1_810, 1_500, 2, 128),
    ]
    common = ("protocol", "start_ns", "end_ns", "sampling_factor", "sampling_source")
    assert rows(told, *common) == [(6, START_NS - 10 * 10**9, START_NS, 1.0, 0)] * 2
    assert rows(told, "dropped_packets", "dropped_bytes") == [(None, None)] * 2


def test_a_connection_that_ended_and_was_never_answered():
    """Nothing came: one flow. No round trip was measured: null. Its end is its reason."""
    silent = {
        **SAMPLE,
        **dict.fromkeys(("bytes_sent", "bytes_received", "bytes_retransmitted"), 0),
        "segments_sent": 4,
        "segments_received": 0,
        "segments_retransmitted": 3,
        "closed": True,
    }
    del silent["rtt_us"], silent["min_rtt_us"]
    assert rows(decoded(silent), *NAMES) == [
        ("10.0.0.7", 40_000, "10.1.0.9", 443, 0, 4, 0, 3, None, None, 3, 0)
    ]


def test_ends_of_ipv6():
    """Brackets around the address; a port of 0 was not told."""
    told = decoded({**SAMPLE, "local": "[2001:db8::7]:0", "remote": "[2001:db8::9]:443"})
    assert rows(told, "src", "src_port", "dst", "dst_port")[0] == (
        *("2001:db8::7", None, "2001:db8::9", 443),
    )


@pytest.mark.parametrize("name", [name for name in SAMPLE if "rtt" not in name])
def test_a_connection_without_a_value_is_refused(name):
    """Each field but the times of a round trip is always there."""
    told = decoded(SAMPLE, {key: value for key, value in SAMPLE.items() if key != name})
    assert told.rejects.select("reason", "detail").rows() == [("required_missing", name)]
    assert told.frames["flows"].height == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"local": "somewhere"},
        {"remote": "pipe"},
        {"bytes_sent": -1},
        {"bytes_received": 2**64},
        {"segments_sent": "many"},
        {"start_ns": 1.5},
        {"rtt_us": 2**32},
        {"min_rtt_us": []},
    ],
    ids=str,
)
def test_a_value_no_connection_has_is_refused(wrong):
    """Bad input is data: a reject that names the kind of value, and the others are flows."""
    told = decoded({**SAMPLE, **wrong}, SAMPLE)
    assert told.rejects["reason"].to_list() == ["field_invalid"]
    assert told.frames["flows"].height == 2


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([1])


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=80) | st.dictionaries(st.sampled_from([*SAMPLE]), values)))
def test_any_payload_decodes_or_is_refused(payloads):
    """Each has one outcome; nothing raises."""
    given_as = [
        one if isinstance(one, bytes) else json.dumps({**SAMPLE, **one}).encode()
        for one in payloads
    ]
    told = decode("sockets", *(("own", at, one) for at, one in enumerate(given_as)))
    assert told.frames["flows"].schema == schema.DECODED_FLOWS
    kept = told.counts["decoded_records"].sum()
    assert kept + told.rejects.height == len(payloads)
    assert kept <= told.frames["flows"].height <= 2 * kept
