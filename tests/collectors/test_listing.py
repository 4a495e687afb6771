"""Listings of a source that is asked at an interval: whole ones end, others do not, all is counted."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from collectors import listing
from collectors.batch import Batcher
from collectors.change import Change, decode
from collectors.config import BatchConfig
from collectors.envelope import Envelope, Header
from collectors.listing import Listing, ListingError, follow_listings
from collectors.ship import Parcel


class Ships:
    """Takes envelopes, as a `Shipper` whose queue has room for ``room`` of them."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.envelopes: list[Envelope] = []

    def put(self, parcel: Parcel, stop: threading.Event) -> bool:
        """See `Shipper.put`."""
        if len(self.envelopes) >= self.room:
            assert stop.wait(10)
            return False
        self.envelopes.append(parcel.envelope)
        return True

    def changes(self) -> list[Change]:
        """All changes, in their order."""
        return [
            decode(row["payload"])
            for envelope in self.envelopes
            for row in envelope.payloads.to_pylist()
        ]


def follow(
    *answers: Callable[[], Iterable[Listing]], ships: Ships | None = None, **batch: Any
) -> tuple[Ships, Batcher]:
    """Follow a source that gives these answers, one after the other, until it has given all."""
    taker = ships or Ships()
    batcher = Batcher(Header("a", "east", "net", "aws"), BatchConfig(**batch))
    rest = list(answers)
    stop = threading.Event()

    def ask(_: threading.Event) -> Iterator[Listing]:
        try:
            yield from rest.pop(0)()
        finally:
            if not rest:
                stop.set()

    follow_listings("source", ask, batcher, taker, stop, interval_s=0.001)
    return taker, batcher


def told(changes: list[Change]) -> list[tuple[str, str, bytes]]:
    """What a test reads of changes."""
    return [(change.op, change.uid, bytes(change.object)) for change in changes]


def breaks() -> Iterator[tuple[str, bytes]]:
    """A listing whose second page does not come."""
    yield "i-1", b'{"a":1}'
    raise ListingError("Throttling", "slow down")


def test_a_listing_is_begin_puts_end():
    """All objects as they were given, between begin and end, under one version; end counts them."""
    found = [("i-1", b'{"a":1}'), ("i-2", b'{"a":2}')]
    ships, batcher = follow(lambda: [Listing("1/eu", "ec2.vms", found), Listing("1/eu", "x", [])])
    changes = ships.changes()
    assert told(changes) == [
        ("begin", "", b"null"),
        ("put", "i-1", b'{"a":1}'),
        ("put", "i-2", b'{"a":2}'),
        ("end", "", b"null"),
        ("begin", "", b"null"),
        ("end", "", b"null"),
    ]
    assert [change.count for change in changes] == [0, 0, 0, 2, 0, 0]
    assert {change.scope for change in changes} == {"1/eu"}
    assert [change.resource for change in changes] == ["ec2.vms"] * 4 + ["x"] * 2
    first, second = changes[0].version, changes[4].version
    assert [change.version for change in changes] == [first] * 4 + [second] * 2
    assert 1_700_000_000_000_000_000 < first < second
    assert ships.envelopes[0].payloads["exporter"].to_pylist() == ["source"] * 6
    assert batcher.lost == {}


def test_versions_grow_when_the_clock_does_not(monkeypatch: pytest.MonkeyPatch):
    """The later of two answers has the greater version, whatever the clock was set to."""
    clock = iter(range(2_000, 1_000, -1))
    monkeypatch.setattr(listing.time, "time_ns", lambda: next(clock))
    ships, _ = follow(*[lambda: [Listing("", "x", [])]] * 3)
    versions = [change.version for change in ships.changes() if change.op == "begin"]
    assert versions == [2_000, 2_001, 2_002]


def test_a_listing_that_breaks_has_no_end_and_others_are_whole():
    """What failed part way is no evidence that something is gone; the next one is not touched."""
    ships, batcher = follow(
        lambda: [Listing("", "vms", breaks()), Listing("", "nets", [("n-1", b"{}")])]
    )
    ops = [(change.resource, change.op) for change in ships.changes()]
    assert ops == [
        ("vms", "begin"),
        ("vms", "put"),
        ("nets", "begin"),
        ("nets", "put"),
        ("nets", "end"),
    ]
    assert batcher.lost == {"inventory_failed": 1}


def test_losses_are_told_by_the_next_envelope():
    """A source that gives nothing still makes an envelope, which says so."""

    def refuses() -> Iterator[Listing]:
        raise ListingError("NoCredentials", "")
        yield

    ships, batcher = follow(refuses, refuses)
    assert ships.changes() == []
    assert sum(e.header.dropped["inventory_failed"] for e in ships.envelopes) == 2
    assert batcher.lost == {"inventory_failed": 2}


def test_an_object_too_large_is_left_out_and_nothing_vanishes():
    """It is counted, the listing has no end, and what follows it is shipped."""
    large = b'"' + b"x" * listing.MAX_OBJECT_BYTES + b'"'
    ships, batcher = follow(lambda: [Listing("", "vms", [("big", large), ("i-2", b"{}")])])
    assert told(ships.changes()) == [("begin", "", b"null"), ("put", "i-2", b"{}")]
    assert batcher.lost == {"object_too_large": 1}


def test_a_failure_is_logged_when_it_changes(caplog: pytest.LogCaptureFixture):
    """One line when it begins, one for another kind, one when it is over: not one a round."""

    def fails(kind: str) -> Iterator[tuple[str, bytes]]:
        raise ListingError(kind, "no")
        yield

    kinds = ("Denied", "Denied", "Throttling", "Throttling", "", "")
    with caplog.at_level(logging.INFO):
        follow(
            *(
                lambda kind=kind: [Listing("1/eu", "vms", fails(kind) if kind else [])]
                for kind in kinds
            )
        )
    assert [record.getMessage() for record in caplog.records] == [
        "source 1/eu vms is not told in full: Denied: no",
        "source 1/eu vms is not told in full: Throttling: no",
        "source 1/eu vms is told in full again",
    ]


def test_batches_are_cut_by_size():
    """Objects go on as they come, in batches no larger than configured, in order."""
    found = [(f"i-{n}", b'"' + b"x" * 300 + b'"') for n in range(20)]
    ships, _ = follow(lambda: [Listing("", "vms", found)], max_bytes=1_024)
    assert [change.uid for change in ships.changes()] == ["", *(f"i-{n}" for n in range(20)), ""]
    sizes = [sum(map(len, e.payloads["payload"].to_pylist())) for e in ships.envelopes]
    assert max(sizes) <= 1_024
    assert len(sizes) > 8


def test_an_answer_waits_while_the_queue_is_full():
    """Nothing is lost for want of room but what waits when the agent ends, and that is counted."""
    found = [(f"i-{n}", b'"' + b"x" * 300 + b'"') for n in range(9)]
    ships = Ships(room=1)
    batcher = Batcher(Header("a", "east", "net", "aws"), BatchConfig(max_bytes=1_024))
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    follow_listings("s", lambda _: [Listing("", "vms", found)], batcher, ships, stop, interval_s=60)
    shipped = len(ships.changes())
    assert 0 < shipped < 9
    assert set(batcher.lost) == {"queue_full"}
    assert batcher.received == shipped + batcher.lost["queue_full"]
    assert all(change.op != "end" for change in ships.changes())
