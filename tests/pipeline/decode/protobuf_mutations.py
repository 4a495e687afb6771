"""Protobuf bytes that mean the same or nearly so: fields moved, doubled, unknown; and damage."""

import random

Field = tuple[int, int, bytes]
"""Number, wire type, and its bytes, tag included."""


def varint(number: int, padding: int = 0) -> bytes:
    """A varint, with ``padding`` bytes more than need be."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    for _ in range(padding):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at


def split(data: bytes) -> list[Field]:
    """Fields of a message that is well formed and has no groups."""
    fields, at = [], 0
    while at < len(data):
        first = at
        key, at = read_varint(data, at)
        if key & 7 == 0:
            _, at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            at += size
        else:
            at += 8 if key & 7 == 1 else 4
        fields.append((key >> 3, key & 7, data[first:at]))
    return fields


def mutated(data: bytes, chance: random.Random, depth: int = 0) -> bytes:
    """The message with some of its fields, at any depth, made otherwise."""
    try:
        fields = split(data)
    except IndexError:
        return data
    out = []
    # The parser puts a map's entry aside as a whole if there is anything unknown in it.
    is_pair = {number for number, _, _ in fields} <= {1, 2}
    for number, wire, plain in fields:
        raw = _deeper(number, wire, plain, chance, depth)
        out.append(raw)
        kind = chance.randrange(40)
        if kind == 0:
            out.append(raw)
        elif kind == 1 and not is_pair:
            out.append(_unknown(chance))
        elif kind == 2 and len(out) > 1:
            out[-1], out[-2] = out[-2], out[-1]
        elif kind == 3 and wire == 2:  # twice, with half of the fields each time
            _, at = read_varint(raw, 0)
            _, at = read_varint(raw, at)
            out.append(varint(number << 3 | 2) + varint(0))
    if chance.randrange(60) == 0:
        chance.shuffle(out)
    return b"".join(out)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some flipped, or cut."""
    out = bytearray(data)
    for _ in range(chance.randrange(4)):
        if out:
            out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out[: chance.randrange(len(out) + 1)]) if chance.random() < 0.3 else bytes(out)


def _deeper(number: int, wire: int, raw: bytes, chance: random.Random, depth: int) -> bytes:
    if wire != 2 or depth > 6:
        return raw
    _, at = read_varint(raw, 0)
    _, at = read_varint(raw, at)
    inner = raw[at:]
    try:
        fields = split(inner)
    except IndexError:
        return raw
    if not fields or any(not 0 < one < 200 or kind > 5 for one, kind, _ in fields):
        return raw  # a text
    if b"".join(part for _, _, part in fields) != inner:
        return raw
    if inner.isascii() and inner[:1] > b"/":
        return raw
    inner = mutated(inner, chance, depth + 1)
    pad = 1 if chance.randrange(80) == 0 else 0
    return varint(number << 3 | 2, pad) + varint(len(inner), pad) + inner


def _unknown(chance: random.Random) -> bytes:
    number = chance.choice([60, 99, 1_000, 21_001, 500_000])
    kind = chance.randrange(5)
    if kind == 0:
        return varint(number << 3) + varint(chance.choice([0, 300, 2**64 - 1]))
    if kind == 1:
        return varint(number << 3 | 1) + bytes(8)
    if kind == 2:
        return varint(number << 3 | 5) + bytes(4)
    if kind == 3:
        return varint(number << 3 | 3) + varint(9 << 3) + b"\x01" + varint(number << 3 | 4)
    return varint(number << 3 | 2) + b"\x03abc"
