"""
JSON lines of growing, rotating files. A line is bytes up to a newline.

A file is followed by its device and inode, not by its name:

    renamed, and made anew   the old one is read to its end before the new one,
                             and until it has been silent for ``rotate_wait_ms``
    copied and truncated     seen by its size, or by its first bytes when it has
                             grown again; read from the beginning. What was
                             written between the last look and the truncation
                             is lost, and nobody can count it
    last line without end    waits for its newline; when the file is gone it is
                             handed on as it is

positions.py says how a restart neither loses nor repeats a line.

Before: the files. After: redact.py, batch.py.
"""

import contextlib
import glob
import gzip
import logging
import os
import stat
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from collectors.batch import Batcher
from collectors.config import Tail
from collectors.envelope import Envelope
from collectors.positions import Identity, InFlight, Positions, Span, find
from collectors.redact import Redactor
from collectors.ship import Parcel, Shipper

_log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 256 * 1024
_CHUNKS_A_TURN: Final = 16
"""Chunks read of one file before the others have their turn."""
_COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip")


class LineSplitter:
    """
    Cuts a stream of bytes at newlines, in bounded memory.

    >>> splitter = LineSplitter(max_line_bytes=5)
    >>> splitter.feed(b"one" + bytes([10]) + b"tw")
    (0, [b'one'])
    >>> splitter.rest
    b'tw'
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._skipping = 0
        self.rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes fed that are part of no whole line yet."""
        return self._skipping or len(self.rest)

    def feed(self, data: bytes) -> tuple[int, list[bytes]]:
        """
        Take more bytes; what lines they complete.

        Returns
        -------
        tuple
            Bytes, with newline, of a line that was too long to be kept and
            ended here, or 0; and the lines after it, without newlines. Lines
            over the limit that came in one piece are among them.
        """
        skipped = 0
        if self._skipping:
            cut = data.find(b"\n") + 1
            if not cut:
                self._skipping += len(data)
                return 0, []
            skipped, self._skipping = self._skipping + cut, 0
            data = data[cut:]
        block = self.rest + data
        lines = block.split(b"\n")
        self.rest = lines.pop()
        if len(self.rest) > self._max_line_bytes:
            self._skipping, self.rest = len(self.rest), b""
        return skipped, lines


def read_lines(
    path: Path, max_line_bytes: int = 262_144, skipped: Counter[str] | None = None
) -> Iterator[bytes]:
    """
    Lines of a file that does not grow, also a gzipped one, to its end.

    Empty lines are left out; longer ones than ``max_line_bytes`` are counted
    in ``skipped`` as ``line_too_long``.

    Raises
    ------
    OSError
        When it cannot be read, or is no whole gzip file.
    """
    counts = skipped if skipped is not None else Counter()
    splitter = LineSplitter(max_line_bytes)
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if zipped else contextlib.nullcontext(raw) as file:
            at_end = False
            while not at_end:
                try:
                    data = file.read(_CHUNK_BYTES)
                except (EOFError, zlib.error) as error:
                    raise OSError(str(error)) from error
                at_end = not data
                gone, lines = splitter.feed(data or b"\n")
                counts["line_too_long"] += gone > 0
                for line in lines:
                    if len(line) > max_line_bytes:
                        counts["line_too_long"] += 1
                    elif line and not line.isspace():
                        yield line


class _NoRoomError(Exception):
    """Stopped while the queue was full: what was not handed on is in the position file."""


class _Followed:
    """One open file."""

    def __init__(self, file: int, identity: Identity, offset: int, max_line_bytes: int) -> None:
        self.file = file
        self.identity = identity
        self.offset = offset
        """End of the last whole line that is in a batch."""
        self.splitter = LineSplitter(max_line_bytes)
        self.silent_since_s = time.monotonic()

    def read(self) -> bytes:
        """Read what comes next."""
        data = os.pread(self.file, _CHUNK_BYTES, self.offset + self.splitter.pending_bytes)
        if data:
            self.silent_since_s = time.monotonic()
        return data

    def was_truncated(self) -> bool:
        """Whether what was read is no longer what the file begins with."""
        size = os.fstat(self.file).st_size
        return size < self.offset + self.splitter.pending_bytes or not self.identity.holds(
            self.file
        )

    def restart(self, max_line_bytes: int) -> None:
        """Read from the beginning."""
        self.offset = 0
        self.splitter = LineSplitter(max_line_bytes)
        old = self.identity
        self.identity = Identity(old.path, old.device, old.inode)

    def read_to(self) -> Span:
        """How far it was read."""
        return Span(self.identity, self.offset, self.offset)


def follow(config: Tail, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """
    Follow files until ``stop`` is set; waits when ``shipper`` is full.

    Parameters
    ----------
    config
        Which files, and how; ``position_file`` is set.
    batcher, shipper
        What comes next.
    stop
        Looked at after each look at the files.

    Raises
    ------
    OSError
        When the position file cannot be read or written.
    ConfigError
        When something is to be hashed and there is no key.
    """
    positions = Positions(Path(config.position_file), time.time_ns())
    _Follower(config, batcher, shipper, stop, positions).run()


class _Follower:
    def __init__(
        self,
        config: Tail,
        batcher: Batcher,
        shipper: Shipper,
        stop: threading.Event,
        positions: Positions,
    ) -> None:
        self._config = config
        self._batcher = batcher
        self._shipper = shipper
        self._stop = stop
        self._positions = positions
        self._redactor = Redactor(config.redact)
        self._files: dict[tuple[int, int], _Followed] = {}
        self._refused: set[str] = set()
        self._spans: list[Span] = []

    def run(self) -> None:
        try:
            for entry in self._positions.in_flight():
                self._send_again(entry)
            self._reopen()
            self._batcher.resume(self._positions.epoch_ns, self._positions.next_sequence)
            at_end = self._positions.is_new and self._config.start == "end"
            while not self._stop.is_set():
                present = self._discover(at_end=at_end)
                at_end = False
                busy = False
                for key, followed in list(self._files.items()):
                    try:
                        busy |= self._read(followed)
                    except OSError as error:
                        _log.warning("%s: %s", followed.identity.path, error)
                    self._retire(key, followed, present)
                self._send(self._batcher.take_if_older())
                if not busy:
                    self._stop.wait(self._config.poll_ms / 1000)
            self._send(self._batcher.take())
        except _NoRoomError:
            return
        finally:
            for followed in self._files.values():
                os.close(followed.file)

    def _discover(self, *, at_end: bool) -> set[tuple[int, int]]:
        """Open files that are new; which files have a name that we follow."""
        present = set()
        names: set[str] = set()
        for pattern in self._config.paths:
            names.update(glob.glob(pattern, recursive=True))  # noqa: PTH207 patterns are absolute
        for name in sorted(names):
            if name.endswith(_COMPRESSED):
                continue
            try:
                status = os.stat(name)  # noqa: PTH116 ten times a second for each file
                key = status.st_dev, status.st_ino
                if key not in self._files and stat.S_ISREG(status.st_mode):
                    key = self._open(name, at_end=at_end)
            except FileNotFoundError:
                continue
            except OSError as error:
                if name not in self._refused:
                    self._refused.add(name)
                    _log.warning("%s cannot be followed: %s", name, error)
                continue
            present.add(key)
        return present

    def _open(self, name: str, *, at_end: bool) -> tuple[int, int]:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(file)
        key = status.st_dev, status.st_ino
        if key in self._files:  # renamed between two calls
            os.close(file)
            return key
        offset = status.st_size if at_end else 0
        identity = Identity(name, *key).marked(file, offset)
        self._files[key] = _Followed(file, identity, offset, self._config.max_line_bytes)
        return key

    def _reopen(self) -> None:
        """Go on with the files of the last run, also with those renamed since."""
        for span in self._positions.files():
            file = find(span.file)
            if file is not None:
                followed = _Followed(file, span.file, span.end, self._config.max_line_bytes)
                self._files[span.file.device, span.file.inode] = followed

    def _read(self, followed: _Followed) -> bool:
        """Take what a file has now; whether it may have more."""
        if followed.was_truncated():
            _log.warning("%s was truncated: reading from its beginning", followed.identity.path)
            followed.restart(self._config.max_line_bytes)
        for _ in range(_CHUNKS_A_TURN):
            data = followed.read()
            if not data or self._stop.is_set():
                return False
            skipped, lines = followed.splitter.feed(data)
            if skipped:
                self._batcher.drop("line_too_long")
                self._reach(followed, followed.offset + skipped)
            self._take(followed, lines, newline_bytes=1)
        return True

    def _take(self, followed: _Followed, lines: list[bytes], newline_bytes: int) -> None:
        place, end = 0, followed.offset
        exporter = self._config.exporter or followed.identity.path
        while place < len(lines):
            room, room_bytes = self._batcher.room()
            taken: list[bytes] = []
            byte_count = 0
            while place < len(lines) and len(taken) < room and byte_count < room_bytes:
                line = lines[place]
                place += 1
                end += len(line) + newline_bytes
                if len(line) > self._config.max_line_bytes:
                    self._batcher.drop("line_too_long")
                elif line and not line.isspace():
                    taken.append(line)
                    byte_count += len(line)
            self._reach(followed, end)
            if taken:
                names = [exporter] * len(taken)
                shown = self._redactor.lines(taken)
                self._send(self._batcher.extend(time.time_ns(), names, shown))

    def _reach(self, followed: _Followed, end: int) -> None:
        """Put the bytes up to ``end`` into the spans of this batch."""
        begin, followed.offset = followed.offset, end
        followed.identity = followed.identity.marked(followed.file, end)
        last = self._spans[-1] if self._spans else None
        if last and last.end == begin and last.file.is_same(followed.identity):
            self._spans[-1] = Span(followed.identity, last.begin, end)
        else:
            self._spans.append(Span(followed.identity, begin, end))

    def _retire(
        self, key: tuple[int, int], followed: _Followed, present: set[tuple[int, int]]
    ) -> None:
        """Close a file that has no name any more, and nothing to say."""
        silent_s = time.monotonic() - followed.silent_since_s
        if key in present or silent_s < self._config.rotate_wait_ms / 1000:
            return
        if not followed.splitter.rest and followed.splitter.pending_bytes:
            self._batcher.drop("line_too_long")
        elif followed.splitter.rest:
            self._take(followed, [followed.splitter.rest], newline_bytes=0)
        del self._files[key]
        os.close(followed.file)

    def _send(self, envelope: Envelope | None) -> None:
        if envelope is None:
            return
        first, count = envelope.header.first_sequence, envelope.payloads.num_rows
        read_to = [followed.read_to() for followed in self._files.values()]
        self._positions.hand_on(first, count, self._spans, read_to)
        self._spans = []
        safe = partial(self._positions.safe, first, count)
        self._put(Parcel(envelope, safe))

    def _put(self, parcel: Parcel) -> None:
        """Hand on; once there was no room, nothing may follow: order is kept."""
        if not self._shipper.put(parcel, self._stop):
            raise _NoRoomError

    def _send_again(self, entry: InFlight) -> None:
        """Make a batch that may not have arrived once more."""
        self._batcher.resume(self._positions.epoch_ns, entry.first_sequence)
        names: list[str] = []
        lines: list[bytes] = []
        too_long = 0
        for span in entry.spans:
            found, long_count = _lines_of(span, self._config.max_line_bytes)
            names += [self._config.exporter or span.file.path] * len(found)
            lines += self._redactor.lines(found)
            too_long += long_count
        self._batcher.drop("line_too_long", too_long)
        self._batcher.drop("file_gone", entry.payloads - len(lines))
        envelope = self._batcher.extend(time.time_ns(), names, lines) or self._batcher.take()
        safe = partial(self._positions.safe, entry.first_sequence, entry.payloads)
        if envelope is None:
            safe()
        else:
            self._put(Parcel(envelope, safe))


def _lines_of(span: Span, max_line_bytes: int) -> tuple[list[bytes], int]:
    """Lines of a span, and how many were too long; none when the file is gone."""
    file = find(span.file)
    if file is None:
        return [], 0
    try:
        splitter = LineSplitter(max_line_bytes)
        found: list[bytes] = []
        too_long = 0
        offset = span.begin
        while data := os.pread(file, min(_CHUNK_BYTES, span.end - offset), offset):
            offset += len(data)
            skipped, lines = splitter.feed(data)
            too_long += (skipped > 0) + sum(len(line) > max_line_bytes for line in lines)
            found += [line for line in lines if len(line) <= max_line_bytes]
        found.append(splitter.rest)
        return [line for line in found if line and not line.isspace()], too_long
    finally:
        os.close(file)
