"""
The agent: inputs, a shipper, and an orderly end.

    each input, one thread → ship thread → log
                                 ↘ spool ↗ drain thread

`run` is one agent of a process, `run_all` several that share a log. Captures
go into the log without any: replay.py.

Before: config.py. After: pipeline, by way of the log.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import msgspec

from collectors import als, aws, exports, hubble, logtail, netbox, otlp, probe, scrape, sockets, udp
from collectors.batch import Batcher
from collectors.config import AgentConfig, Input, ProxyInput, Tail, TailInput
from collectors.envelope import Header
from collectors.kubernetes.run import watch as watch_kubernetes
from collectors.log import LogError, Writer
from collectors.ship import Shipper
from collectors.spool import Spool

INPUTS: Final[dict[str, Callable[[Any, Batcher, Shipper, threading.Event], None]]] = {
    "netflow": udp.receive,
    "access_log": logtail.follow,
    "ztunnel": logtail.follow,
    "linkerd": logtail.follow,
    "hubble_json": logtail.follow,
    "als": als.receive,
    "otlp_logs": otlp.receive,
    "hubble": hubble.follow,
    "prometheus": scrape.scrape,
    "istiod": scrape.scrape_istiod,
    "aws": aws.follow,
    "gcp": exports.follow_gcp,
    "azure": exports.follow_azure,
    "netbox": netbox.follow,
    "kubernetes": watch_kubernetes,
    "probe": probe.probe,
    "sockets": sockets.follow,
}
"""Type of an input, which is the kind of its payloads, to what runs it until told to stop."""

_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Status:
    """
    What an agent did so far.

    Attributes
    ----------
    agent
        ``cluster/name``.
    received
        Payloads that reached the agent, with those it lost, by kind.
    shipped
        Payloads in the log for good; an earlier run's spool included.
    spooled_envelopes, spooled_bytes
        What waits on disk.
    dropped
        Payloads lost by this run, by reason.
    trouble
        Why the log is away; empty when it is not.
    """

    agent: str
    received: dict[str, int]
    shipped: int
    spooled_envelopes: int
    spooled_bytes: int
    dropped: dict[str, int]
    trouble: str


class SharedWriter:
    """
    One `Writer` for several agents of one process.

    A flush concerns what all threads appended. One that fails leaves all of
    that unknown, so it fails for each thread that had appended something.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._failures = 0
        self._appended_at: dict[int, int] = {}

    def append(self, topic: str, key: bytes, value: bytes) -> None:
        """See `Writer.append`."""
        with self._lock:
            self._appended_at.setdefault(threading.get_ident(), self._failures)
            self._writer.append(topic, key, value)

    def flush(self, timeout_s: float = 30.0) -> None:
        """See `Writer.flush`."""
        with self._lock:
            failures = self._appended_at.pop(threading.get_ident(), self._failures)
            if failures != self._failures:
                raise LogError("a flush of another agent of this process failed: sending again")
            try:
                self._writer.flush(timeout_s)
            except LogError:
                self._failures += 1
                raise

    def close(self) -> None:
        """See `Writer.close`."""
        with self._lock:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run(
    config: AgentConfig,
    log: Writer,
    stop: threading.Event,
    on_status: Callable[[Status], None] | None = None,
    *,
    spooling: bool = True,
    topic_prefix: str = "crosspane.v1",
    status_s: float = 1.0,
) -> Status:
    """
    Run one agent until ``stop`` is set; what it did.

    At the end sockets are emptied, batches closed and shipped, and positions
    saved. The caller closes ``log``.

    Parameters
    ----------
    config
        The agent.
    log
        Where to; not used by another thread meanwhile (see `SharedWriter`).
    stop
        Set by the caller, from a signal handler or another thread.
    on_status
        Called every ``status_s`` seconds, and at the end.
    spooling
        Whether to keep envelopes on disk while the log is away. Not for a
        local log: that is on disk already, and has the same troubles.
    topic_prefix
        First part of the topics' names.

    Raises
    ------
    InputError, OSError, LogError
        When an input, or the spool, cannot be opened.
    """
    return _Agent(config, log, spooling=spooling, topic_prefix=topic_prefix).run(
        stop, on_status, status_s
    )


class _Agent:
    def __init__(
        self, config: AgentConfig, log: Writer, *, spooling: bool, topic_prefix: str
    ) -> None:
        self._config = config
        state = config.state_directory()
        try:
            state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"{state}: {error.strerror}: set spool.directory") from error
        self._spool = Spool(state, config.spool) if spooling else None
        self._shipper = Shipper(
            log,
            key=config.name.encode(),
            topic_prefix=topic_prefix,
            spool=self._spool,
            flush_timeout_s=config.spool.flush_timeout_s,
            retry_s=config.spool.retry_s,
        )
        self._batchers: dict[str, Batcher] = {}
        self._ending = threading.Event()
        self._error: BaseException | None = None

    def run(
        self, stop: threading.Event, on_status: Callable[[Status], None] | None, status_s: float
    ) -> Status:
        tell = on_status or (lambda _: None)
        threads = [self._prepare(one) for one in self._config.inputs]
        self._shipper.start()
        for thread in threads:
            thread.start()
        told_s = time.monotonic()
        while not (stop.wait(_LOOK_S) or self._ending.is_set() or self._shipper.error):
            if time.monotonic() - told_s >= status_s:
                told_s = time.monotonic()
                tell(self.status())
        self._ending.set()
        for thread in threads:
            thread.join()
        self._shipper.close()
        if self._spool is not None:
            self._spool.close()
        status = self.status()
        tell(status)
        error = self._error or self._shipper.error
        if error is not None:
            raise error
        return status

    def _prepare(self, one: Input) -> threading.Thread:
        kind = str(one.__struct_config__.tag)
        header = Header(
            agent=self._config.name,
            cluster=self._config.cluster,
            network=self._config.network,
            kind=kind,
            epoch_ns=time.time_ns(),
            format=one.format if isinstance(one, TailInput) else "",
            mesh=one.mesh if isinstance(one, ProxyInput) else "",
            proxy_model=one.proxy_model if isinstance(one, ProxyInput) else "",
        )
        if isinstance(one, Tail) and not one.position_file:
            path = self._config.state_directory() / "positions.json"
            one = msgspec.structs.replace(one, position_file=str(path))
        batcher = self._batchers[kind] = Batcher(header, self._config.batch)
        work = partial(INPUTS[kind], one, batcher, self._shipper, self._ending)
        return threading.Thread(target=self._guard, args=(work,), name=kind, daemon=True)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 raised again where `run` was called
            self._error = error
            self._ending.set()

    def status(self) -> Status:
        dropped = Counter(self._shipper.lost)
        for batcher in self._batchers.values():
            dropped.update(batcher.lost.copy())
        return Status(
            agent=f"{self._config.cluster}/{self._config.name}",
            received={kind: batcher.received for kind, batcher in self._batchers.items()},
            shipped=self._shipper.shipped,
            spooled_envelopes=len(self._spool) if self._spool is not None else 0,
            spooled_bytes=self._spool.byte_count if self._spool is not None else 0,
            dropped=dict(dropped),
            trouble=self._shipper.trouble,
        )


def run_all(
    agents: Sequence[AgentConfig],
    log: Writer,
    stop: threading.Event,
    on_status: Callable[[Status], None] | None = None,
    *,
    spooling: bool = True,
    topic_prefix: str = "crosspane.v1",
) -> list[Status]:
    """
    Run several agents in one process until ``stop`` is set; when one fails, all end.

    ``on_status`` is called from several threads. Else as `run`.
    """
    shared = SharedWriter(log)
    ending = threading.Event()
    errors: list[BaseException] = []
    done: list[Status] = []

    def work(config: AgentConfig) -> None:
        try:
            done.append(
                run(config, shared, ending, on_status, spooling=spooling, topic_prefix=topic_prefix)
            )
        except BaseException as error:  # noqa: BLE001 raised again below
            errors.append(error)
            ending.set()

    threads = [threading.Thread(target=work, args=(one,), name=one.name) for one in agents]
    for thread in threads:
        thread.start()
    while not (stop.wait(_LOOK_S) or ending.is_set()):
        pass
    ending.set()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sorted(done, key=lambda status: status.agent)
