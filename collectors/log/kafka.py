"""
The log as Apache Kafka topics, through kafka-python.

A writer is idempotent and waits for all replicas: what it flushed is in the log
once, in order. A reader assigns itself the partitions it is told and commits
nothing to Kafka: the lake holds the offsets. There is no consumer group.

Before: ship.py, or local.py, which is the same on disk. After: pipeline/run.py.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    LogTruncationError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
)
from kafka.net.compat import KafkaNetClient

from collectors.log import LogError, Message, Place

logger = logging.getLogger("crosspane.log")

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_BUFFER_MS: Final = 10_000
_CONNECT_MS: Final = 5_000
_FETCH_BYTES: Final = 32 * 1024 * 1024


@contextmanager
def _as_log_error(bootstrap: str, doing: str) -> Iterator[None]:
    try:
        yield
    except (KafkaError, OSError, ValueError, TypeError) as error:
        raise LogError(f"Kafka at {bootstrap}: {doing}: {error or type(error).__name__}") from error


def _connect(kind: Any, **settings: Any) -> Any:
    """Make a client of this kind; if it fails, its sockets are closed, which it leaves open."""
    begun: list[Any] = []

    def begin(**config: Any) -> Any:
        begun.append(KafkaNetClient(**config))
        return begun[-1]

    try:
        return kind(kafka_client=begin, bootstrap_timeout_ms=_CONNECT_MS, **settings)
    except BaseException:
        for client in begun:
            client.close()
        raise


class KafkaWriter:
    """
    Appends to topics, which it makes where they are missing.

    Parameters
    ----------
    bootstrap
        ``host:port``, several with commas.
    client_id
        Name in the broker's logs.
    settings
        How to connect, by kafka-python's names; see `collectors.config.KafkaLog`.
    partitions
        Partitions of a topic this makes; replicas are the broker's default.

    Raises
    ------
    LogError
        When no broker answers.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        client_id: str = "crosspane",
        settings: Mapping[str, object] | None = None,
        partitions: int = 1,
    ) -> None:
        self._bootstrap = bootstrap
        self._settings = dict(settings or {})
        self._client_id = client_id
        self._partitions = partitions
        self._known: set[str] = set()
        self._pending: list[Any] = []
        self._producer = self._open()

    def _open(self) -> Any:
        with _as_log_error(self._bootstrap, "connecting"):
            return _connect(
                KafkaProducer,
                bootstrap_servers=self._bootstrap.split(","),
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                compression_type=None,  # envelopes are compressed
                linger_ms=5,
                max_request_size=MAX_MESSAGE_BYTES,
                max_block_ms=_BUFFER_MS,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **self._settings,
            )

    def append(self, topic: str, key: bytes | None, value: bytes) -> None:
        """See `Writer.append`."""
        if len(value) > MAX_MESSAGE_BYTES - 1_024:
            raise LogError(
                f"Kafka at {self._bootstrap}: {topic}: a message of {len(value)} bytes,"
                f" {MAX_MESSAGE_BYTES - 1_024} are allowed"
            )
        with _as_log_error(self._bootstrap, f"appending to {topic}"):
            self._make(topic)
            self._pending.append(self._producer.send(topic, value=value, key=key))

    def flush(self, timeout_s: float = 30.0) -> None:
        """See `Writer.flush`."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        until = time.monotonic() + timeout_s
        try:
            with _as_log_error(self._bootstrap, "flushing"):
                try:
                    self._producer.flush(timeout=timeout_s)
                    for sent in pending:
                        sent.get(timeout=max(until - time.monotonic(), 0.001))
                except KafkaTimeoutError as error:
                    raise LogError(
                        f"Kafka at {self._bootstrap}: not written within {timeout_s:g} s"
                    ) from error
                except MessageSizeTooLargeError as error:
                    raise LogError(
                        f"Kafka at {self._bootstrap}: a message is too large for the broker:"
                        " raise message.max.bytes there, or lower agents.batch.max_bytes"
                    ) from error
        except LogError:
            # What is still queued would be written later, after what the caller
            # sends again: start with an empty queue instead.
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Let go of a producer and of what it still holds."""
        producer, self._producer = self._producer, _Away(self)
        if isinstance(producer, _Away):
            return
        # close() flushes first, whatever its timeout: nothing public drops the queue.
        producer._sender.force_close()  # noqa: SLF001
        producer._sender.join(1.0)  # noqa: SLF001
        with suppress(KafkaError):
            producer.close(timeout=0)

    def _make(self, topic: str) -> None:
        if topic in self._known:
            return
        client = _connect(
            KafkaAdminClient,
            bootstrap_servers=self._bootstrap.split(","),
            client_id=self._client_id,
            **self._settings,
        )
        try:
            if topic not in client.list_topics():
                options = {"num_partitions": self._partitions, "replication_factor": -1}
                client.create_topics({topic: options}, timeout_ms=_BUFFER_MS)
        except TopicAlreadyExistsError:
            pass  # another writer was quicker
        finally:
            client.close()
        self._known.add(topic)

    def close(self) -> None:
        """See `Writer.close`."""
        try:
            self.flush()
        finally:
            self._producer.close(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Away:
    """Stands for a producer while no broker answers: each use tries to connect again."""

    def __init__(self, writer: KafkaWriter) -> None:
        self._writer = writer

    def send(self, topic: str, value: bytes, key: bytes | None) -> Any:
        self._writer._producer = self._writer._open()  # noqa: SLF001 - same module
        return self._writer._producer.send(topic, value=value, key=key)  # noqa: SLF001

    def close(self, timeout: float) -> None:
        """Nothing is open."""


class KafkaReader:
    """
    Reads the partitions it is told to.

    Parameters
    ----------
    bootstrap, settings
        As of `KafkaWriter`.

    Raises
    ------
    LogError
        When no broker answers.
    """

    def __init__(self, bootstrap: str, *, settings: Mapping[str, object] | None = None) -> None:
        self._bootstrap = bootstrap
        self._ready: deque[Message] = deque()
        self._away = False
        with _as_log_error(bootstrap, "connecting"):
            self._consumer = _connect(
                KafkaConsumer,
                bootstrap_servers=bootstrap.split(","),
                client_id="crosspane-job",
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",  # see _move: a reset would read again what was read
                isolation_level="read_committed",
                fetch_max_bytes=_FETCH_BYTES,
                max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
                metadata_max_age_ms=30_000,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **(settings or {}),
            )

    def places(self, prefix: str) -> list[Place]:
        """See `Reader.places`."""
        with _as_log_error(self._bootstrap, "listing topics"):
            topics = sorted(name for name in self._consumer.topics() if name.startswith(prefix))
            return [
                Place(topic, partition)
                for topic in topics
                for partition in sorted(self._consumer.partitions_for_topic(topic) or ())
            ]

    def begin_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """See `Reader.begin_offsets`."""
        return self._offsets(self._consumer.beginning_offsets, places)

    def end_offsets(self, places: Sequence[Place]) -> Mapping[Place, int]:
        """See `Reader.end_offsets`."""
        return self._offsets(self._consumer.end_offsets, places)

    def _offsets(self, ask: Any, places: Sequence[Place]) -> Mapping[Place, int]:
        if not places:
            return {}
        with _as_log_error(self._bootstrap, "asking for offsets"):
            found = ask([TopicPartition(*place) for place in places], timeout_ms=_BUFFER_MS)
        return {Place(one.topic, one.partition): offset for one, offset in found.items()}

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """See `Reader.seek`."""
        self._ready.clear()
        with _as_log_error(self._bootstrap, "seeking"):
            self._consumer.assign([TopicPartition(*place) for place in offsets])
            for place, offset in offsets.items():
                self._consumer.seek(TopicPartition(*place), offset)

    def poll(self, max_bytes: int, timeout_s: float) -> list[Message]:
        """See `Reader.poll`; while no broker answers, there is nothing ready."""
        if not self._ready:
            self._fetch(timeout_s)
        taken: list[Message] = []
        size = 0
        while self._ready and (not taken or size + len(self._ready[0].value) <= max_bytes):
            taken.append(self._ready.popleft())
            size += len(taken[-1].value)
        return taken

    def _fetch(self, timeout_s: float) -> None:
        try:
            try:
                found = self._consumer.poll(timeout_ms=int(timeout_s * 1_000))
            except OffsetOutOfRangeError as error:
                self._move(error.args[0])
                return
        except LogTruncationError as error:
            raise self._cut(error.divergent_offsets) from error
        except (KafkaError, OSError) as error:
            if not self._away:
                logger.warning("Kafka at %s: %s; trying on", self._bootstrap, error)
            self._away = True
            time.sleep(timeout_s)
            return
        if found and self._away:
            self._away = False
            logger.warning("Kafka at %s: back", self._bootstrap)
        for records in found.values():
            self._ready.extend(
                Message(
                    one.topic,
                    one.partition,
                    one.offset,
                    one.timestamp,
                    one.key,
                    one.value if one.value is not None else b"",
                )
                for one in records
            )

    def _move(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Go on with the oldest kept where retention was faster; refuse what is past the end."""
        begins = self._consumer.beginning_offsets(list(offsets), timeout_ms=_BUFFER_MS)
        past_the_end = {one: at for one, at in offsets.items() if at >= begins[one]}
        if past_the_end:
            raise self._cut(past_the_end)
        for one, begin in begins.items():
            self._consumer.seek(one, begin)

    def _cut(self, places: Mapping[TopicPartition, object]) -> LogError:
        names = ", ".join(f"{one.topic} partition {one.partition}" for one in places)
        return LogError(
            f"Kafka at {self._bootstrap}: {names} ends before what was read of it: it was made"
            " anew, or its newest messages were lost. What it holds now is no continuation;"
            " seek to its begin or end offset to go on"
        )

    def close(self) -> None:
        """See `Reader.close`."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
