"""What must hold for any bytes, any template, and any division of a stream into batches."""

import os
import struct
from collections import Counter
from pathlib import Path

import netflow_reference as reference
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from netflow_wire import (
    PLACE,
    PORTS,
    count,
    counts,
    decode,
    ipfix,
    netflow5,
    netflow9,
    options_template,
    outcomes,
    payloads,
    record,
    record5,
    rows,
    set_of,
    template,
)

from collectors.pcap import open_capture
from pipeline.decode.netflow import Netflow

CORPUS = Path(
    os.environ.get("CROSSPANE_CORPUS", Path(__file__).resolve().parents[4] / "shared" / "data")
)
REAL = (
    "beats-netflow/dat/ipfix.dat",
    "beats-netflow/dat/ipfix_test_yaf_tpls_option_tpl.dat",
    "beats-netflow/dat/netflow5.dat",
    "beats-netflow/dat/netflow9_test_valid01.dat",
    "logstash-codec-netflow/ipfix_test_ixia_tpldata271.dat",
    "akvorado/netflow/testdata/data+templates.pcap",
    "akvorado/netflow/testdata/physicalinterfaces.pcap",
)
some = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))

# --- any bytes ---------------------------------------------------------------

versions = st.sampled_from([b"", b"\x00\x05", b"\x00\x09", b"\x00\x0a"])
datagrams = st.builds(lambda head, rest: head + rest, versions, st.binary(max_size=300))


@some
@given(st.lists(datagrams, max_size=5))
def test_any_bytes_decode_or_reject(messages):
    """Nothing a peer can send raises, and every datagram has one outcome."""
    decoded = decode(messages)
    assert sum(outcomes(decoded)) == len(messages)


sets = st.builds(
    lambda number, body, wrong: struct.pack("!HH", number, max(4 + len(body) + wrong, 0)) + body,
    st.sampled_from([0, 1, 2, 3, 4, 255, 256, 257]),
    st.binary(max_size=60),
    st.sampled_from([0, 0, 0, 0, 1, -1, -200]),
)


@some
@given(st.lists(st.tuples(st.booleans(), st.lists(sets, max_size=6)), max_size=5))
def test_any_sets_decode_or_reject(messages):
    """Sets of nonsense in good messages: the rest of the stream is still accounted for."""
    made = [ipfix(*parts) if is_ipfix else netflow9(*parts) for is_ipfix, parts in messages]
    decoded = decode(made)
    assert sum(outcomes(decoded)) == len(made)
    assert count(decoded, "rejected_sets") == len(decoded.rejects)


@pytest.mark.parametrize("name", REAL)
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_datagrams_of_real_exporters_decode_or_reject(name, data, corpus):
    """Flipped, cut or inserted bytes never raise, and every datagram has one outcome."""
    messages = [bytearray(one.payload) for one in open_capture(corpus / name)]
    for _ in range(data.draw(st.integers(1, 4))):
        message = messages[data.draw(st.integers(0, len(messages) - 1))]
        at = data.draw(st.integers(0, max(len(message) - 1, 0)))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip" if message:
                message[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del message[at:]
            case _:
                message[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    decoded = decode([bytes(message) for message in messages])
    assert sum(outcomes(decoded)) == len(messages)


# --- any template ------------------------------------------------------------

widths = st.integers(1, 8)
field = st.one_of(
    st.tuples(st.sampled_from([1, 2, 4, 7, 10]), widths),
    st.sampled_from([(8, 4), (12, 4), (27, 16), (28, 16), (8, 5), (27, 4)]),
    st.tuples(st.sampled_from([95, 210, 32_000]), st.integers(0, 20)),
    st.tuples(st.sampled_from([1, 8, 100]), st.integers(1, 9), st.sampled_from([9, 29_000])),
    st.tuples(st.sampled_from([82, 95, 1, 8]), st.just(65_535)),
    st.tuples(st.just(371), st.just(65_535), st.just(6871)),
)


@st.composite
def streams(draw):
    """Templates of one domain, with records of each, in sets that may be padded."""
    messages, sequence = [], 0
    for number in range(256, 256 + draw(st.integers(1, 3))):
        fields = draw(st.lists(field, min_size=1, max_size=8))
        least = sum(1 if one[1] == 65_535 else one[1] for one in fields)
        if least < 4:
            fields.append((8, 4))
            least += 4
        bodies = []
        for _ in range(draw(st.integers(0, 3))):
            records = [draw(records_of(fields)) for _ in range(draw(st.integers(0, 40)))]
            padding = bytes(draw(st.integers(0, min(least - 1, 3))))
            bodies.append(set_of(number, b"".join(records) + padding))
        is_v9 = all(one[1] != 65_535 and len(one) == 2 for one in fields) and draw(st.booleans())
        make = netflow9 if is_v9 else ipfix
        messages.append(make(template(number, fields, 9 if is_v9 else 10), *bodies[:1]))
        messages += [make(body) for body in bodies[1:]]
        sequence += 1  # noqa: SIM113 - counts messages, not numbers
    if draw(st.booleans()):
        records = [record5(draw(st.integers(0, 255))) for _ in range(draw(st.integers(1, 30)))]
        messages.append(netflow5(records))
    return messages


@st.composite
def records_of(draw, fields):
    """Bytes of one record."""
    parts = []
    for one in fields:
        if one[1] != 65_535:
            parts.append(draw(st.binary(min_size=one[1], max_size=one[1])))
            continue
        value = draw(st.binary(max_size=12))
        is_long = draw(st.booleans())
        head = b"\xff" + struct.pack("!H", len(value)) if is_long else bytes([len(value)])
        parts.append(head + value)
    return b"".join(parts)


NAMES = ("protocol", "src_port", "bytes", "packets", "ingress_interface")


def _as_reference(frame):
    found = []
    for row in frame.iter_rows(named=True):
        values = [row[name] for name in NAMES]
        for side in ("src", "dst"):
            high, low = row[f"{side}_ip_hi"], row[f"{side}_ip_lo"]
            values.append(None if high is None else high << 64 | low)
        found.append(tuple(values))
    return Counter(found)


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(streams())
def test_rows_are_those_of_a_slow_and_obvious_decoder(messages):
    """Any template, any records: the same rows as one record, one field at a time."""
    decoded = decode(messages)
    expected = Counter(
        tuple(row.get(name) for name in (*NAMES, "src", "dst"))
        for row in reference.decode(messages)
    )
    assert _as_reference(decoded.frames["flows"]) == expected
    assert sum(expected.values()) == count(decoded, "decoded_records")


def test_sets_of_many_records_of_variable_length_are_walked_together_and_alone():
    """40 sets of 1 to 40 records: all in step at first, the last ones one by one."""
    fields = [(82, 65_535), *PORTS]
    records = [bytes([number % 7]) + bytes(number % 7) + record(number) for number in range(40)]
    messages = [ipfix(template(256, fields))]
    messages += [ipfix(set_of(256, b"".join(records[: length + 1]))) for length in range(40)]
    decoded = decode(messages)
    assert count(decoded, "decoded_records") == 820  # 1 + 2 + ... + 40
    expected = Counter(
        tuple(row.get(name) for name in (*NAMES, "src", "dst"))
        for row in reference.decode(messages)
    )
    assert _as_reference(decoded.frames["flows"]) == expected


# --- any division into batches -----------------------------------------------

OTHER = ((12, 4), (8, 4), (1, 8))
OPTIONS = ((305, 4), (306, 4))


@st.composite
def histories(draw):
    """Messages of two exporters: templates that change and go, options, data early and late."""
    made = []
    sequences = Counter()
    for number in range(draw(st.integers(2, 14))):
        exporter = draw(st.sampled_from(["192.0.2.1", "192.0.2.2"]))
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            parts.append(  # noqa: PERF401 - each draw may depend on the last
                draw(
                    st.sampled_from(
                        [
                            template(256, PORTS),
                            template(256, OTHER),
                            template(257, [(302, 1), *PORTS]),
                            struct.pack("!HHHH", 2, 8, 256, 0),
                            struct.pack("!HHHH", 2, 8, 2, 0),
                            options_template(300, [(144, 4)], OPTIONS),
                            options_template(301, [(302, 1)], OPTIONS),
                            set_of(300, struct.pack("!III", 1, 1, number)),
                            set_of(301, struct.pack("!BII", number % 2, 1, 10 + number)),
                            set_of(256, record(number)),
                            set_of(256, record(number) + record(number + 1)),
                            set_of(257, b"\x00" + record(number)),
                            set_of(257, b"\x01" + record(number)),
                            set_of(256, record(number)[:-3]),
                            set_of(17, b""),
                        ]
                    )
                )
            )
        sequence = sequences[exporter]
        sequences[exporter] += draw(st.integers(0, 4))
        if draw(st.integers(0, 9)) == 0:
            sequences[exporter] = 0
        made.append((ipfix(*parts, sequence=sequence), exporter))
    return made


@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
@given(histories(), st.data())
def test_the_division_into_batches_makes_no_difference(history, data):
    """Any batches, with a restart between any two: the same rows and the same counts."""
    step_s = data.draw(st.sampled_from([1, 400]))
    messages = [message for message, _ in history]
    exporters = [exporter for _, exporter in history]
    times = [(1_700_000_000 + step_s * number) * 10**9 for number in range(len(history))]
    whole = decode(messages, received_ns=times, exporters=exporters)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(messages) - 1), max_size=4)))
    found, total, rejected = [], Counter(), Counter()
    decoder = Netflow()
    for begin, end in zip([0, *cuts], [*cuts, len(messages)], strict=True):
        part = decoder.decode(payloads(messages[begin:end], times[begin:end], exporters[begin:end]))
        found += _named(part)
        total.update(_by_minute(part))
        rejected.update(_rejects(part))
        if data.draw(st.booleans()):
            state = decoder.snapshot(PLACE)
            decoder = Netflow()
            decoder.restore(PLACE, state)
    assert Counter(found) == Counter(_named(whole))
    assert {key: n for key, n in total.items() if n} == _by_minute(whole)
    assert rejected == _rejects(whole)


def _named(decoded):
    who = [vantage.source.exporter for vantage in decoded.vantages]
    return [(who[row[0]], *row[1:]) for row in decoded.frames["flows"].iter_rows()]


def _by_minute(decoded):
    found = Counter()
    for row in decoded.counts.iter_rows(named=True):
        who, minute = decoded.vantages[row.pop("vantage")], row.pop("minute_ns")
        for name, value in row.items():
            found[who, minute, name] += value
    return {key: value for key, value in found.items() if value}


def _rejects(decoded):
    return Counter(decoded.rejects.select("reason", "raw", "raw_length").iter_rows())


def test_a_snapshot_is_empty_before_anything_was_heard():
    """Nothing remembered is empty bytes, and restoring them forgets everything."""
    decoder = Netflow()
    assert decoder.snapshot(PLACE) == b""
    decode([ipfix(template(256, PORTS))], decoder)
    assert decoder.snapshot(PLACE) != b""
    decoder.restore(PLACE, b"")
    assert decoder.snapshot(PLACE) == b""


def test_no_payloads_are_no_rows_and_no_counts():
    """An empty batch has the columns of a full one."""
    decoded = decode([])
    assert decoded.frames["flows"].height == decoded.counts.height == decoded.rejects.height == 0
    assert counts(decoded) == {}
    assert rows(decoded) == []
