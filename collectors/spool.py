"""
Envelopes on disk while the log is away: bounded, in order, outliving kill -9.

    directory/spool/          a local log of one topic; keys are the caller's
    directory/shipped.json    offset of the oldest envelope not yet in the log

An envelope is synced to disk before `Spool.put` returns. The offset is saved
after the log has taken what is below it: an agent killed in between ships
those envelopes once more, byte for byte, and their sequence numbers show it.

Before: ship.py. After: ship.py, when the log is back.
"""

import os
import threading
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from collectors.config import SpoolConfig
from collectors.log import LogError, Message, Place
from collectors.log.local import LocalReader, LocalWriter

_TOPIC: Final = "spool"
_PLACE: Final = Place(_TOPIC, 0)
_SCAN_BYTES: Final = 8 * 1024 * 1024
_RECORD_BYTES: Final = 128
"""More than what the log adds to an envelope: head and key."""


class _Shipped(msgspec.Struct, frozen=True):
    """Content of ``shipped.json``."""

    next_offset: int = 0


class Spool:
    """
    A bounded queue on disk. For any number of threads.

    Parameters
    ----------
    directory
        Folder of this agent; no other agent uses it.
    config
        Bound and policy. ``max_bytes`` holds on disk, with what was shipped
        but not yet deleted: one segment, a sixteenth of it, is kept free.
    """

    def __init__(self, directory: Path, config: SpoolConfig) -> None:
        segment_bytes = min(config.max_bytes // 16, 64 * 1024 * 1024)
        self._limit = config.max_bytes - segment_bytes
        self._drop_oldest = config.policy == "drop_oldest"
        self._shipped_path = directory / "shipped.json"
        self._lock = threading.Lock()
        root = directory / "spool"
        self._writer = LocalWriter(root, fsync="always", segment_bytes=segment_bytes)
        self._reader = LocalReader(root)
        self._head: deque[Message] = deque()
        self._count = self._byte_count = 0
        self._next_offset = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Measure what is waiting from the last time."""
        begin = self._reader.begin_offsets([_PLACE])[_PLACE]
        end = self._reader.end_offsets([_PLACE])[_PLACE]
        self._next_offset = min(max(begin, _load(self._shipped_path)), end)
        self._reader.seek({_PLACE: self._next_offset})
        while messages := self._reader.poll(_SCAN_BYTES, 0):
            self._count += len(messages)
            self._byte_count += sum(_size(message.value) for message in messages)
        self._reader.seek({_PLACE: self._next_offset})

    def __len__(self) -> int:
        """Envelopes that wait."""
        return self._count

    @property
    def byte_count(self) -> int:
        """Bytes that wait."""
        return self._byte_count

    def put(self, key: bytes, value: bytes) -> list[Message]:
        """
        Keep one envelope behind the others; those that were lost for it.

        With ``drop_newest`` and no room that is the envelope itself, with -1
        for its offset; with ``drop_oldest`` as many of the oldest as it takes.
        What `peek` gave last may be among them.

        Raises
        ------
        LogError
            When the disk does not take it.
        """
        with self._lock:
            size = _size(value)
            if not self._drop_oldest and self._byte_count + size > self._limit:
                return [_refused(key, value)]
            lost = []
            while self._count and self._byte_count + size > self._limit:
                head = self._peek(1)
                if not head:  # damaged on disk: the reader went past it
                    self._count = self._byte_count = 0
                    break
                lost.append(head[0])
                self._forget(1)
            if lost:
                self._save()
            if size > self._limit:
                return [*lost, _refused(key, value)]
            self._writer.append(_TOPIC, key, value)
            self._writer.flush()
            self._count += 1
            self._byte_count += size
            return lost

    def peek(self, max_bytes: int) -> list[Message]:
        """Oldest envelopes, at least one if there is one."""
        with self._lock:
            return self._peek(max_bytes)

    def _peek(self, max_bytes: int) -> list[Message]:
        if not self._head and self._count:
            self._head.extend(self._reader.poll(max_bytes, 0))
            if not self._head:
                self._count = self._byte_count = 0
        return list(self._head)

    def done(self, offset: int) -> None:
        """All up to and with ``offset`` are in the log: forget them, for good."""
        with self._lock:
            self._forget(sum(message.offset <= offset for message in self._head))
            self._save()

    def _forget(self, count: int) -> None:
        for _ in range(count):
            message = self._head.popleft()
            self._next_offset = message.offset + 1
            self._count -= 1
            self._byte_count -= _size(message.value)

    def _save(self) -> None:
        state = msgspec.json.encode(_Shipped(self._next_offset))
        try:
            save_atomically(self._shipped_path, state)
        except OSError as error:
            raise LogError(f"spool {self._shipped_path} cannot be written: {error}") from error
        self._writer.delete_through(_PLACE, self._next_offset)

    def close(self) -> None:
        """Let go; what waits stays on disk."""
        with self._lock:
            self._reader.close()
            self._writer.close()


def _refused(key: bytes, value: bytes) -> Message:
    return Message(*_PLACE, -1, 0, key, value)


def _size(value: bytes) -> int:
    return len(value) + _RECORD_BYTES


def _load(path: Path) -> int:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Shipped).next_offset
    except FileNotFoundError:
        return 0
    except (OSError, msgspec.MsgspecError) as error:
        raise LogError(
            f"{path} cannot be read: {error}; without it the whole spool is shipped again:"
            " remove the file if that may be"
        ) from error


def save_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old content or the new, synced to disk."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
