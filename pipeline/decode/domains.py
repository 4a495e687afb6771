"""
What is remembered of each exporter's domain, and how it is carried over a restart.

A domain is (agent, network, exporter, format, observation domain): templates,
sampling and numbering of one are never those of another. All of it is bounded:
a sender that invents exporters pushes out the ones not heard for longest.

Before: sets.py. After: netflow.py.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from pipeline.decode.sequence import Sequence
from pipeline.decode.templates import Field, Layout, layout_of

MAX_DOMAINS: Final = 16_384
"""Domains of one log partition; the one not heard for longest is forgotten."""
MAX_SELECTORS: Final = 4_096
MAX_PENDING_BYTES: Final = 262_144
MAX_PENDING_SETS: Final = 1_024
PENDING_NS: Final = 30 * 60 * 10**9
"""Exporters repeat templates every few minutes at least; a set that waits longer is given up."""


class Pending(msgspec.Struct, array_like=True):
    """A data set that waits for its template, with what its message said."""

    number: int
    received_ns: int
    export_ns: int
    boot_ns: int
    body: bytes  # with the set's header


class Options(msgspec.Struct, array_like=True):
    """What options data said: factor by sampler, factor of all, start of the exporter."""

    by_selector: dict[int, float] = {}
    factor: float = 0.0
    system_init_ns: int = -1


class Domain(msgspec.Struct):
    """One domain's memory; ``layouts`` is made again from ``templates`` after a restart."""

    templates: dict[int, tuple[int, tuple[tuple[int, int, int], ...]]] = {}
    options: Options = msgspec.field(default_factory=Options)
    sequence: Sequence = msgspec.field(default_factory=Sequence)
    pending: list[Pending] = []
    pending_bytes: int = 0


class Known:
    """A `Domain` at work: layouts beside templates, and template sets seen word for word."""

    __slots__ = ("domain", "layouts", "seen")

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.layouts: dict[int, Layout] = {
            number: layout_of(tuple(Field(*field) for field in fields), scopes)
            for number, (scopes, fields) in domain.templates.items()
        }
        self.seen: dict[bytes, int] = {}  # template set to how many templates it repeats

    def learn(self, number: int, layout: Layout | None) -> bool:
        """Take a template or a withdrawal (None); whether anything changed."""
        if self.layouts.get(number) is layout:
            return False
        self.seen.clear()
        if layout is None:
            del self.layouts[number], self.domain.templates[number]
        else:
            self.layouts[number] = layout
            fields = tuple(tuple(field) for field in layout.fields)
            self.domain.templates[number] = (layout.scope_count, fields)  # type: ignore[assignment]
        return True


Key = tuple[str, str, str, str, int]
"""Agent, network, exporter, format, observation domain."""


class Domains:
    """Domains of one log partition, the one heard last at the end."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Known] = OrderedDict()

    def get(self, key: Key) -> Known:
        """The domain of a key, new if it is not known."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Known(Domain())
            if len(self._known) > MAX_DOMAINS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known

    def __len__(self) -> int:
        return len(self._known)

    def dump(self) -> bytes:
        """All of it as MessagePack."""
        return msgspec.msgpack.encode([(key, known.domain) for key, known in self._known.items()])

    @classmethod
    def load(cls, state: bytes) -> "Domains":
        """What `dump` gave."""
        domains = cls()
        for key, domain in msgspec.msgpack.decode(state, type=list[tuple[Key, Domain]]):
            domains._known[key] = Known(domain)
        return domains
