"""
Inventory that is asked for as a whole, again and again: clouds, exports, IP plans.

    ask → Listing, Listing... → begin, a put for each object, end → batch

A source answers with *listings*: each is all objects of one resource of one
scope. A listing that fails part way is shipped without ``end``, so it says what
is there and nothing about what is gone; the others of the same answer are whole
all the same. It is counted as ``inventory_failed``, and told in the log when
that begins, when the kind of failure changes, and when it ends.

Nothing is lost here while the queue behind is full: the answer waits, and the
next question is late.

Before: aws.py, exports.py, netbox.py (which ask). After: change.py, batch.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from collectors.batch import Batcher
from collectors.change import Change, encode
from collectors.envelope import Envelope
from collectors.ship import Parcel, Shipper

_log = logging.getLogger(__name__)

MAX_OBJECT_BYTES: Final = 512 * 1024
"""A larger object is left out, as ``object_too_large``, and its listing has no ``end``."""


class ListingError(Exception):
    """
    A listing, or a whole answer, that could not be had.

    ``kind`` is what went wrong in a word or two that do not vary from one time
    to the next (``AccessDenied``): the log tells of a failure when it changes.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class Listing(NamedTuple):
    """
    All objects of one resource of one scope.

    Attributes
    ----------
    scope, resource
        As in `collectors.change.Change`.
    objects
        uid and JSON of each, each uid once. Taken one by one while they are
        shipped, so they may come page by page; raises `ListingError` where the
        rest cannot be had.
    """

    scope: str
    resource: str
    objects: Iterable[tuple[str, bytes]]


Ask = Callable[[threading.Event], Iterable[Listing]]
"""
Asks a source for all it has; given what says that the agent ends.

Raises `ListingError` when nothing can be had, at once or instead of a next listing.
"""


def follow_listings(
    name: str,
    ask: Ask,
    batcher: Batcher,
    shipper: Shipper,
    stop: threading.Event,
    *,
    interval_s: float,
) -> None:
    """
    Ask at once, and then every ``interval_s`` seconds until ``stop`` is set.

    Parameters
    ----------
    name
        Exporter of all payloads: one source.
    ask
        See `Ask`. What else it raises ends the input.
    batcher, shipper
        What comes next.
    stop
        Looked at before each object.
    interval_s
        From one question to the next; an answer that takes longer is followed
        by the next question at once.
    """
    _Follower(name, batcher, shipper, stop).run(interval_s, ask)


class _Follower:
    def __init__(
        self, name: str, batcher: Batcher, shipper: Shipper, stop: threading.Event
    ) -> None:
        self._name = name
        self._batcher = batcher
        self._shipper = shipper
        self._stop = stop
        self._version = 0
        self._failing: dict[tuple[str, str], str] = {}

    def run(self, interval_s: float, ask: Ask) -> None:
        while not self._stop.is_set():
            due_s = time.monotonic() + interval_s
            self._take(ask)
            self._hand_on(self._batcher.take())
            self._stop.wait(max(0.0, due_s - time.monotonic()))

    def _take(self, ask: Ask) -> None:
        """Ship an answer, listing by listing."""
        try:
            for listing in ask(self._stop):
                self._tell(listing.scope, listing.resource, self._ship(listing))
                if self._stop.is_set():
                    return
                self._hand_on(self._batcher.take_if_older())
        except ListingError as error:
            self._batcher.drop("inventory_failed")
            self._tell("", "", error)
        else:
            self._tell("", "", None)

    def _ship(self, listing: Listing) -> ListingError | None:
        """Ship a listing; why it is not whole, if it is not."""
        failure = None
        count = 0
        objects = iter(listing.objects)
        try:
            found = next(objects, None)
            self._version = version = max(self._version + 1, time.time_ns())
            change = Change("begin", listing.resource, listing.scope, version=version)
            self._add(encode(change))
            while found is not None and not self._stop.is_set():
                uid, text = found
                if len(text) > MAX_OBJECT_BYTES:
                    self._batcher.drop("object_too_large")
                    failure = ListingError("object_too_large", f"{uid} has {len(text)} bytes")
                else:
                    self._add(encode(_put(change, uid, text)))
                    count += 1
                found = next(objects, None)
        except ListingError as error:
            self._batcher.drop("inventory_failed")
            return error
        if failure is None and not self._stop.is_set():
            self._add(encode(msgspec.structs.replace(change, op="end", count=count)))
        return failure

    def _add(self, payload: bytes) -> None:
        if len(self._batcher) and len(payload) > self._batcher.room()[1]:
            self._hand_on(self._batcher.take())
        self._hand_on(self._batcher.add(time.time_ns(), self._name, payload))

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is not None and not self._shipper.put(Parcel(envelope), self._stop):
            self._batcher.refuse(envelope, "queue_full")

    def _tell(self, scope: str, resource: str, error: ListingError | None) -> None:
        """Tell of a failure when its kind is a new one, and of its end."""
        what = " ".join(part for part in (self._name, scope, resource) if part)
        before = self._failing.pop((scope, resource), "")
        if error is not None:
            self._failing[scope, resource] = error.kind
            if error.kind != before:
                _log.warning("%s is not told in full: %s", what, error)
        elif before:
            _log.info("%s is told in full again", what)


def _put(begin: Change, uid: str, text: bytes) -> Change:
    return Change("put", begin.resource, begin.scope, uid, begin.version, object=msgspec.Raw(text))
