"""
What the columnar reader of protobuf is asked for, and what it gives.

A `Layout` names the fields of a message type that are wanted; `Fields` has for
each a column, as long as there are messages.

Before: one.py. After: steps.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.protobuf.one import Field

I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Rows = I64 | slice

MORE: Final = 0x80
"""The bit of a byte of a varint that says that more follow."""


class Values(NamedTuple):
    """A field of numbers: where it is there, and what it is (uint64; 0 where it is not)."""

    present: Mask
    value: U64

    def of(self, rows: Rows) -> "Values":
        """The field in some messages."""
        return Values(self.present[rows], self.value[rows])


class Spans(NamedTuple):
    """A length-delimited field: where it is there, and its bytes (an empty span where not)."""

    present: Mask
    begin: I64
    end: I64

    def of(self, rows: Rows) -> "Spans":
        """The field in some messages."""
        return Spans(self.present[rows], self.begin[rows], self.end[rows])


class Occurrences(NamedTuple):
    """A repeated length-delimited field: message and bytes of each occurrence, in order."""

    owner: I64
    begin: I64
    end: I64


class Layout:
    """
    Fields of a message type.

    Parameters
    ----------
    fields
        Name to field, those wanted.
    passed
        Number to wire type of those that are usually there and nobody wants:
        they cost less when they are known.
    """

    def __init__(
        self, fields: Mapping[str, Field], passed: Mapping[int, int] | None = None
    ) -> None:
        self.fields = dict(fields)
        self.by_key = {(one.number, one.wire): (name, one) for name, one in fields.items()}
        names = dict.fromkeys((passed or {}).items(), "")
        names |= {key: name for key, (name, _) in self.by_key.items()}
        self.steps = [Step.of(*key, names[key]) for key in sorted(names)]
        self.tags = {step.tag for step in self.steps}
        self.oneofs: dict[str, list[str]] = {}
        for name, one in fields.items():
            if one.oneof:
                self.oneofs.setdefault(one.oneof, []).append(name)


class Step(NamedTuple):
    """A field as it stands in a message: the bytes of its tag as a number, little-endian."""

    tag: int
    tag_bytes: int
    wire: int
    name: str

    @classmethod
    def of(cls, number: int, wire: int, name: str) -> "Step":
        """The step of one field; ``name`` is empty for one that is passed over."""
        key, tag, size = number << 3 | wire, 0, 0
        while key >= MORE:
            tag |= (key & 0x7F | MORE) << 8 * size
            key, size = key >> 7, size + 1
        return cls(tag | key << 8 * size, size + 1, wire, name)


@dataclass(slots=True)
class Fields:
    """
    What n messages hold.

    Attributes
    ----------
    fault
        int8[n], a `Fault`; of a message with one nothing is present.
    values, spans, many
        Name to column, by wire type, and repeated fields apart.
    """

    fault: I8
    values: dict[str, Values] = field(default_factory=dict)
    spans: dict[str, Spans] = field(default_factory=dict)
    many: dict[str, Occurrences] = field(default_factory=dict)
