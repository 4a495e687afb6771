"""
Which objects of a source are there, and since when: changes put in their order.

A change counts once: an older version than the one known, and a repeated one,
change nothing (an older one may still say that something was so earlier). An
object is gone when its source deletes it, or when a whole list leaves it out;
then all that is known is that it was there when it was last heard of, and is
not when the list ends.

A clock that runs back does not turn lives round: an object's change is never
dated before the one it follows.

Before: decode.py. After: registry.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import polars as pl
import xxhash

from pipeline.inventory.sources import Key

_TOMBSTONES: Final = 100_000
"""Gone objects remembered by each source, so that what is told of them late is known as such."""


class Change(NamedTuple):
    """The columns of a row of `schema.CHANGES` that lives need."""

    op: str
    key: Key
    version: int
    put_count: int
    time_us: int
    text: bytes


class Event(NamedTuple):
    """
    What a change comes to.

    Attributes
    ----------
    what
        ``is``: the object is so from ``time_us`` on; ``was``: it was so at ``time_us``, which is
        known late; ``gone``: it was there at ``seen_us``, and is not at ``time_us``.
    """

    what: Literal["is", "was", "gone"]
    key: Key
    object_id: int
    time_us: int
    seen_us: int
    text: bytes


@dataclass(slots=True)
class _Object:
    object_id: int
    version: int
    digest: int
    changed_us: int
    heard_us: int
    gone: bool = False


@dataclass(slots=True)
class _Set:
    """Objects of one resource in one scope."""

    objects: dict[str, _Object] = field(default_factory=dict)
    heard_us: int = 0
    listed_us: int | None = None
    listing: dict[str, int] | None = None
    """Uid to puts of it since ``begin``; None: no list is being told."""
    before_us: int = 0
    """When the set was heard of last before that list."""
    there: int = 0


class Lives:
    """
    Objects of one source of one cluster.

    Parameters
    ----------
    kind, cluster, network
        Of the source, and of the agent that asks it.
    """

    def __init__(self, kind: str, cluster: str, network: str) -> None:
        self._source = (kind, cluster, network)
        self._sets: dict[tuple[str, str], _Set] = {}
        self._gone: dict[tuple[str, str, str], None] = {}
        self._changed: dict[int, tuple[object, ...]] = {}
        self._heard: set[tuple[str, str]] = set()

    def take(self, change: Change) -> Iterable[Event]:
        """What this change comes to, in order."""
        scope, resource, _ = change.key
        found = self._sets.get((scope, resource))
        if found is None:
            found = self._sets[scope, resource] = _Set()
        self._heard.add((scope, resource))
        if change.op == "begin":
            found.listing, found.before_us = {}, found.heard_us
            return ()
        if change.op == "end":
            return self._end(found, change)
        found.heard_us = max(found.heard_us, change.time_us)
        if change.op == "put":
            return self._put(found, change)
        return self._delete(found, change) if change.op == "delete" else ()

    def restore(self, objects: pl.DataFrame, sources: pl.DataFrame) -> Iterator[Event]:
        """Begin with rows of `schema.OBJECTS` and `schema.INVENTORY_SOURCES`; gives each object."""
        columns = ("object_id", "scope", "resource", "uid", "version", "object")
        times = pl.col("changed_time", "gone_time").to_physical()
        for object_id, scope, resource, uid, version, text, changed, gone in objects.select(
            *columns, times
        ).iter_rows():
            found = self._sets.setdefault((scope, resource), _Set())
            digest = xxhash.xxh3_64_intdigest(text)
            one = _Object(object_id, version, digest, changed, changed, gone is not None)
            found.objects[uid] = one
            if gone is None:
                found.there += 1
                yield Event("is", Key(scope, resource, uid), object_id, changed, changed, text)
            else:
                self._gone[scope, resource, uid] = None
        heard = pl.col("heard_time", "listed_time").to_physical()
        for scope, resource, heard_us, listed_us in sources.select(
            "scope", "resource", heard
        ).iter_rows():
            found = self._sets.setdefault((scope, resource), _Set())
            found.heard_us, found.listed_us = heard_us, listed_us

    def changed(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """Rows of `schema.OBJECTS` and `schema.INVENTORY_SOURCES` that are new since last asked."""
        kind, cluster, _ = self._source
        sources: list[tuple[object, ...]] = []
        for scope, resource in self._heard:
            found = self._sets[scope, resource]
            number = _hash(kind, cluster, scope, resource)
            row = (number, kind, cluster, scope, resource, found.listed_us, found.heard_us)
            sources.append((*row, found.there))
        objects = list(self._changed.values())
        self._changed, self._heard = {}, set()
        return objects, sources

    def _put(self, found: _Set, change: Change) -> Iterable[Event]:
        uid = change.key.uid
        if found.listing is not None:
            found.listing[uid] = found.listing.get(uid, 0) + 1
        digest = xxhash.xxh3_64_intdigest(change.text)
        one = found.objects.get(uid)
        if one is None:
            number = _hash(*self._source[:2], *change.key)
            one = found.objects[uid] = _Object(
                number, change.version, digest, change.time_us, change.time_us
            )
            found.there += 1
        elif change.version < one.version or (one.gone and change.version == one.version):
            if change.time_us < one.changed_us:
                return (_event("was", change, one, change.time_us),)
            return ()
        else:
            same = digest == one.digest and not one.gone
            one.version, one.digest = change.version, digest
            one.heard_us = max(one.heard_us, change.time_us)
            if same:
                return ()
            one.changed_us = max(one.changed_us, change.time_us)
            if one.gone:
                one.gone = False
                found.there += 1
                self._gone.pop(change.key, None)
        self._write(one, change.key, change.text, None)
        return (_event("is", change, one, one.changed_us),)

    def _delete(self, found: _Set, change: Change) -> Iterable[Event]:
        one = found.objects.get(change.key.uid)
        if one is None:
            number = _hash(*self._source[:2], *change.key)
            one = _Object(number, change.version, 0, change.time_us, change.time_us, gone=True)
            found.objects[change.key.uid] = one
            self._bury(change.key)
            return ()
        if one.gone or change.version < one.version:
            return ()
        one.version = change.version
        time_us = max(change.time_us, one.changed_us)
        event = Event("gone", change.key, one.object_id, time_us, time_us, change.text)
        return (self._end_of(found, one, event),)

    def _end(self, found: _Set, change: Change) -> Iterable[Event]:
        listing, found.listing = found.listing, None
        if listing is None or sum(listing.values()) != change.put_count:
            return ()  # a part of the list was lost: no evidence that anything is gone
        found.listed_us = change.time_us
        scope, resource, _ = change.key
        events = []
        for uid, one in list(found.objects.items()):
            if not one.gone and uid not in listing:
                seen_us = max(one.heard_us, found.before_us)
                time_us = max(change.time_us, one.changed_us)
                key = Key(scope, resource, uid)
                one.version = max(one.version, change.version)
                gone = Event("gone", key, one.object_id, time_us, min(seen_us, time_us), b"")
                events.append(self._end_of(found, one, gone))
        found.heard_us = max(found.heard_us, change.time_us)
        return events

    def _end_of(self, found: _Set, one: _Object, event: Event) -> Event:
        one.gone, one.changed_us = True, event.time_us
        found.there -= 1
        self._bury(event.key)
        self._write(one, event.key, event.text, event.time_us)
        return event

    def _bury(self, key: Key) -> None:
        self._gone[key] = None
        if len(self._gone) > _TOMBSTONES:
            scope, resource, uid = next(iter(self._gone))
            del self._gone[scope, resource, uid]
            self._sets[scope, resource].objects.pop(uid, None)

    def _write(self, one: _Object, key: Key, text: bytes, gone_us: int | None) -> None:
        row = (one.object_id, *self._source, *key, one.version, one.changed_us, gone_us, text)
        self._changed[one.object_id] = row


def _event(what: Literal["is", "was"], change: Change, one: _Object, time_us: int) -> Event:
    return Event(what, change.key, one.object_id, time_us, time_us, change.text)


def _hash(*parts: str) -> int:
    return xxhash.xxh3_64_intdigest("\0".join(parts).encode())
