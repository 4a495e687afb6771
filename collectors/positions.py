"""
How far files were read, so that a restart neither loses nor repeats a line.

Before a batch of lines is handed on, its place in the files is written down
here with the sequence number it got; when the batch is in the log or on the
spool, it is crossed out. An agent that starts again makes each batch that is
not crossed out once more, from the same bytes and with the same numbers: if
the first one did arrive, its reader sees the same agent, kind, ``epoch_ns``
and ``first_sequence`` again, and drops the second.

What that cannot mend: a file that was deleted or overwritten while no agent
ran. Its lines are counted as ``file_gone``.

Before: nothing. After: logtail.py.
"""

import logging
import os
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from collectors.spool import save_atomically

_log = logging.getLogger(__name__)

_MARK_BYTES: Final = 256


class Identity(msgspec.Struct, frozen=True):
    """
    Which file this is, whatever it is called now.

    An inode is used again after its file is deleted, so the first bytes are
    part of the identity: ``mark_crc`` is the CRC-32 of ``mark_bytes`` of them.
    """

    path: str
    device: int
    inode: int
    mark_bytes: int = 0
    mark_crc: int = 0

    def holds(self, file: int) -> bool:
        """Whether the open file still begins with the bytes it began with."""
        return zlib.crc32(os.pread(file, self.mark_bytes, 0)) == self.mark_crc

    def is_same(self, other: "Identity") -> bool:
        """Whether both are one file, as the file system numbers them."""
        return (self.device, self.inode) == (other.device, other.inode)

    def marked(self, file: int, offset: int) -> "Identity":
        """Give the same identity, with more first bytes if more were read now."""
        if self.mark_bytes >= min(offset, _MARK_BYTES):
            return self
        first = os.pread(file, min(offset, _MARK_BYTES), 0)
        return msgspec.structs.replace(self, mark_bytes=len(first), mark_crc=zlib.crc32(first))


class Span(msgspec.Struct, frozen=True):
    """Bytes ``begin`` to ``end`` of a file: whole lines."""

    file: Identity
    begin: int
    end: int


class InFlight(msgspec.Struct, frozen=True):
    """A batch that was handed on, and is not known to be safe yet."""

    first_sequence: int
    payloads: int
    spans: tuple[Span, ...]


class State(msgspec.Struct):
    """Content of the position file."""

    epoch_ns: int
    next_sequence: int = 0
    files: list[Span] = []
    in_flight: list[InFlight] = []


class Positions:
    """
    The position file. For any number of threads.

    Parameters
    ----------
    path
        The file; its folder is made when missing.
    epoch_ns
        When the agent begins to count, if it never ran before.

    Attributes
    ----------
    is_new
        The agent never ran before.
    """

    def __init__(self, path: Path, epoch_ns: int) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.is_new = not path.exists()
        self._state = State(epoch_ns)
        if not self.is_new:
            try:
                self._state = msgspec.json.decode(path.read_bytes(), type=State)
            except msgspec.MsgspecError as error:
                raise OSError(
                    f"{path} holds no positions ({error}): remove it to read all files again"
                ) from error

    @property
    def epoch_ns(self) -> int:
        """When the count of payloads began."""
        return self._state.epoch_ns

    @property
    def next_sequence(self) -> int:
        """Number of the next payload."""
        return self._state.next_sequence

    def in_flight(self) -> list[InFlight]:
        """Batches that must be made again, in order."""
        with self._lock:
            return list(self._state.in_flight)

    def files(self) -> list[Span]:
        """How far each file was read."""
        with self._lock:
            return list(self._state.files)

    def hand_on(
        self, first_sequence: int, payloads: int, spans: Sequence[Span], files: Sequence[Span]
    ) -> None:
        """Write down a batch before it is handed on, and how far each file was read."""
        with self._lock:
            self._state.in_flight.append(InFlight(first_sequence, payloads, tuple(spans)))
            self._state.next_sequence = first_sequence + payloads
            self._state.files = list(files)
            self._save()

    def safe(self, first_sequence: int, payloads: int) -> None:
        """Cross a batch out: it is in the log, or on the spool."""
        with self._lock:
            entries = self._state.in_flight
            for place, entry in enumerate(entries):
                if (entry.first_sequence, entry.payloads) == (first_sequence, payloads):
                    del entries[place]
                    break
            self._save()

    def _save(self) -> None:
        try:
            save_atomically(self._path, msgspec.json.encode(self._state))
        except OSError as error:
            # To go on costs repeated lines after a crash; to stop would cost the lines.
            _log.warning("%s is not saved: %s: make room on that disk", self._path, error)


def find(identity: Identity) -> int | None:
    """Open a file that may have been renamed in its folder; None when it is gone."""
    folder = os.path.dirname(identity.path) or "."  # noqa: PTH120 a scan by name is what it is
    try:
        with os.scandir(folder) as entries:
            names = [one.path for one in entries if one.inode() == identity.inode]
    except OSError:
        return None
    for name in names:
        try:
            file = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        status = os.fstat(file)
        if (status.st_dev, status.st_ino) == (identity.device, identity.inode) and identity.holds(
            file
        ):
            return file
        os.close(file)
    return None
