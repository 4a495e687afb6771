"""
Active probes: other places are tried at an interval, and each try is a payload.

    targets → one task a target → a round of tries → a payload each, with how it went

Each target begins at a random place of its interval, so that many agents do not
knock in the same instant; the tries of a round follow each other. A failed try
is a result as any other and ships: nothing is lost by it. Only when the queue
behind is full are results counted as ``queue_full``.

Certificates are renewed: their files are looked at before each round, and one
that cannot be read leaves what was read before.

Before: the targets. After: probe_attempt.py (one try), probe_answer.py (what
answers another agent's), batch.py.
"""

import asyncio
import logging
import random
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from collectors.batch import Batcher
from collectors.config import ProbeInput, ProbeTarget
from collectors.envelope import Envelope
from collectors.errors import InputError
from collectors.probe_answer import Answers
from collectors.probe_attempt import Attempt, attempt, tls_context
from collectors.ship import Parcel, Shipper

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1


def probe(config: ProbeInput, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """
    Try targets, and answer those who try us, until ``stop`` is set.

    Parameters
    ----------
    config
        Whom, how often, for how long; and where to answer.
    batcher, shipper
        What comes next.
    stop
        Looked at ten times a second.

    Raises
    ------
    InputError
        When a file TLS needs cannot be read, or the port is taken.
    """
    asyncio.run(_Prober(config, batcher, shipper).run(stop))


class _Contexts:
    """What each target trusts and shows, read again when a file is another one."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[tuple[int, ...], ssl.SSLContext]] = {}

    def of(self, target: ProbeTarget) -> ssl.SSLContext | None:
        """
        Context of a target; None without TLS.

        Raises
        ------
        OSError
            When a file cannot be read; then nothing changes.
        """
        if not target.tls():
            return None
        names = (target.tls_ca_file, target.tls_cert_file, target.tls_key_file)
        state = tuple(Path(name).stat().st_mtime_ns for name in names if name)
        before = self._read.get(target.name)
        if before is None or before[0] != state:
            self._read[target.name] = before = (state, tls_context(target))
        return before[1]

    def last(self, target: ProbeTarget) -> ssl.SSLContext | None:
        """Context as it was last read."""
        return self._read[target.name][1] if target.name in self._read else None


class _Prober:
    def __init__(self, config: ProbeInput, batcher: Batcher, shipper: Shipper) -> None:
        self._config = config
        self._batcher = batcher
        self._shipper = shipper
        self._places = asyncio.Semaphore(config.max_connections)
        self._contexts = _Contexts()
        self._failing: dict[str, str] = {}

    async def run(self, stop: threading.Event) -> None:
        # A name server that is silent holds a thread for longer than a try lasts.
        lookups = ThreadPoolExecutor(self._config.max_connections, "lookup")
        asyncio.get_running_loop().set_default_executor(lookups)
        for target in self._config.targets:
            self._read_tls(target)
        answers = Answers(self._config) if self._config.listen else None
        if answers is not None:
            await answers.start()
        tasks = [asyncio.create_task(self._rounds(target)) for target in self._config.targets]
        try:
            while not stop.is_set():
                for task in tasks:
                    if task.done():
                        task.result()  # a bug: the agent ends with it
                self._hand_on(self._batcher.take_if_older())
                await asyncio.sleep(_LOOK_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if answers is not None:
                await answers.close()
            await asyncio.sleep(0)  # connections that were cut are closed by the loop's next turn
        self._hand_on(self._batcher.take())

    def _read_tls(self, target: ProbeTarget) -> None:
        try:
            self._contexts.of(target)
        except OSError as error:
            raise InputError(
                f"{target.name}: {error}: set tls_ca_file, tls_cert_file or tls_key_file"
            ) from error

    async def _rounds(self, target: ProbeTarget) -> None:
        """Try for ever; a round that began late does not move the next."""
        due_s = time.monotonic() + random.random() * target.interval_s  # noqa: S311 no secret
        while True:
            now_s = time.monotonic()
            await asyncio.sleep(max(due_s - now_s, 0))
            await self._round(target)
            behind = max(0, (time.monotonic() - due_s) // target.interval_s)
            due_s += (1 + behind) * target.interval_s

    async def _round(self, target: ProbeTarget) -> None:
        try:
            tls = self._contexts.of(target)
        except OSError as error:
            tls = self._contexts.last(target)
            _log.warning("%s: %s: TLS stays as it was", target.name, error)
        for number in range(1, target.attempts + 1):
            async with self._places:
                done = await attempt(target, tls, number)
            self._tell(done)
            payload = msgspec.json.encode(done)
            self._hand_on(self._batcher.add(time.time_ns(), target.name, payload))

    def _tell(self, done: Attempt) -> None:
        """Say in the log when a target begins to fail, and when it ends."""
        before = self._failing.get(done.target, "ok")
        if done.outcome != before:
            self._failing[done.target] = done.outcome
            if done.outcome == "ok":
                _log.info("%s is reached again", done.target)
            else:
                _log.warning("%s: %s: %s", done.target, done.outcome, done.error)

    def _hand_on(self, envelope: Envelope | None) -> None:
        if envelope is not None and not self._shipper.offer(Parcel(envelope)):
            self._batcher.refuse(envelope, "queue_full")
