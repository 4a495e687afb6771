"""
What is remembered of each exporter's domain, and how it is carried over a restart.

A domain is (agent, cluster, network, exporter, format, observation domain):
templates, sampling and numbering of one are never those of another. All of it
is bounded, by domain and by log partition: a sender that invents exporters,
templates or samplers is refused, and takes nothing from those already known.

Before: sets.py. After: control.py, waiting.py.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from pipeline.decode.netflow.sequence import Sequence
from pipeline.decode.netflow.templates import Field, Layout, layout_of

MAX_DOMAINS: Final = 16_384
"""Domains of one log partition; a new one may replace one silent for `IDLE_NS`."""
IDLE_NS: Final = 30 * 60 * 10**9
MAX_TEMPLATES: Final = 1_024
"""Templates of one domain; routers have tens."""
MAX_TEMPLATE_FIELDS: Final = 32_768
"""Fields of all templates of one domain."""
MAX_ALL_TEMPLATE_FIELDS: Final = 4_194_304
"""Fields of all templates of one log partition."""
MAX_SELECTORS: Final = 4_096
"""Samplers of one domain."""
MAX_ALL_SELECTORS: Final = 262_144
"""Samplers of one log partition."""
MAX_PENDING_BYTES: Final = 262_144
MAX_PENDING_SETS: Final = 1_024
"""Sets of one domain that wait for their template."""
MAX_ALL_PENDING_BYTES: Final = 67_108_864
MAX_ALL_PENDING_SETS: Final = 262_144
"""Those of one log partition."""
PENDING_NS: Final = 30 * 60 * 10**9
"""Exporters repeat templates every few minutes at least; a set that waits longer is given up."""
_MAX_SEEN: Final = 64


class Pending(msgspec.Struct, array_like=True):
    """A data set that waits for its template, with what its message said."""

    number: int
    received_ns: int
    export_ns: int
    boot_ns: int
    body: bytes  # with the set's header


class Domain(msgspec.Struct, array_like=True):
    """
    One domain's memory, besides its templates.

    Attributes
    ----------
    heard_ns
        When the newest of its messages was received.
    options
        What options data said: sampling factor by sampler (`ALL` for what is
        told of no sampler), and the exporter's start (`INIT`, milliseconds).
    """

    heard_ns: int = -(1 << 62)
    options: dict[int, float] = {}
    sequence: Sequence = msgspec.field(default_factory=Sequence)
    pending: list[Pending] = []
    pending_bytes: int = 0


ALL: Final = -1
INIT: Final = -2

Key = tuple[str, str, str, str, str, int]
"""Agent, cluster, network, exporter, format, observation domain."""
_Templates = dict[int, int]
_LayoutState = tuple[int | None, list[tuple[int, int, int]]]
_State = tuple[list[_LayoutState], list[tuple[Key, Domain, _Templates]]]


class Known:
    """A `Domain` at work: its layouts, and template sets seen word for word."""

    __slots__ = ("_seen", "domain", "fields", "layouts", "owner")

    def __init__(self, owner: "Domains", domain: Domain) -> None:
        self.owner = owner
        self.domain = domain
        self.layouts: dict[int, Layout] = {}
        self.fields = 0
        self._seen: dict[int, int] = {}  # hash of a template set to how many templates it repeats

    def repeats(self, template_set: bytes) -> int:
        """How many templates this set repeats word for word; 0 if it must be read."""
        return self._seen.get(hash(template_set), 0)

    def repeat(self, template_set: bytes, count: int) -> None:
        """Remember that this set changes nothing, until something else does."""
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen[hash(template_set)] = count

    def learn(self, number: int, layout: Layout | None) -> bool:
        """Take a template or a withdrawal (None); whether anything changed."""
        if self.layouts.get(number) is layout:
            return False
        self._seen.clear()
        change = (len(layout.fields) if layout else 0) - self._fields_of(number)
        self.fields += change
        self.owner.fields += change
        if layout is None:
            del self.layouts[number]
        else:
            self.layouts[number] = layout
        return True

    def _fields_of(self, number: int) -> int:
        layout = self.layouts.get(number)
        return len(layout.fields) if layout else 0

    def tell(self, what: int, value: float) -> bool:
        """Take what options say of a sampler, `ALL` or `INIT`; False if it is one too many."""
        options = self.domain.options
        if what not in options:
            if len(options) >= MAX_SELECTORS or self.owner.selectors >= MAX_ALL_SELECTORS:
                return False
            self.owner.selectors += 1
        options[what] = value
        return True

    def wait(self, pending: Pending) -> bool:
        """Put a set aside; False if too much waits already."""
        domain, owner, size = self.domain, self.owner, len(pending.body)
        if (
            len(domain.pending) >= MAX_PENDING_SETS
            or domain.pending_bytes + size > MAX_PENDING_BYTES
            or owner.pending_sets >= MAX_ALL_PENDING_SETS
            or owner.pending_bytes + size > MAX_ALL_PENDING_BYTES
        ):
            return False
        domain.pending.append(pending)
        self._count_pending(1, size)
        return True

    def take(self, number: int) -> list[Pending]:
        """Sets that waited for a template, which wait no longer."""
        taken = [pending for pending in self.domain.pending if pending.number == number]
        if taken:
            self.domain.pending = [p for p in self.domain.pending if p.number != number]
            self._count_pending(-len(taken), -sum(len(pending.body) for pending in taken))
        return taken

    def give_up(self, now_ns: int) -> list[Pending]:
        """Sets that waited too long, the oldest first."""
        pending, late = self.domain.pending, 0
        while late < len(pending) and now_ns - pending[late].received_ns > PENDING_NS:
            late += 1
        if late:
            self.domain.pending = pending[late:]
            self._count_pending(-late, -sum(len(one.body) for one in pending[:late]))
        return pending[:late]

    def _count_pending(self, sets: int, size: int) -> None:
        self.domain.pending_bytes += size
        self.owner.pending_bytes += size
        self.owner.pending_sets += sets


class Domains:
    """Domains of one log partition, the one heard last at the end."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Known] = OrderedDict()
        self.fields = 0
        self.selectors = 0
        self.pending_sets = 0
        self.pending_bytes = 0
        self.forgotten: list[tuple[Key, Pending, int]] = []
        """Sets that waited in domains now replaced, and the payload that replaced them."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def hear(self, key: Key, now_ns: int, payload: int) -> Known | None:
        """The domain of a key, new if it is not known; None if there are too many."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_DOMAINS and not self._forget_one(now_ns, payload):
                return None
            known = self._known[key] = Known(self, Domain())
        else:
            self._known.move_to_end(key)
        known.domain.heard_ns = max(known.domain.heard_ns, now_ns)
        return known

    def _forget_one(self, now_ns: int, payload: int) -> bool:
        key, oldest = next(iter(self._known.items()))
        if now_ns - oldest.domain.heard_ns <= IDLE_NS:
            return False
        del self._known[key]
        self.forgotten += [(key, pending, payload) for pending in oldest.domain.pending]
        self.fields -= oldest.fields
        self.selectors -= len(oldest.domain.options)
        self.pending_sets -= len(oldest.domain.pending)
        self.pending_bytes -= oldest.domain.pending_bytes
        return True

    def dump(self) -> bytes:
        """All of it as MessagePack; a layout that many domains have is there once."""
        places: dict[Layout, int] = {}
        rows = [
            (
                key,
                known.domain,
                {
                    number: places.setdefault(layout, len(places))
                    for number, layout in known.layouts.items()
                },
            )
            for key, known in self._known.items()
        ]
        layouts = [(layout.scope_count, layout.fields) for layout in places]
        return msgspec.msgpack.encode((layouts, rows))

    @classmethod
    def load(cls, state: bytes) -> "Domains":
        """What `dump` gave."""
        told, rows = msgspec.msgpack.decode(state, type=_State)
        layouts = [
            layout_of(tuple(Field(*field) for field in fields), scopes) for scopes, fields in told
        ]
        domains = cls()
        for key, domain, templates in rows:
            known = domains._known[key] = Known(domains, domain)
            for number, place in templates.items():
                known.learn(number, layouts[place])
            domains.selectors += len(domain.options)
            domains.pending_sets += len(domain.pending)
            domains.pending_bytes += domain.pending_bytes
        return domains
