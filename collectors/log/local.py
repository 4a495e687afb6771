"""
The log on local disk: the embedded default, and an agent's spool.

    root/.lock                               held by the one writer, names it
    root/topic/partition/000000000000.log    segments.py says what is in it

Each `LocalWriter.append` is one write(2) before it returns, so what was
appended outlives the process however that ends. What outlives a loss of power
is what was synced:

    fsync       synced                                          a loss of power costs
    always      at each flush                                   what was not flushed
    interval    at a flush or append, if ``fsync_interval_s``   that interval; after the last flush
                passed since the last time; at close            what the kernel held (about 30 s)
    never       when the kernel likes                           what the kernel held

A writer that opens the log checks the last segment of each partition and cuts
it before its first bad record: there a write was torn. In an older segment a
bad record costs the rest of that segment; readers go on with the next one and
the gap shows in the offsets.

Before: partition.py, cursor.py. After: kafka.py, the other home of the log.
"""

import fcntl
import os
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from collectors.log import LogError, Message, Place
from collectors.log.cursor import Cursor
from collectors.log.partition import Fsync, Partition, Policy
from collectors.log.segments import (
    HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    Segment,
    check_topic,
    is_topic,
    partition_numbers,
    segment_bases,
)

_POLL_SLEEP_S: Final = 0.02
_END_SCAN_BYTES: Final = 1024 * 1024
_LOCK_NAME: Final = ".lock"


class LocalWriter:
    """
    Appends to a log on local disk; one writer at a time for each ``root``.

    For one thread. `LogError` for each refusal: another writer (it is named),
    a full disk, a name that is no topic, a message over 64 MiB.

    Parameters
    ----------
    root
        Folder of the log; made when missing.
    partitions
        Partitions of a topic; a topic that has more keeps them. A key goes to
        the partition of its CRC-32, so its messages keep their order as long
        as the number stays.
    fsync, fsync_interval_s
        What a loss of power may cost: see the module.
    segment_bytes
        A segment that would grow beyond this is closed. Only whole segments
        are deleted, so this is the grain of retention.
    retention_bytes
        Of each partition; oldest segments over it are deleted, never the
        active one: up to ``segment_bytes`` more may be kept. None: no bound.
    retention_s
        Segments whose newest message is older are deleted. None: no bound.
    clock
        Seconds since 1970, for timestamps and age.

    Attributes
    ----------
    cut_bytes
        Bytes of torn or damaged records cut off when this writer opened the
        log, by place; only places where there were any.
    """

    def __init__(
        self,
        root: Path,
        *,
        partitions: int = 1,
        fsync: Fsync = "interval",
        fsync_interval_s: float = 1.0,
        segment_bytes: int = 64 * 1024 * 1024,
        retention_bytes: int | None = None,
        retention_s: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._partition_count = partitions
        self._policy = Policy(
            fsync=fsync,
            fsync_interval_s=fsync_interval_s,
            segment_bytes=segment_bytes,
            retention_bytes=retention_bytes,
            retention_s=retention_s,
            clock=clock,
        )
        self._topics: dict[str, list[Partition]] = {}
        self._lock_file = _take_lock(root)
        self.cut_bytes: dict[Place, int] = {}
        try:
            for place in LocalReader(root).places(""):
                if place.topic not in self._topics:
                    self._open_topic(place.topic)
        except BaseException:
            self._release()
            raise

    def _open_topic(self, topic: str) -> list[Partition]:
        directory = self._root / check_topic(topic)
        count = max([self._partition_count, *(n + 1 for n in partition_numbers(directory))])
        opened: list[Partition] = []
        self._topics[topic] = opened
        for number in range(count):
            place = Place(topic, number)
            try:
                opened.append(Partition(self._root, place, self._policy))
            except OSError as error:
                for partition in opened:
                    partition.close()
                del self._topics[topic]
                raise LogError(f"local log {self._root}: cannot open {place}: {error}") from error
            if opened[-1].cut_bytes:
                self.cut_bytes[place] = opened[-1].cut_bytes
        return opened

    def append(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Write one message behind the others of its partition, at once; see `Writer.append`."""
        self._check_open()
        partitions = self._topics.get(topic) or self._open_topic(topic)
        byte_count = len(key or b"") + len(value)
        if byte_count > MAX_MESSAGE_BYTES:
            raise LogError(
                f"a message of {byte_count} bytes for topic {topic} is over {MAX_MESSAGE_BYTES}:"
                " make smaller batches"
            )
        partition = partitions[zlib.crc32(key or b"") % len(partitions)]
        try:
            partition.append(key, value)
        except OSError as error:
            raise self._refusal("append", error) from error

    def flush(self, timeout_s: float = 30.0) -> None:  # noqa: ARG002 a disk has no timeout
        """Sync as ``fsync`` says, and apply retention; see `Writer.flush`."""
        self._check_open()
        try:
            for partition in self._all_partitions():
                partition.flush()
        except OSError as error:
            raise self._refusal("flush", error) from error

    def delete_through(self, place: Place, offset: int) -> None:
        """
        Forget messages below ``offset``, which is the next one still wanted.

        Deletes the segments that lie wholly below it. When all that was
        appended is below, nothing is left on disk but an empty segment that
        keeps the count of offsets.
        """
        self._check_open()
        partitions = self._topics.get(place.topic, [])
        if not 0 <= place.partition < len(partitions):
            raise LogError(f"local log {self._root} has no {place}")
        try:
            partitions[place.partition].delete_through(offset)
        except OSError as error:
            raise self._refusal("delete", error) from error

    def byte_count(self) -> int:
        """Bytes of all segments on disk: what a bounded spool looks at."""
        return sum(partition.byte_count() for partition in self._all_partitions())

    def close(self) -> None:
        """Sync (unless ``fsync`` is "never") and let go; a second time does nothing."""
        if self._lock_file < 0:
            return
        try:
            for partition in self._all_partitions():
                partition.flush(closing=True)
        except OSError as error:
            raise self._refusal("close", error) from error
        finally:
            self._release()

    def _release(self) -> None:
        for partition in self._all_partitions():
            partition.close()
        self._topics = {}
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    def _all_partitions(self) -> list[Partition]:
        return [partition for partitions in self._topics.values() for partition in partitions]

    def _check_open(self) -> None:
        if self._lock_file < 0:
            raise LogError(f"local log {self._root} is closed for this writer")

    def _refusal(self, what: str, error: OSError) -> LogError:
        return LogError(
            f"local log {self._root}: {what} failed: {error}; what was appended before is kept:"
            " look at free space and rights of that folder"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _take_lock(root: Path) -> int:
    """Become the one writer of ``root``; the open file that holds the lock."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock_file = os.open(root / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise LogError(f"local log {root} cannot be written: {error}") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock_file, 0)
        os.pwrite(lock_file, f"pid {os.getpid()}: {' '.join(sys.orig_argv)[:200]}".encode(), 0)
    except OSError as error:
        holder = os.pread(lock_file, 1000, 0).decode(errors="replace") or "unknown"
        os.close(lock_file)
        if isinstance(error, BlockingIOError):
            raise LogError(
                f"local log {root} has a writer already ({holder}): stop it, or use another folder"
            ) from error
        raise LogError(f"local log {root} cannot be locked: {error}") from error
    return lock_file


class LocalReader:
    """
    Reads a log on local disk, also while another process writes it.

    For one thread. Sees whole records only: a half-written one is not there
    yet. The log need not exist when the reader is made.

    Parameters
    ----------
    root
        Folder of the log.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cursors: list[Cursor] = []
        self._ends: dict[Place, Segment] = {}
        self._turn = 0

    def places(self, prefix: str) -> list[Place]:
        """See `Reader.places`."""
        try:
            topics = [path.name for path in self._root.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(
            Place(topic, number)
            for topic in topics
            if topic.startswith(prefix) and is_topic(topic)
            for number in partition_numbers(self._root / topic)
        )

    def begin_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """See `Reader.begin_offsets`; 0 for a place that is not there yet."""
        return {place: min(segment_bases(self._directory(place)), default=0) for place in places}

    def end_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """See `Reader.end_offsets`; 0 for a place that is not there yet."""
        return {place: self._end_offset(place) for place in places}

    def _end_offset(self, place: Place) -> int:
        while bases := segment_bases(self._directory(place)):
            segment = self._ends.get(place)
            if segment is None or segment.base != bases[-1] or segment.size() < segment.position:
                if segment is not None:
                    segment.close()
                    del self._ends[place]
                try:
                    segment = Segment(self._directory(place), place, bases[-1])
                except FileNotFoundError:  # drained and deleted meanwhile: look again
                    continue
                self._ends[place] = segment
            while segment.walk(_END_SCAN_BYTES):
                pass
            return segment.offset
        return 0

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """See `Reader.seek`."""
        for cursor in self._cursors:
            cursor.close()
        self._cursors = [Cursor(self._root, place, offset) for place, offset in offsets.items()]

    def poll(self, max_bytes: int, timeout_s: float) -> list[Message]:
        """See `Reader.poll`; the bytes counted are those of whole records."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self._read(max_bytes)
            left_s = deadline - time.monotonic()
            if found or left_s <= 0:
                return found
            time.sleep(min(_POLL_SLEEP_S, left_s))

    def _read(self, max_bytes: int) -> list[Message]:
        """Read what is there now; each place comes first in its turn, so that none starves."""
        self._turn += 1
        first = self._turn % max(1, len(self._cursors))
        found: list[Message] = []
        room = max_bytes
        for cursor in self._cursors[first:] + self._cursors[:first]:
            try:
                messages = cursor.read(room, at_least_one=not found)
            except OSError as error:
                raise LogError(f"local log {self._root} cannot be read: {error}") from error
            found += messages
            room -= sum(HEADER_BYTES + len(m.key or b"") + len(m.value) for m in messages)
        return found

    def _directory(self, place: Place) -> Path:
        return self._root / place.topic / str(place.partition)

    def close(self) -> None:
        """Let go of all files; a second time does nothing."""
        self.seek({})
        for segment in self._ends.values():
            segment.close()
        self._ends = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
