"""The columnar reader of protobuf beside Google's parser, and its bounds."""

import random

import numpy as np
import pyarrow as pa
import pytest
from envoy.config.core.v3 import address_pb2
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from protobuf_mutations import damaged, mutated, varint

from pipeline.decode.protobuf import (
    FIXED64,
    MAX_FIELDS,
    VARINT,
    Fault,
    Field,
    Fields,
    Layout,
    Wire,
)
from pipeline.decode.protobuf.rows import FAULTS, MALFORMED, NO_FAULT, Rows
from pipeline.decode.protobuf.text import distinct

chances = st.integers(0, (1 << 32) - 1).map(random.Random)
ADDRESS = Layout(
    {
        "socket": Field(1, message=True, oneof="address"),
        "pipe": Field(2, message=True, oneof="address"),
        "internal": Field(3, message=True, oneof="address"),
    }
)
SOCKET = Layout(
    {
        "protocol": Field(1, VARINT),
        "address": Field(2),
        "port": Field(3, VARINT, oneof="port"),
        "named": Field(4, oneof="port"),
        "v4": Field(6, VARINT),
    }
)
MANY = Layout(
    {"number": Field(1, VARINT), "item": Field(2, repeated=True), "wide": Field(3, FIXED64)}
)


def read(held: list[bytes], layout: Layout) -> tuple[Wire, Fields]:
    wire = Wire(pa.array(held, pa.binary()))
    return wire, wire.read(wire.begin, wire.end, layout)


def texts(*held: str) -> Wire:
    return Wire(pa.array([one.encode() for one in held], pa.binary()))


def check(held: list[bytes]) -> None:
    """What Google's parser takes, we take, and read the same."""
    wire, outer = read(held, ADDRESS)
    spans = outer.spans["socket"]
    inner = wire.read(spans.begin, spans.end, SOCKET)
    for row, payload in enumerate(held):
        try:
            expected = address_pb2.Address.FromString(payload)
        except DecodeError:
            continue
        assert outer.fault[row] == Fault.NONE
        assert inner.fault[row] == Fault.NONE
        kinds = {"socket": "socket_address", "internal": "envoy_internal_address", "pipe": "pipe"}
        assert [outer.spans[name].present[row] for name in kinds] == [
            expected.WhichOneof("address") == kind for kind in kinds.values()
        ]
        socket = expected.socket_address
        address = inner.spans["address"]
        assert wire.take(address.begin[row], address.end[row]) == socket.address.encode()
        assert int(inner.values["port"].value[row]) & 0xFFFFFFFF == socket.port_value
        assert inner.values["port"].present[row] == (
            socket.WhichOneof("port_specifier") == "port_value"
        )
        assert bool(inner.values["v4"].value[row]) == socket.ipv4_compat


@st.composite
def addresses(draw):
    """Addresses as programs write them, merged, moved, doubled, damaged."""
    chance = draw(chances)
    held = []
    for _ in range(draw(st.integers(1, 60))):
        one = address_pb2.Address()
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            kind = chance.randrange(5)
            if kind == 0:
                one.pipe.path = "/x"
            elif kind == 1:
                one.envoy_internal_address.endpoint_id = "y"
            else:
                one.socket_address.address = chance.choice(["", "10.0.0.1", "z" * 300])
                one.socket_address.port_value = chance.choice([0, 80, 2**32 - 1])
                one.socket_address.ipv4_compat = chance.random() < 0.5
        raw = one.SerializeToString()
        if chance.random() < 0.3:
            other = address_pb2.Address()
            other.socket_address.named_port = "http"
            raw += other.SerializeToString()
        if chance.random() < 0.3:
            raw = mutated(raw, chance)
        if chance.random() < 0.1:
            raw = damaged(raw, chance)
        held.append(raw)
    return held


@given(addresses())
@settings(max_examples=100, deadline=None)
def test_messages_are_read_as_google_reads_them(held):
    """Merged, moved, doubled, with members of a oneof one after another."""
    check(held)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_as_google_reads_them_or_refused(held):
    """Whatever a message is, reading it raises nothing and leaves the others as they are."""
    good = address_pb2.Address()
    good.socket_address.port_value = 443
    check([*held, good.SerializeToString()])


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=100), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_varints_of_every_length(numbers, padding):
    """One to ten bytes, also with more of them than need be."""
    held = [b"\x08" + varint(number, min(padding, 10 - len(varint(number)))) for number in numbers]
    _, fields = read(held, MANY)
    assert fields.values["number"].value.tolist() == numbers
    assert not fields.fault.any()


@pytest.mark.parametrize(
    "bad",
    [
        b"\x08",  # no number behind the tag
        b"\x08\x80",  # a number without end
        b"\x08" + b"\x80" * 10 + b"\x01",  # of eleven bytes
        b"\x12\x05abcd",  # cut short
        b"\x12\xff\xff\xff\xff\x0f",  # longer than all there is
        b"\x19\x00\x00",  # eight bytes, of which two came
        b"\x00\x00",  # field 0
        b"\x0e",  # wire type 6
        b"\x0f",  # wire type 7
        b"\x2b\x08\x01",  # a group without end
        b"\x2c",  # an end without group
        b"\x2b\x34",  # another's end
        b"\x80\x80\x80\x80\x80\x01\x00",  # a tag of six bytes
    ],
)
def test_what_is_no_message(bad):
    """Alone or among forty, it is malformed, and they are not."""
    good = b"\x08\x07"
    for held in ([bad], [good] * 20 + [bad] + [good] * 20, [good] * 3 + [bad] * 40 + [good] * 3):
        _, fields = read(held, MANY)
        assert [Fault(one) for one in fields.fault] == [
            Fault.MALFORMED if one == bad else Fault.NONE for one in held
        ]
        assert fields.values["number"].present.tolist() == [one == good for one in held]


@pytest.mark.parametrize("count", [1, 40])
def test_fields_of_a_newer_program_are_passed_over(count):
    """Numbers, bytes and groups nobody asked for, in any place, of high numbers too."""
    new = b"\xf8\x3f\x05" + b"\x82\x40\x01x" + b"\xbb\x06\x08\x01\xbc\x06" + b"\xfa\xff\xff\x7f\x00"
    held = [new + b"\x08\x07" + new + b"\x12\x01a" + new, b"\x08\x07\x12\x01a" + new] * count
    wire, fields = read(held, MANY)
    assert not fields.fault.any()
    assert fields.values["number"].value.tolist() == [7] * 2 * count
    items = fields.many["item"]
    assert items.owner.tolist() == list(range(2 * count))
    assert {wire.take(*span) for span in zip(items.begin, items.end, strict=True)} == {b"a"}


@pytest.mark.parametrize("size", [2**56, 2**63 - 1, 2**63, 2**64 - 13])
def test_a_size_beyond_memory_goes_neither_past_the_buffer_nor_back(size):
    """Sizes that overflow 64 bits, one of them back into the text before it, where a field is."""
    message = b"\x0a\x05\x1a\x09xxx" + b"\x12" + varint(size)
    _, fields = read([message] * 30, ADDRESS)
    assert fields.fault.tolist() == [Fault.MALFORMED] * 30


def test_a_field_of_another_wire_type_is_another_field():
    """A number where text is expected is passed over."""
    _, fields = read([b"\x10\x05\x0a\x01x"] * 30, MANY)
    assert not fields.fault.any()
    assert not fields.values["number"].present.any()
    assert len(fields.many["item"].owner) == 0


def test_long_runs_of_a_repeated_field_keep_their_order():
    """A thousand occurrences in one message, none or one in others, and around other fields."""
    thousand = b"".join(b"\x12\x02" + number.to_bytes(2, "big") for number in range(1_000))
    held = [b"", thousand, b"\x12\x01a", thousand + b"\x08\x01" + thousand]
    wire, fields = read(held, MANY)
    items = fields.many["item"]
    assert np.bincount(items.owner, minlength=4).tolist() == [0, 1_000, 1, 2_000]
    found = [wire.take(*span) for span in zip(items.begin, items.end, strict=True)]
    expected = [number.to_bytes(2, "big") for number in range(1_000)]
    assert found == [*expected, b"a", *expected, *expected]
    assert fields.values["number"].value.tolist() == [0, 0, 0, 1]


def test_a_flood_of_fields_is_refused():
    """More fields than any program writes: refused, and others are read."""
    _, fields = read([b"\x20\x01" * (MAX_FIELDS + 1), b"\x20\x01" * MAX_FIELDS, b"\x08\x07"], MANY)
    assert fields.fault.tolist() == [Fault.TOO_MANY_FIELDS, Fault.NONE, Fault.NONE]
    assert fields.values["number"].value.tolist() == [0, 0, 7]


def test_blocks_leave_no_trace():
    """More messages than are taken together, odd ones among them."""
    odd = b"\x12\x01b\x08\x05\x12\x01c"
    held = [b"\x08" + varint(n) + b"\x12\x01a" if n % 1_000 else odd for n in range(20_000)]
    wire, fields = read(held, MANY)
    expected = [n if n % 1_000 else 5 for n in range(20_000)]
    assert fields.values["number"].value.tolist() == expected
    items = fields.many["item"]
    assert (np.diff(items.owner) >= 0).all()
    owned = [(0, b"b"), (0, b"c"), (1, b"a"), (2, b"a")]
    spans = zip(items.owner[:4], items.begin, items.end, strict=False)
    assert [(owner, wire.take(begin, end)) for owner, begin, end in spans] == owned


def test_fixed_numbers():
    """Eight bytes, little-endian, the last of two."""
    first, last = (2**64 - 1).to_bytes(8, "little"), (5).to_bytes(8, "little")
    _, fields = read([b"\x19" + first, b"\x19" + first + b"\x19" + last, b""], MANY)
    assert fields.values["wide"].value.tolist() == [2**64 - 1, 5, 0]
    assert fields.values["wide"].present.tolist() == [True, True, False]


def test_the_fault_of_a_part_is_the_fault_of_its_row():
    """What is wrong in a submessage is wrong with the row that has it."""
    wire = Wire(pa.array([b"\x12\x01\x08", b"\x12\x02\x08\x01"], pa.binary()))
    rows = Rows(wire, 2)
    items = wire.read(wire.begin, wire.end, MANY).many["item"]
    whole = type(wire.read(items.begin, items.end, ADDRESS).spans["pipe"])
    rows.read(whole(np.ones(2, np.bool_), items.begin, items.end), MANY, items.owner)
    assert rows.fault.tolist() == [MALFORMED, NO_FAULT]
    assert FAULTS[MALFORMED][0] == "protobuf_malformed"


def test_distinct_spans():
    """Each kind by its first span."""
    wire = texts("a", "long enough to be elsewhere", "a", "", "long enough to be elsewhere")
    spans = read([], ADDRESS)[1].spans["socket"]
    spans = type(spans)(np.ones(5, np.bool_), wire.begin, wire.end)
    first, kind = distinct(wire, spans)
    assert (first.tolist(), kind.tolist()) == ([0, 1, 3], [0, 1, 0, 2, 1])
