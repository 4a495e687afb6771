"""
Segment files: how the local log lies on disk, and how one file is walked.

    root/topic/partition/000000000000.log     named by the first offset in it

    record   length u32 | crc32c u32 | offset u64 | timestamp_ms i64 | key length i32 | key | value
             big-endian; length and crc32c are of all that follows them; key length -1: no key

Offsets in a file are consecutive from its name, so a record that passes its
checksum but stands at the wrong place is refused as well. After a bad record
nothing of that file is believed: a value may hold bytes that look like a
record, so no attempt is made to find the next one.

Before: __init__.py. After: partition.py (writes), cursor.py (reads).
"""

import os
import re
import struct
from pathlib import Path
from typing import Final, Self

import crc32c

from collectors.log import LogError, Message, Place

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Key and value together; a longer length on disk is damage, not a request for memory."""

_HEADER: Final = struct.Struct(">IIQqi")
_CHECKED: Final = struct.Struct(">Qqi")
_LENGTHS: Final = struct.Struct(">II")
_CHUNK_BYTES: Final = 256 * 1024
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SEGMENT: Final = re.compile(r"([0-9]{12,20})\.log")

HEADER_BYTES: Final = _HEADER.size


class DamagedRecord(Exception):  # noqa: N818
    """Bytes of a segment that are no record that was ever appended; caught by `Segment.walk`."""


def is_topic(name: str) -> bool:
    """Whether a topic may have this name: one that Kafka takes, and that is a safe folder name."""
    return name not in {".", ".."} and _TOPIC.fullmatch(name) is not None


def check_topic(topic: str) -> str:
    """
    Give the topic's name back, when it may be one.

    Raises
    ------
    LogError
        When not.
    """
    if not is_topic(topic):
        raise LogError(
            f"{topic!r} is no name of a topic: use 1 to 249 of A-Z a-z 0-9 . _ -, not '.' or '..'"
        )
    return topic


def segment_path(directory: Path, base: int) -> Path:
    """
    Path of the segment whose first offset is ``base``.

    >>> segment_path(Path("root/topic/0"), 1500).name
    '000000001500.log'
    """
    return directory / f"{base:012d}.log"


def segment_bases(directory: Path) -> list[int]:
    """First offsets of the segments in a partition's folder, ascending; none when it is gone."""
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(found[1]) for found in map(_SEGMENT.fullmatch, names) if found)


def partition_numbers(topic_directory: Path) -> list[int]:
    """Partitions that have a folder, ascending."""
    try:
        names = [path.name for path in topic_directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def pack_head(offset: int, timestamp_ms: int, key: bytes | None, value: bytes) -> bytes:
    """All of a record that stands before its key."""
    checked = _CHECKED.pack(offset, timestamp_ms, -1 if key is None else len(key))
    key = key or b""
    checksum = crc32c.crc32c(value, crc32c.crc32c(key, crc32c.crc32c(checked)))
    return _LENGTHS.pack(len(checked) + len(key) + len(value), checksum) + checked


def unpack(data: bytes, start: int, place: Place, offset: int) -> tuple[Message | None, int]:
    """
    Take the record at ``start``, which must have this ``offset``.

    Returns
    -------
    tuple
        The message and where the next record starts; or None and how many
        bytes from ``start`` are needed to know more.

    Raises
    ------
    DamagedRecord
        When no bytes that may follow can make this a record.
    """
    if len(data) - start < HEADER_BYTES:
        return None, HEADER_BYTES
    length, checksum, found_offset, timestamp_ms, key_length = _HEADER.unpack_from(data, start)
    body_length = length - _CHECKED.size
    if not 0 <= body_length <= MAX_MESSAGE_BYTES or not -1 <= key_length <= body_length:
        raise DamagedRecord(f"length {length} with key length {key_length}")
    if found_offset != offset:
        raise DamagedRecord(f"offset {found_offset} where {offset} belongs")
    end = start + _LENGTHS.size + length
    if end > len(data):
        return None, end - start
    if crc32c.crc32c(memoryview(data)[start + _LENGTHS.size : end]) != checksum:
        raise DamagedRecord("checksum")
    value_start = start + HEADER_BYTES + max(key_length, 0)
    key = None if key_length < 0 else data[start + HEADER_BYTES : value_start]
    return Message(*place, offset, timestamp_ms, key, data[value_start:end]), end


class Segment:
    """
    One segment file, open for reading, walked forward from its base.

    Attributes
    ----------
    base
        Offset of the first record.
    offset, position
        Offset and byte position of the record that `walk` will read next.
    damage
        What is wrong with the record there, or None: nothing, or not yet written.
    full
        Whether the last `walk` stopped because no more would fit.
    """

    def __init__(self, directory: Path, place: Place, base: int) -> None:
        self.place = place
        self.base = base
        self.offset = base
        self.position = 0
        self.damage: str | None = None
        self.full = False
        self._file = os.open(segment_path(directory, base), os.O_RDONLY | os.O_CLOEXEC)

    def walk(
        self, max_bytes: int, *, skip_below: int = 0, at_least_one: bool = True
    ) -> list[Message]:
        """
        Read whole records from here, at most ``max_bytes`` of them.

        Stops before a record that is damaged, or not wholly written yet; the
        next call looks at it again.

        Parameters
        ----------
        max_bytes
            Bytes of records, heads and keys included, so that many empty
            values have a bound too. Memory used is this and one record.
        skip_below
            Records with a smaller offset are checked and passed over.
        at_least_one
            Return the first record even when it is larger than ``max_bytes``.
        """
        found: list[Message] = []
        room = max_bytes
        want = _CHUNK_BYTES
        self.damage = None
        self.full = False
        while True:
            data = os.pread(self._file, want, self.position)
            start = 0
            while True:
                try:
                    message, end = unpack(data, start, self.place, self.offset)
                except DamagedRecord as damage:
                    self.damage = str(damage)
                    return found
                if message is None:
                    break
                if message.offset >= skip_below:
                    if end - start > room and (found or not at_least_one):
                        self.full = True
                        return found
                    room -= end - start
                    found.append(message)
                self.position += end - start
                self.offset += 1
                start = end
            if len(data) < want:
                return found
            want = max(_CHUNK_BYTES, end)

    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._file).st_size

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
