"""
Templates: what the records of a set look like, by exporter and domain.

A template is known only to the domain that sent it. Its `Layout` (the fields,
without whose they are) is shared, so records of equal layout are decoded
together whoever sent them.

Before: sets.py. After: records.py.
Source: RFC 3954 section 5.2, 6; RFC 7011 section 3.4.
"""

import struct
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from pipeline.decode.netflow.elements import ELEMENTS, Element, readable
from pipeline.decode.netflow.sets import FIRST_DATA_SET, V9
from pipeline.rejects import Reason

VARIABLE: Final = 65_535
MAX_FIELDS: Final = 1_024
"""A record of a 64 KiB message with more fields than this describes nothing real."""

ALL_TEMPLATES: Final = (2, 3)
"""Ids whose withdrawal withdraws every template, or every options template."""

_SELECTORS: Final = ("sampler_id", "selector_id")
_ENDS: Final = ("src_ipv4", "src_ipv6", "dst_ipv4", "dst_ipv6")
_NOT_AN_ELEMENT: Final = -1


class Field(NamedTuple):
    """One field of a record; ``enterprise`` is -1 for the scopes of v9, which are no elements."""

    enterprise: int
    number: int
    length: int


class Used(NamedTuple):
    """
    A field that becomes a raw value.

    It stands ``offset`` bytes behind the ``base``-th value of variable length
    of its record, or behind the record's beginning if ``base`` is 0.
    """

    name: str
    kind: str
    base: int
    offset: int
    width: int


class Layout:
    """
    Fields of a record, and where those that are used stand.

    Attributes
    ----------
    scope_count
        Scopes of an options record; None if records are data.
    length
        Bytes of a record; its least length if it has values of variable length.
    gaps
        Bytes before each value of variable length, behind the one before it.
    tail
        Bytes behind the last of them.
    """

    __slots__ = ("__weakref__", "fields", "gaps", "length", "scope_count", "tail", "used")

    def __init__(self, fields: tuple[Field, ...], scope_count: int | None) -> None:
        self.fields = fields
        self.scope_count = scope_count
        self.length = sum(1 if field.length == VARIABLE else field.length for field in fields)
        self.used: list[Used] = []
        self.gaps: list[int] = []
        seen: set[str] = set()
        offset = 0
        for position, field in enumerate(fields):
            if field.length == VARIABLE:
                self.gaps.append(offset)
                offset = 0
                continue
            element = ELEMENTS.get((field.enterprise, field.number))
            if element and self._uses(element, field, position) and element.name not in seen:
                seen.add(element.name)
                used = Used(element.name, element.kind, len(self.gaps), offset, field.length)
                self.used.append(used)
            offset += field.length
        self.tail = offset

    @property
    def is_options(self) -> bool:
        """Whether records tell of the exporter, not of traffic."""
        return self.scope_count is not None

    @property
    def is_traffic(self) -> bool:
        """Whether a record names an end of a flow."""
        return not self.is_options and any(used.name in _ENDS for used in self.used)

    def _uses(self, element: Element, field: Field, position: int) -> bool:
        """A scope is no value, but a sampler's id may be a scope of the options with its rate."""
        is_scope = position < (self.scope_count or 0)
        return readable(element, field.length) and (not is_scope or element.name in _SELECTORS)


_layouts: WeakValueDictionary[tuple[tuple[Field, ...], int | None], Layout] = WeakValueDictionary()
"""Layouts some domain uses; the last one that forgets a layout removes it."""


def layout_of(fields: tuple[Field, ...], scope_count: int | None) -> Layout:
    """The one `Layout` of these fields."""
    key = (fields, scope_count)
    found = _layouts.get(key)
    if found is None:
        found = _layouts[key] = Layout(fields, scope_count)
    return found


class Malformed(Exception):  # noqa: N818 - an end of parsing, told as a reject
    """A template set that ends in nonsense; what stood before it is used."""

    def __init__(self, detail: str, reason: Reason = Reason.TEMPLATE_MALFORMED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason


Found = list[tuple[int, Layout | None]]


def parse_templates(
    body: bytes, version: int, *, is_options: bool
) -> tuple[Found, Malformed | None]:
    """
    Templates in the body of a template set.

    Parameters
    ----------
    body
        A set without its header.
    version
        9 or 10 (IPFIX).
    is_options
        Whether it is a set of options templates.

    Returns
    -------
    tuple
        Pairs of template id and layout, where None withdraws the id (or all,
        see `ALL_TEMPLATES`); and what ended the set early, if anything did.
    """
    parse = _netflow9 if version == V9 else _ipfix
    header = 6 if version == V9 and is_options else 4
    found: Found = []
    position = 0
    while len(body) - position >= header and any(body[position:]):  # zeros are padding
        try:
            number, layout, position = parse(body, position, is_options)
        except Malformed as malformed:
            return found, malformed
        except struct.error:
            return found, Malformed(f"the set ends inside a template, after {len(found)}")
        found.append((number, layout))
    return found, None


def _netflow9(body: bytes, position: int, is_options: bool) -> tuple[int, Layout, int]:
    scopes = 0
    if is_options:
        number, scope_bytes, option_bytes = struct.unpack_from("!HHH", body, position)
        position += 6
        if scope_bytes % 4 or option_bytes % 4:
            raise Malformed(f"template {number}: lengths {scope_bytes}, {option_bytes}")
        count, scopes = (scope_bytes + option_bytes) // 4, scope_bytes // 4
    else:
        number, count = struct.unpack_from("!HH", body, position)
        position += 4
    _check(number, count)
    values = struct.unpack_from(f"!{2 * count}H", body, position)
    fields = tuple(
        # The ids of v9 scopes are a number space of their own: not elements.
        Field(_NOT_AN_ELEMENT if place < scopes else 0, values[2 * place], values[2 * place + 1])
        for place in range(count)
    )
    if any(field.length == VARIABLE for field in fields):
        raise Malformed(f"template {number}: variable length in NetFlow v9")
    return number, _layout(number, fields, scopes if is_options else None), position + 4 * count


def _ipfix(body: bytes, position: int, is_options: bool) -> tuple[int, Layout | None, int]:
    number, count = struct.unpack_from("!HH", body, position)
    position += 4
    if count == 0 and (number >= FIRST_DATA_SET or number == ALL_TEMPLATES[is_options]):
        return number, None, position
    _check(number, count)
    scopes = None
    if is_options:
        (scopes,) = struct.unpack_from("!H", body, position)
        position += 2
        if not 0 < scopes <= count:
            raise Malformed(f"template {number}: {scopes} scopes of {count} fields")
    fields = []
    for _ in range(count):
        element, length = struct.unpack_from("!HH", body, position)
        position += 4
        enterprise = 0
        if element & 0x8000:
            (enterprise,) = struct.unpack_from("!I", body, position)
            position += 4
        fields.append(Field(enterprise, element & 0x7FFF, length))
    return number, _layout(number, tuple(fields), scopes), position


def _check(number: int, count: int) -> None:
    if number < FIRST_DATA_SET:
        raise Malformed(f"template id {number}")
    if count > MAX_FIELDS:
        raise Malformed(f"template {number}: {count} fields", Reason.TEMPLATE_TOO_LARGE)


def _layout(number: int, fields: tuple[Field, ...], scope_count: int | None) -> Layout:
    layout = layout_of(fields, scope_count)
    if layout.length == 0:
        raise Malformed(f"template {number}: records of no length")
    return layout
