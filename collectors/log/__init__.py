"""
The log: what was received, in order, once, replayable.

One interface, two homes. A message is opaque bytes with a key; a topic has
partitions; within a partition messages have offsets 0, 1, 2... and are read in
that order. What reads the log keeps its own place (`Reader.seek`): the lake
holds the offsets, in the same transaction as the facts, so the log needs no
consumer group and no commit.

    kafka   Apache Kafka, through kafka-python
    local   append-only segment files: the embedded default, and the agent's spool
    opening the one that a configuration names

Before: collectors/ship.py. After: pipeline/run.py.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, Self


class LogError(Exception):
    """The log cannot be used: says which log, what failed, and what to do."""


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Message(NamedTuple):
    """One message read: where it stood, when it was appended, key and value."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes


class Writer(Protocol):
    """Appends messages; each is in the log for good once `flush` returned."""

    def append(self, topic: str, key: bytes, value: bytes) -> None:
        """
        Queue one message. Messages of one key keep their order.

        Raises
        ------
        LogError
            When the log refuses it for good (too large, no right to write).
        """

    def flush(self, timeout_s: float = 30.0) -> None:
        """
        Return when all that was appended is in the log, by its durability policy.

        Raises
        ------
        LogError
            When it is not within ``timeout_s``: nothing is known about what
            was appended since the last flush that returned.
        """

    def close(self) -> None:
        """Flush and let go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Reader(Protocol):
    """Reads messages of the places it was told to, from the offsets it was told."""

    def places(self, prefix: str) -> Sequence[Place]:
        """All partitions of all topics whose name starts with ``prefix``, sorted."""

    def begin_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Oldest offset still kept, for each place."""

    def end_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """Offset the next message will have, for each place."""

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """
        Read these places, and only these, from these offsets on.

        An offset older than what is kept moves to the oldest kept; the caller
        sees it by the gap in `Message.offset` and counts it. The end offset is
        waited at. One past it is refused by `poll`: the log was made anew or
        lost its newest messages, and to go on in silence would be to read
        twice, or to pass over, what it holds now.
        """

    def poll(self, max_bytes: int, timeout_s: float) -> Sequence[Message]:
        """
        Messages ready now, in offset order within a place.

        Returns after ``timeout_s`` with none, or as soon as there are some; at
        most ``max_bytes`` of values, but always at least one message if any is
        ready.

        Raises
        ------
        LogError
            When a place ends before the offset to read next; when the log on
            disk cannot be read. A broker that is away is no error here.
        """

    def close(self) -> None:
        """Let go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
