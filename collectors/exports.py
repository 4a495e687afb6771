"""
Inventory that other programs write: exports in files, output of commands.

    files, commands → JSON, or JSON a line → objects of each resource → listings

The vendor's own program, with its own credentials, is the client: ``gcloud``,
``az``. It is run without a shell, has a time, and no more is read than allowed;
it is ended with all it started. What it says beside goes into the log if it fails.

All files and commands of an input are one answer: what is in none of them, and
was before, is gone. Where one of them fails, nothing is: the listings of that
answer are without ``end``. Files are read again when one of them has changed,
and every hour, which says that they still stand.

Before: the files. After: gcp_export.py, azure_export.py, listing.py.
"""

import contextlib
import glob
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from collectors import azure_export, gcp_export
from collectors.answer import Found
from collectors.batch import Batcher
from collectors.config.exports import AzureInput, GcpInput
from collectors.listing import Listing, ListingError, follow_listings
from collectors.ship import Shipper

_AGAIN_S: Final = 3_600.0
_LOOK_S: Final = 0.1
_READ_BYTES: Final = 1 << 16
_STDERR_BYTES: Final = 2_000
_MAX_UID: Final = 2_000

_Split = Callable[[object], Iterator[Found]]


def follow_gcp(config: GcpInput, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """Read exports of Google Cloud until ``stop`` is set."""
    _follow(config, gcp_export.objects, batcher, shipper, stop)


def follow_azure(
    config: AzureInput, batcher: Batcher, shipper: Shipper, stop: threading.Event
) -> None:
    """Read exports of Azure until ``stop`` is set."""
    _follow(config, azure_export.objects, batcher, shipper, stop)


def _follow(
    config: GcpInput | AzureInput,
    split: _Split,
    batcher: Batcher,
    shipper: Shipper,
    stop: threading.Event,
) -> None:
    ask = _Answers(config, split).ask
    follow_listings(config.name, ask, batcher, shipper, stop, interval_s=config.interval_s)


def documents(data: bytes) -> Iterator[object]:
    """
    JSON values of a text: one, or one a line.

    Raises
    ------
    ListingError
        When it is neither; those before are given.
    """
    try:
        try:
            yield msgspec.json.decode(data)
        except msgspec.DecodeError:
            lines = data.splitlines()
            if sum(1 for line in lines if line.strip()) < 2:  # noqa: PLR2004 one is the whole
                raise
            for line in lines:
                if line.strip():
                    yield msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ListingError("not_json", str(error)) from error


class _Answers:
    """What files and commands tell, as one answer after the other."""

    def __init__(self, config: GcpInput | AzureInput, split: _Split) -> None:
        self._config = config
        self._split = split
        self._state: object = None
        self._told_s = float("-inf")
        self._told: set[tuple[str, str]] = set()

    def ask(self, stop: threading.Event) -> Iterable[Listing]:
        """See `listing.Ask`; nothing where only files are read and stand as told."""
        state, paths, failure = self._files()
        fresh = time.monotonic() < self._told_s + _AGAIN_S
        if state is not None and state == self._state and fresh:
            return
        found: dict[tuple[str, str], dict[str, bytes]] = {}
        for part in (
            *(partial(_read, path, self._config.max_bytes) for path in paths),
            *(partial(self._run, argv, stop) for argv in self._config.commands),
        ):
            try:
                for document in documents(part()):
                    self._add(found, document)
            except ListingError as error:
                failure = failure or error
        if stop.is_set():
            return
        if failure is None:
            for scope, resource in self._told - found.keys():
                yield Listing(scope, resource, ())
            self._told.clear()
        elif not found:
            raise failure
        self._told |= found.keys()
        for (scope, resource), objects in found.items():
            yield Listing(scope, resource, _objects(objects, failure))
        self._state = state if failure is None else None
        self._told_s = time.monotonic()

    def _files(self) -> tuple[object, list[Path], ListingError | None]:
        """Files there are, what they are like, and whether a pattern is of none."""
        failure = None
        paths: list[Path] = []
        for pattern in self._config.files:
            there = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 patterns are absolute
            if not there:
                failure = ListingError("no_file", pattern)
            paths += [Path(name) for name in there]
        try:
            statuses = [(str(path), path.stat()) for path in paths]
        except OSError as error:
            return None, paths, ListingError("file_unreadable", str(error))
        state = [(name, status.st_mtime_ns, status.st_size) for name, status in statuses]
        return (None if failure or self._config.commands else state), paths, failure

    def _run(self, argv: Sequence[str], stop: threading.Event) -> bytes:
        return run(argv, stop, self._config.timeout_s, self._config.max_bytes)

    def _add(self, found: dict[tuple[str, str], dict[str, bytes]], document: object) -> None:
        for one in self._split(document):
            if len(one.uid) <= _MAX_UID:
                key = (self._config.scope or one.scope, one.resource)
                found.setdefault(key, {})[one.uid] = msgspec.json.encode(one.object)


def _objects(found: dict[str, bytes], failure: ListingError | None) -> Iterator[tuple[str, bytes]]:
    yield from found.items()
    if failure is not None:
        raise failure


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ListingError("file_unreadable", str(error)) from error
    if len(data) > max_bytes:
        raise ListingError("too_large", f"{path} has more than {max_bytes} bytes")
    return data


def run(argv: Sequence[str], stop: threading.Event, timeout_s: float, max_bytes: int) -> bytes:
    """
    What a program prints, if it ends well and in time.

    Raises
    ------
    ListingError
        ``command_missing``, ``command_failed`` with what it said last,
        ``command_timeout``, ``too_large``, ``stopped``.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ListingError("command_missing", f"{argv[0]}: {error}") from error
    output, told = bytearray(), bytearray()
    with process:
        try:
            _drain(process, (output, told), stop, time.monotonic() + timeout_s, max_bytes)
        except ListingError as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise ListingError(error.kind, f"{argv[0]}: {error.args[0]}{_said(told)}") from error
    if process.returncode:
        raise ListingError(
            "command_failed", f"{argv[0]} ended with {process.returncode}{_said(told)}"
        )
    return bytes(output)


def _drain(
    process: "subprocess.Popen[bytes]",
    texts: tuple[bytearray, bytearray],
    stop: threading.Event,
    end_s: float,
    max_bytes: int,
) -> None:
    """Read both pipes into ``texts`` until they are closed and the program has ended."""
    with selectors.DefaultSelector() as selector:
        for pipe, text in zip((process.stdout, process.stderr), texts, strict=True):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, text)
        while selector.get_map() or process.poll() is None:
            if stop.is_set():
                raise ListingError("stopped", "the agent ends")
            if time.monotonic() > end_s:
                raise ListingError("command_timeout", "it was not done in time")
            if not selector.get_map():
                time.sleep(_LOOK_S / 10)
            for ready, _ in selector.select(_LOOK_S) if selector.get_map() else ():
                data = os.read(ready.fd, _READ_BYTES)
                if not data:
                    selector.unregister(ready.fileobj)
                ready.data.extend(data)
            del texts[1][:-_STDERR_BYTES]
            if len(texts[0]) > max_bytes:
                raise ListingError("too_large", f"it prints more than {max_bytes} bytes")


def _said(told: bytearray) -> str:
    text = told.decode("utf-8", "replace").strip()
    return f": {text}" if text else ""
