"""
Templates: what the records of a set look like, by exporter and domain.

A template is known only to the domain that sent it. Its `Layout` (the fields,
without whose they are) is shared, so records of equal layout are decoded
together whoever sent them.

Before: sets.py. After: records.py.
Source: RFC 3954 section 5.2, 6; RFC 7011 section 3.4.
"""

import struct
from collections import OrderedDict
from typing import Final, NamedTuple

from pipeline.decode.elements import ELEMENTS, Element, readable

VARIABLE: Final = 65_535
MAX_FIELDS: Final = 1_024
"""A record of a 64 KiB message with more fields than this describes nothing real."""
MAX_TEMPLATES: Final = 1_024
"""Templates one domain may have; routers have tens."""


class Field(NamedTuple):
    """One field of a record."""

    enterprise: int
    number: int
    length: int


class Layout:
    """
    Fields of a record, and where those that are used stand.

    Attributes
    ----------
    length
        Bytes of a record; its least length if it has fields of variable length.
    used
        (raw name, how it is read, position in ``fields``, offset if fixed, length).
    """

    __slots__ = ("fields", "index", "is_options", "is_variable", "length", "scope_count", "used")

    def __init__(self, fields: tuple[Field, ...], scope_count: int, index: int) -> None:
        self.fields = fields
        self.scope_count = scope_count
        self.is_options = scope_count > 0
        self.index = index
        self.is_variable = any(field.length == VARIABLE for field in fields)
        self.length = sum(1 if field.length == VARIABLE else field.length for field in fields)
        self.used: list[tuple[str, str, int, int, int]] = []
        seen: set[str] = set()
        offset = 0
        for position, field in enumerate(fields):
            element = ELEMENTS.get((field.enterprise, field.number))
            if element and position >= scope_count or self._selector(element):
                assert element is not None
                if element.name not in seen and readable(element, field.length):
                    seen.add(element.name)
                    self.used.append((element.name, element.kind, position, offset, field.length))
            offset += 1 if field.length == VARIABLE else field.length

    @staticmethod
    def _selector(element: Element | None) -> bool:
        """A sampler's id may be a scope of the options that tell its rate."""
        return element is not None and element.name in ("sampler_id", "selector_id")


_layouts: OrderedDict[tuple[tuple[Field, ...], int], Layout] = OrderedDict()


def layout_of(fields: tuple[Field, ...], scope_count: int) -> Layout:
    """The one `Layout` of these fields."""
    key = (fields, scope_count)
    found = _layouts.get(key)
    if found is None:
        found = _layouts[key] = Layout(fields, scope_count, len(_layouts))
    return found


class Malformed(NamedTuple):
    """A template set that ends in nonsense; what stood before it is used."""

    reason: str
    detail: str


def parse_netflow9(
    body: bytes, is_options: bool
) -> tuple[list[tuple[int, Layout | None]], Malformed | None]:
    """Body of a v9 template or options template set to (id, layout) pairs."""
    found: list[tuple[int, Layout | None]] = []
    position = 0
    while len(body) - position >= (6 if is_options else 4):
        if is_options:
            number, scope_bytes, option_bytes = struct.unpack_from("!HHH", body, position)
            position += 6
            if scope_bytes % 4 or option_bytes % 4:
                return found, Malformed(
                    "template_malformed", f"lengths {scope_bytes}, {option_bytes}"
                )
            count, scopes = (scope_bytes + option_bytes) // 4, scope_bytes // 4
        else:
            number, count = struct.unpack_from("!HH", body, position)
            position, scopes = position + 4, 0
        if number < 256:  # noqa: PLR2004 - the least id of a data set
            if number == 0 and not any(body[position:]):
                break  # padding
            return found, Malformed("template_malformed", f"template id {number}")
        if count > MAX_FIELDS:
            return found, Malformed("template_too_large", f"{count} fields")
        if len(body) - position < 4 * count:
            return found, Malformed(
                "template_malformed", f"{count} fields in {len(body) - position} bytes"
            )
        values = struct.unpack_from(f"!{2 * count}H", body, position)
        position += 4 * count
        fields = tuple(
            # The ids of v9 scopes are a number space of their own: not elements.
            Field(-1 if place < scopes else 0, values[2 * place], values[2 * place + 1])
            for place in range(count)
        )
        layout = layout_of(fields, max(scopes, 1) if is_options else 0)
        if layout.length == 0 or any(field.length == VARIABLE for field in fields):
            return found, Malformed("template_malformed", f"template {number}: record length")
        found.append((number, layout))
    return found, None


def parse_ipfix(
    body: bytes, is_options: bool
) -> tuple[list[tuple[int, Layout | None]], Malformed | None]:
    """Body of an IPFIX template or options template set; a layout of None withdraws the id."""
    found: list[tuple[int, Layout | None]] = []
    position = 0
    while len(body) - position >= 4:  # noqa: PLR2004 - a template record's header
        number, count = struct.unpack_from("!HH", body, position)
        position += 4
        if number < 256:  # noqa: PLR2004
            if number == 0 and count == 0:
                break  # padding
            if count == 0 and number == (3 if is_options else 2):
                found.append((number, None))
                continue
            return found, Malformed("template_malformed", f"template id {number}")
        if count == 0:
            found.append((number, None))
            continue
        if count > MAX_FIELDS:
            return found, Malformed("template_too_large", f"{count} fields")
        scopes = 0
        if is_options:
            if len(body) - position < 2:  # noqa: PLR2004
                return found, Malformed("template_malformed", "no scope count")
            (scopes,) = struct.unpack_from("!H", body, position)
            position += 2
            if not 0 < scopes <= count:
                return found, Malformed("template_malformed", f"{scopes} scopes of {count} fields")
        fields = []
        for _ in range(count):
            if len(body) - position < 4:  # noqa: PLR2004
                return found, Malformed("template_malformed", f"template {number} ends early")
            element, length = struct.unpack_from("!HH", body, position)
            position += 4
            enterprise = 0
            if element & 0x8000:
                if len(body) - position < 4:  # noqa: PLR2004
                    return found, Malformed("template_malformed", f"template {number} ends early")
                (enterprise,) = struct.unpack_from("!I", body, position)
                position += 4
            fields.append(Field(enterprise, element & 0x7FFF, length))
        layout = layout_of(tuple(fields), scopes)
        if layout.length == 0:
            return found, Malformed(
                "template_malformed", f"template {number}: records of no length"
            )
        found.append((number, layout))
    return found, None
