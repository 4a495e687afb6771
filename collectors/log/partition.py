"""
The writing end of one partition of the local log: append, sync, roll, forget.

Knows nothing of locks and topics: `local.LocalWriter` holds the lock of the
whole log while it has any of these.

Before: segments.py. After: cursor.py, then local.py.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collectors.log import Place
from collectors.log.segments import Segment, pack_head, segment_bases, segment_path

_log = logging.getLogger(__name__)

Fsync = Literal["always", "interval", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a writer syncs, rolls and forgets; see `LocalWriter`."""

    fsync: Fsync
    fsync_interval_s: float
    segment_bytes: int
    retention_bytes: int | None
    retention_s: float | None
    clock: Callable[[], float]


@dataclass(slots=True)
class _Closed:
    """A segment that is no longer written."""

    base: int
    byte_count: int
    newest_s: float


class Partition:
    """The writing end of one partition: closed segments, and the active one."""

    def __init__(self, root: Path, place: Place, policy: Policy) -> None:
        self._place = place
        self._policy = policy
        self._directory = root / place.topic / str(place.partition)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._synced_at = time.monotonic()
        self._dirty = False
        self._file = -1
        *closed, base = segment_bases(self._directory) or [0]
        self._closed = [self._measure(base) for base in closed]
        self.cut_bytes = self._open(base)
        self.retain()

    def _measure(self, base: int) -> _Closed:
        status = segment_path(self._directory, base).stat()
        return _Closed(base, status.st_size, status.st_mtime)

    def _open(self, base: int) -> int:
        """Make the segment of ``base`` the active one; bytes cut off its end."""
        path = segment_path(self._directory, base)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._base = base
        self._first_s = self._newest_s = self._policy.clock()
        with Segment(self._directory, self._place, base) as segment:
            while messages := segment.walk(1 << 20):
                if messages[0].offset == base:
                    self._first_s = messages[0].timestamp_ms / 1000
                self._newest_s = messages[-1].timestamp_ms / 1000
            cut_bytes = segment.size() - segment.position
            self._position, self.next_offset = segment.position, segment.offset
        if cut_bytes:
            os.ftruncate(self._file, self._position)
            _log.warning(
                "cut %d bytes of a torn or damaged record off %s; next offset is %d",
                cut_bytes,
                path,
                self.next_offset,
            )
        if self._policy.fsync != "never":
            os.fsync(self._file)
            sync_directory(self._directory)
        return cut_bytes

    def append(self, key: bytes | None, value: bytes) -> None:
        """Write one record, whole, behind the others."""
        now_s = self._policy.clock()
        head = pack_head(self.next_offset, int(now_s * 1000), key, value)
        byte_count = len(head) + len(key or b"") + len(value)
        if self._position and self._position + byte_count > self._policy.segment_bytes:
            self.roll()
        parts = (head, key or b"", value)
        try:
            written = os.pwritev(self._file, parts, self._position)
            if written < byte_count:  # the rest tells why: a full disk, a limit
                rest = memoryview(b"".join(parts))[written:]
                while rest:
                    written = os.pwrite(self._file, rest, self._position + byte_count - len(rest))
                    rest = rest[written:]
        except OSError:
            os.ftruncate(self._file, self._position)
            raise
        if not self._position:
            self._first_s = now_s
        self._newest_s = now_s
        self._position += byte_count
        self.next_offset += 1
        self._dirty = True
        if self._policy.fsync == "interval":
            self.sync(only_if_due=True)

    def sync(self, *, only_if_due: bool = False) -> None:
        """Hand what was written to the disk itself."""
        now = time.monotonic()
        due = now - self._synced_at >= self._policy.fsync_interval_s
        if self._dirty and (due or not only_if_due):
            os.fsync(self._file)
            self._dirty = False
            self._synced_at = now

    def roll(self) -> None:
        """Close the active segment, and begin the next."""
        if self._policy.fsync != "never":
            self.sync()
        closed = _Closed(self._base, self._position, self._newest_s)
        old_file = self._file
        self._open(self.next_offset)
        os.close(old_file)
        self._closed.append(closed)
        self.retain()

    def retain(self) -> None:
        """Delete oldest segments while they are over the bounds of age or size."""
        kept_bytes, kept_s = self._policy.retention_bytes, self._policy.retention_s
        oldest_s = self._policy.clock() - kept_s if kept_s is not None else float("-inf")
        if self._position and self._first_s < oldest_s:
            self.roll()  # comes back here, with nothing in the active segment
            return
        while self._closed and (
            self._closed[0].newest_s < oldest_s
            or (kept_bytes is not None and self.byte_count() > kept_bytes)
        ):
            self._delete_oldest()

    def delete_through(self, offset: int) -> None:
        """Delete segments wholly below ``offset``."""
        if self._position and self.next_offset <= offset:
            self.roll()
        bases = [closed.base for closed in self._closed[1:]] + [self._base]
        for next_base in bases:
            if not self._closed or next_base > offset:
                break
            self._delete_oldest()

    def _delete_oldest(self) -> None:
        segment_path(self._directory, self._closed[0].base).unlink(missing_ok=True)
        del self._closed[0]

    def byte_count(self) -> int:
        """Bytes on disk."""
        return self._position + sum(closed.byte_count for closed in self._closed)

    def flush(self, *, closing: bool = False) -> None:
        """Sync as the policy says, and forget what is too old."""
        if self._policy.fsync != "never":
            self.sync(only_if_due=self._policy.fsync == "interval" and not closing)
        if not closing:
            self.retain()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def sync_directory(directory: Path) -> None:
    """Make names of new files in a folder outlive a loss of power."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
