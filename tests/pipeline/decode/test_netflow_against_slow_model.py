"""
Random streams, beside a decoder that reads a byte at a time and knows every column.

The streams hold what `test_netflow_properties.py` leaves out: three versions and
exporters in one batch, options, withdrawals, changed templates, data before its
template, biflows, translated addresses, all clocks, and damage.
"""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from netflow_streams import START_NS, Datagram, decode_split, fast_counts, payloads, slow, stream

from pipeline.decode.netflow import Netflow

seeds = st.integers(0, (1 << 32) - 1)


@settings(deadline=None, max_examples=150)
@given(seeds)
def test_all_columns_and_record_counts_are_those_of_the_slow_model(seed):
    """Each column of each row, and what each datagram was counted as."""
    datagrams = stream(seed)
    decoded = decode_split(datagrams, [])
    rows, counts = slow(datagrams)
    assert decoded.rows == rows
    assert fast_counts(decoded) == counts


@settings(deadline=None, max_examples=75)
@given(seeds, st.lists(st.integers(0, 12), max_size=4), st.booleans())
def test_neither_batches_nor_restarts_change_rows_counts_or_rejects(seed, cuts, restart):
    """A damaged stream too: divided anywhere, and the decoder restored in between."""
    datagrams = stream(seed)
    cuts = [min(cut, len(datagrams)) for cut in cuts]
    assert decode_split(datagrams, cuts, restart) == decode_split(datagrams, [])


def _ipfix(*sets: bytes) -> Datagram:
    body = b"".join(sets)
    header = struct.pack("!HHIII", 10, 16 + len(body), 1_764_000_000, 0, 7)
    return Datagram("192.0.2.1", START_NS, header + body)


def _set(number: int, body: bytes) -> bytes:
    return struct.pack("!HH", number, 4 + len(body)) + body


def _template(number: int, *fields: tuple[int, int]) -> bytes:
    body = struct.pack("!HH", number, len(fields))
    return _set(2, body + b"".join(struct.pack("!HH", *field) for field in fields))


def _column(name: str, *sets: bytes) -> list[object]:
    frame = Netflow().decode(payloads([_ipfix(*sets)])).frames["flows"]
    return frame[name].to_list()


def test_a_biflow_direction_of_128_and_more_is_none():
    """128 is what we add to mark a reverse row: an exporter cannot say it."""
    template = _template(256, (8, 4), (12, 4), (239, 1))
    records = b"".join(bytes(8) + bytes([told]) for told in (0, 1, 2, 127, 128, 255))
    assert _column("biflow_direction", template, _set(256, records)) == [0, 1, 2, 127, None, None]


def test_type_and_code_of_icmpv6_are_taken_from_its_own_elements():
    """A template with 176 to 179 has zeros in the pair of the other version."""
    template = _template(256, (8, 4), (4, 1), (176, 1), (177, 1), (178, 1), (179, 1))
    records = bytes.fromhex("0000000001 0801 0000000000003a 0000 8100")
    assert _column("icmp_type_code", template, _set(256, records)) == [2049, 33024]


def test_the_last_start_that_is_one_is_taken_from_a_set_of_options():
    """A zero behind it says nothing; uptimes of data count from 2025-11-24T16:00:00Z."""
    options = _set(3, struct.pack("!HHHHHHH", 300, 2, 1, 144, 4, 160, 8))
    told = struct.pack("!IQIQ", 1, 1_764_000_000_000, 2, 0)
    template = _template(256, (8, 4), (12, 4), (22, 4))
    record = struct.pack("!III", 1, 2, 1_500)
    assert _column("start_ns", options, _set(300, told), template, _set(256, record)) == [
        1_764_000_001_500_000_000
    ]


def test_a_thousand_layouts_in_a_datagram_give_a_thousand_rows():
    """Layouts that differ only in what is skipped: each record is a row."""
    numbers = range(256, 1_256)
    templates = b"".join(
        struct.pack("!HHHHHHHH", number, 3, 8, 4, 12, 4, 9_000 + number, 1) for number in numbers
    )
    sets = b"".join(_set(number, bytes(9)) for number in numbers)
    assert len(_column("bytes", _set(2, templates), sets)) == 1_000
