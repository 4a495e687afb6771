"""
One protobuf message, field by field: what the columnar reader leaves aside.

Messages as programs write them have each field once, those of the layout, and
are read many at a time. One of another shape (a field twice, members of a
oneof one after another, groups, many unknown fields, cut short) comes here,
and here is decided whether it is protobuf at all. The rules are the parser's
of the specification: of a scalar the last counts, a submessage twice is one
message (their bytes in sequence), the last member of a oneof wins, what the
layout does not name is passed over.

Before: __init__.py. After: __init__.py.
Source: protobuf.dev, Encoding ("Last One Wins", "Message Structure").
"""

from enum import IntEnum
from typing import Final, NamedTuple

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
"""Wire types; 6 and 7 mean nothing."""

MAX_FIELDS: Final = 65_536
"""A message of more fields, those passed over included, is refused."""

_MAX_DEPTH: Final = 100
_MAX_NUMBER: Final = (1 << 29) - 1
_VARINT_BYTES: Final = 10
_TAG_BYTES: Final = 5
_LOW_64: Final = (1 << 64) - 1


class Fault(IntEnum):
    """Why a message is no good."""

    NONE = 0
    MALFORMED = 1
    TOO_MANY_FIELDS = 2


class Field(NamedTuple):
    """
    One field of a message to be read.

    ``wire`` is its wire type; a ``message`` merges where it comes twice; of
    fields with the same ``oneof`` the last one counts.
    """

    number: int
    wire: int = BYTES
    message: bool = False
    repeated: bool = False
    oneof: str = ""


class NotProtobufError(Exception):
    """Bytes that are no message; ``fault`` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


Value = int | list[tuple[int, int]]
"""Number, or where in the message the occurrences of a length-delimited field are."""


def read_one(data: bytes, fields: dict[tuple[int, int], tuple[str, Field]]) -> dict[str, Value]:
    """
    Fields of one message.

    Parameters
    ----------
    fields
        (number, wire type) to name and field.

    Raises
    ------
    NotProtobufError
        When the bytes are no message, or hold too many fields.
    """
    values: dict[str, Value] = {}
    at = count = 0
    groups: list[int] = []
    while at < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise NotProtobufError(Fault.TOO_MANY_FIELDS)
        number, wire, at = _tag(data, at)
        value, span, at = _value(data, at, wire)
        if wire == GROUP:
            groups.append(number)
            if len(groups) > _MAX_DEPTH:
                raise NotProtobufError(Fault.MALFORMED)
        elif wire == END_GROUP:
            if not groups or groups.pop() != number:
                raise NotProtobufError(Fault.MALFORMED)
        elif not groups and (number, wire) in fields:
            _keep(values, fields, (number, wire), value, span)
    if groups:
        raise NotProtobufError(Fault.MALFORMED)
    return values


def _keep(
    values: dict[str, Value],
    fields: dict[tuple[int, int], tuple[str, Field]],
    key: tuple[int, int],
    value: int,
    span: tuple[int, int],
) -> None:
    name, field = fields[key]
    if field.oneof:
        for other, member in fields.values():
            if member.oneof == field.oneof and other != name:
                values.pop(other, None)
    if field.wire != BYTES:
        values[name] = value
        return
    before = values.get(name)
    if isinstance(before, list) and (field.repeated or field.message):
        before.append(span)
    else:
        values[name] = [span]


def _tag(data: bytes, at: int) -> tuple[int, int, int]:
    """Number, wire type, and where the value begins."""
    key, after = _varint(data, at)
    number = key >> 3
    if not 0 < number <= _MAX_NUMBER or after - at > _TAG_BYTES:
        raise NotProtobufError(Fault.MALFORMED)
    return number, key & 7, after


def _value(data: bytes, at: int, wire: int) -> tuple[int, tuple[int, int], int]:
    """Number, place of bytes, and where the next field begins."""
    if wire == VARINT:
        value, at = _varint(data, at)
        return value, (at, at), at
    if wire in (GROUP, END_GROUP):
        return 0, (at, at), at
    if wire == BYTES:
        size, at = _varint(data, at)
    elif wire in (FIXED64, FIXED32):
        size = 8 if wire == FIXED64 else 4
    else:
        raise NotProtobufError(Fault.MALFORMED)
    end = at + size
    if end > len(data):
        raise NotProtobufError(Fault.MALFORMED)
    value = 0 if wire == BYTES else int.from_bytes(data[at:end], "little")
    return value, (at, end), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says more follows
            return value & _LOW_64, at + place + 1
    raise NotProtobufError(Fault.MALFORMED)
