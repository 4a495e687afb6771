"""
Answers of many HTTP servers, each asked at an interval: statistics, debug endpoints.

    targets, targets_file → one task a target → GET → a payload, as it came

The first question is asked at once; from then on each target has its own place
in the interval, so that thousands are not asked in the same instant. An answer
that does not come, or is no answer, is counted under the reason `http_get`
gives, and told in the log when it begins and when it ends; which targets are
silent, `v_targets` shows. Nothing waits for a slow target, or for the log: when
the queue behind is full, answers are counted as ``queue_full``.

The file of targets is looked at every few seconds: pods come and go.

Before: the targets. After: http_get.py (how one is asked), batch.py.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from collectors.batch import Batcher
from collectors.config import IstiodInput, PrometheusInput, Scrape, Target
from collectors.envelope import Envelope
from collectors.errors import InputError
from collectors.http_get import GetError, Place, get
from collectors.ship import Parcel, Shipper

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1
_FILE_LOOK_S: Final = 2.0
_MAX_FILE_BYTES: Final = 1 << 24
_ACCEPT: Final = "text/plain;version=0.0.4;q=1,*/*;q=0.1"


class _Question(NamedTuple):
    """What is asked at an interval."""

    url: str
    exporter: str


class _Group(msgspec.Struct):
    """One entry of a ``file_sd_configs`` file."""

    targets: list[str]
    labels: dict[str, str] = {}


def scrape(
    config: PrometheusInput, batcher: Batcher, shipper: Shipper, stop: threading.Event
) -> None:
    """
    Ask targets for their statistics until ``stop`` is set.

    Parameters
    ----------
    config
        Whom, how often, and for how long.
    batcher, shipper
        What comes next.
    stop
        Looked at ten times a second.

    Raises
    ------
    InputError
        When a file TLS needs cannot be read.
    """
    asyncio.run(_Scraper(config, batcher, shipper, ("",)).run(stop))


def scrape_istiod(
    config: IstiodInput, batcher: Batcher, shipper: Shipper, stop: threading.Event
) -> None:
    """Ask the debug endpoints of each target until ``stop`` is set; else as `scrape`."""
    paths = tuple(f"/debug/{name}" for name in config.endpoints)
    asyncio.run(_Scraper(config, batcher, shipper, paths).run(stop))


def name_of(url: str) -> str:
    """
    Name of a target that has none: its URL without scheme and query.

    >>> name_of("http://10.0.0.5:15020/stats/prometheus?usedonly")
    '10.0.0.5:15020/stats/prometheus'
    """
    return url.partition("?")[0].removeprefix("http://").removeprefix("https://").rstrip("/")


def read_targets(path: Path) -> list[Target]:
    """
    Read a file of targets, as Prometheus's ``file_sd_configs`` has them, in JSON.

    Raises
    ------
    ValueError, OSError
        When it is none, or cannot be read: says which entry, and what is wrong.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"more than {_MAX_FILE_BYTES} bytes")
    found = []
    for group in msgspec.json.decode(data, type=list[_Group]):
        scheme = group.labels.get("__scheme__", "http")
        path_there = group.labels.get("__metrics_path__", "/metrics")
        for one in group.targets:
            url = (
                one if "://" in one or one.startswith("unix:") else f"{scheme}://{one}{path_there}"
            )
            target = {"url": url, "name": group.labels.get("instance", "")}
            found.append(msgspec.convert(target, Target))
    return found


class _Scraper:
    def __init__(
        self, config: Scrape, batcher: Batcher, shipper: Shipper, paths: tuple[str, ...]
    ) -> None:
        self._config = config
        self._batcher = batcher
        self._shipper = shipper
        self._paths = paths
        self._places = asyncio.Semaphore(config.max_connections)
        self._tasks: dict[_Question, asyncio.Task[None]] = {}
        self._failing: dict[_Question, str] = {}
        self._file_state: tuple[float, int] | str | None = None
        self._file_targets: list[Target] = []
        self._tls: ssl.SSLContext | None = None
        self._tls_state: tuple[float, ...] = ()

    async def run(self, stop: threading.Event) -> None:
        self._read_tls()
        looked_s = float("-inf")
        try:
            while not stop.is_set():
                if time.monotonic() - looked_s >= _FILE_LOOK_S:
                    looked_s = time.monotonic()
                    self._look()
                for task in self._tasks.values():
                    if task.done():
                        task.result()  # a bug: the agent ends with it
                self._hand_on(self._batcher.take_if_older())
                await asyncio.sleep(_LOOK_S)
        finally:
            await self._end(list(self._tasks.values()))
        self._hand_on(self._batcher.take())

    def _look(self) -> None:
        """Bring the tasks to what targets there are, and TLS to what its files hold."""
        with contextlib.suppress(InputError):  # told by the questions that fail
            self._read_tls()
        self._read_file()
        wanted = set(self._questions((*self._config.targets, *self._file_targets)))
        for question in set(self._tasks) - wanted:
            self._tasks.pop(question).cancel()
            self._failing.pop(question, None)
        for question in wanted - set(self._tasks):
            self._tasks[question] = asyncio.create_task(self._ask_for_ever(question))

    def _questions(self, targets: Iterable[Target]) -> Iterable[_Question]:
        for target in targets:
            name = target.name or name_of(target.url)
            for path in self._paths:
                yield _Question(target.url.rstrip("/") + path if path else target.url, name + path)

    def _read_file(self) -> None:
        if not self._config.targets_file:
            return
        path = Path(self._config.targets_file)
        try:
            status = path.stat()
            state = (status.st_mtime, status.st_size)
            if state == self._file_state:
                return
            self._file_targets = read_targets(path)
            self._file_state = state
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            if self._file_state != str(error):
                _log.warning("%s: %s: the targets stay as they were", path, error)
                self._file_state = str(error)

    def _read_tls(self) -> None:
        config = self._config
        files = [name for name in (config.tls_ca_file, config.tls_cert_file) if name]
        try:
            state = tuple(Path(name).stat().st_mtime for name in files)
            if self._tls is not None and state == self._tls_state:
                return
            context = ssl.create_default_context(cafile=config.tls_ca_file or None)
            if config.tls_cert_file:
                context.load_cert_chain(config.tls_cert_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"{', '.join(files)}: {error}: set tls_ca_file or tls_cert_file"
            ) from error
        self._tls, self._tls_state = context, state

    async def _ask_for_ever(self, question: _Question) -> None:
        interval_s = self._config.interval_s
        await self._ask(question)
        share = zlib.crc32(question.exporter.encode()) / 2**32
        due_s = (time.monotonic() // interval_s + share) * interval_s
        while True:
            now_s = time.monotonic()
            due_s += max(1, (now_s - due_s) // interval_s + 1) * interval_s
            await asyncio.sleep(due_s - now_s)
            await self._ask(question)

    async def _ask(self, question: _Question) -> None:
        async with self._places:
            try:
                payload = await get(
                    Place.of(question.url),
                    self._headers(),
                    timeout_s=self._config.timeout_s,
                    max_bytes=self._config.max_bytes,
                    tls=self._tls,
                    server_name=self._config.tls_server_name,
                )
            except GetError as error:
                self._fail(question, error.reason, str(error))
            except (OSError, ValueError) as error:  # the token's file, a port that is none
                self._fail(question, "scrape_refused", str(error))
            else:
                if self._failing.pop(question, ""):
                    _log.info("%s answers again", question.exporter)
                envelope = self._batcher.add(time.time_ns(), question.exporter, payload)
                self._hand_on(envelope)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": _ACCEPT}
        if self._config.bearer_token_file:
            token = Path(self._config.bearer_token_file).read_text("ascii").strip()
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _fail(self, question: _Question, reason: str, detail: str) -> None:
        self._batcher.drop(reason)
        if self._failing.get(question) != reason:
            self._failing[question] = reason
            _log.warning("%s does not answer: %s", question.exporter, detail)

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is not None and not self._shipper.offer(Parcel(envelope)):
            self._batcher.refuse(envelope, "queue_full")

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # connections that were cut are closed by the loop's next turn
