"""
Messages of the log to raw payloads: envelopes opened, checked, and counted.

Here an agent is held to its word. The cluster in the topic's name is the
authority on who may write there: an envelope that claims another cluster is
rejected. An agent numbers its payloads, so an envelope sent twice is left out
and counted, and one that never came is a gap that is counted.

What is remembered is, like a decoder's, a function of the log: `snapshot` and
`restore`, by place.

Before: run.py. After: decode/.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from collectors import envelope
from collectors.log import Message, Place
from pipeline import schema
from pipeline.decode import Declared, Payloads, Source
from pipeline.rejects import RAW_BYTES, Reason

_MINUTE_MS: Final = 60_000
_AGENTS_REMEMBERED: Final = 10_000
"""Numbering kept of at most so many (agent, kind, start) of one place, oldest forgotten."""


@dataclass(slots=True)
class Intake:
    """
    What some messages hold, by kind.

    Attributes
    ----------
    payloads
        Kind to payloads, in log order.
    payload_offsets
        Kind to int64[n]: the offset of the message each payload came in.
    rejects, drops
        Rows of `schema.REJECTS` and `schema.AGENT_DROPS`.
    """

    payloads: dict[str, Payloads]
    payload_offsets: dict[str, np.ndarray]
    rejects: pl.DataFrame
    drops: pl.DataFrame
    payload_count: int
    payload_bytes: int


@dataclass(slots=True)
class _Gathered:
    """Columns of one kind while its envelopes are opened."""

    sources: dict[Source, int] = field(default_factory=dict)
    source: list[np.ndarray] = field(default_factory=list)
    received_ns: list[np.ndarray] = field(default_factory=list)
    payload: list[pa.BinaryArray] = field(default_factory=list)
    offset: list[np.ndarray] = field(default_factory=list)

    def add(self, message: Message, header: envelope.Header, batch: pa.RecordBatch) -> None:
        place = Place(message.topic, message.partition)
        exporter = batch.column("exporter")
        declared = Declared(header.format, header.mesh, header.proxy_model)
        codes = np.array(
            [
                self.sources.setdefault(
                    Source(place, header.agent, header.cluster, header.network, name, declared),
                    len(self.sources),
                )
                for name in exporter.dictionary.to_pylist()
            ],
            np.int32,
        )
        self.source.append(codes[exporter.indices.to_numpy()])
        self.received_ns.append(batch.column("received_ns").to_numpy())
        self.payload.append(batch.column("payload"))
        self.offset.append(np.full(batch.num_rows, message.offset, np.int64))

    def payloads(self) -> Payloads:
        return Payloads(
            sources=list(self.sources),
            source=np.concatenate(self.source),
            received_ns=np.concatenate(self.received_ns),
            payload=pa.concat_arrays(self.payload),
        )


class Opener:
    """
    Opens messages; remembers by place the next number of every agent.

    Parameters
    ----------
    topic_prefix
        What every topic begins with, ``crosspane.v1``.
    """

    def __init__(self, topic_prefix: str) -> None:
        self._topic_prefix = topic_prefix
        self._next: dict[Place, dict[str, int]] = {}
        self._next_offset: dict[Place, int] = {}

    def open(self, messages: Sequence[Message]) -> Intake:
        """Payloads of these messages; what is no good goes to rejects, what is lost to drops."""
        gathered: dict[str, _Gathered] = {}
        rejects: list[tuple[object, ...]] = []
        drops: list[tuple[object, ...]] = []
        for message in messages:
            place = Place(message.topic, message.partition)
            skipped = message.offset - self._next_offset.get(place, message.offset)
            if skipped > 0:
                drops.append(_drop(message, "", "", "log_gap", skipped))
            self._next_offset[place] = message.offset + 1
            try:
                opened = envelope.decode(message.value)
                self._check_cluster(message, opened.header)
            except envelope.EnvelopeError as error:
                rejects.append(_reject(message, error.reason, error.detail))
                continue
            header, batch = opened.header, opened.payloads
            drops.extend(
                _drop(message, header.agent, header.cluster, reason, count)
                for reason, count in header.dropped.items()
                if count > 0
            )
            repeated, missing = self._number(place, header, batch.num_rows)
            if missing:
                drops.append(_drop(message, header.agent, header.cluster, "sequence_gap", missing))
            if repeated:
                drops.append(
                    _drop(message, header.agent, header.cluster, "duplicate", batch.num_rows)
                )
            elif batch.num_rows:
                gathered.setdefault(header.kind, _Gathered()).add(message, header, batch)
        return Intake(
            payloads={kind: columns.payloads() for kind, columns in gathered.items()},
            payload_offsets={
                kind: np.concatenate(columns.offset) for kind, columns in gathered.items()
            },
            rejects=pl.DataFrame(rejects, schema.REJECTS.schema, orient="row"),
            drops=pl.DataFrame(drops, schema.AGENT_DROPS.schema, orient="row"),
            payload_count=sum(len(a) for columns in gathered.values() for a in columns.payload),
            payload_bytes=sum(a.nbytes for columns in gathered.values() for a in columns.payload),
        )

    def snapshot(self, place: Place) -> bytes:
        """Numbers remembered of one place."""
        return msgspec.msgpack.encode(self._next.get(place, {}))

    def restore(self, place: Place, state: bytes) -> None:
        """Replace what is remembered of one place; empty forgets it."""
        self._next[place] = msgspec.msgpack.decode(state, type=dict[str, int]) if state else {}

    def expect(self, place: Place, offset: int) -> None:
        """Count a log gap if the next message of this place is later than ``offset``."""
        self._next_offset[place] = offset

    def _check_cluster(self, message: Message, header: envelope.Header) -> None:
        expected = envelope.topic(self._topic_prefix, header.kind, header.cluster)
        if message.topic != expected:
            raise envelope.EnvelopeError(
                Reason.CLUSTER_MISMATCH,
                f"agent {header.agent[:60]} of {header.cluster[:60]} wrote to {message.topic}",
            )

    def _number(self, place: Place, header: envelope.Header, count: int) -> tuple[bool, int]:
        """Whether the envelope came before, and how many payloads are missing before it."""
        known = self._next.setdefault(place, {})
        counter = f"{header.agent}\0{header.kind}\0{header.epoch_ns}"
        expected = known.pop(counter, None)
        repeated = False
        known[counter] = header.first_sequence + count  # newest last
        if expected is not None and count > 0 and header.first_sequence < expected:
            repeated, known[counter] = True, expected
        if len(known) > _AGENTS_REMEMBERED:
            del known[next(iter(known))]
        # What the spool let go was numbered, and the agent counts it in `dropped`.
        told = header.dropped.get("spool_full", 0)
        missing = 0 if expected is None else header.first_sequence - expected - told
        return repeated, max(missing, 0)


def _reject(message: Message, reason: str, detail: str) -> tuple[object, ...]:
    return (
        pl.Series([message.timestamp_ms]).cast(pl.Datetime("ms", "UTC"))[0],
        None,
        message.topic,
        message.partition,
        message.offset,
        str(reason),
        detail[:200],
        message.value[:RAW_BYTES],
        len(message.value),
    )


def _drop(
    message: Message, agent: str, cluster: str, reason: str, count: int
) -> tuple[object, ...]:
    minute_ms = message.timestamp_ms // _MINUTE_MS * _MINUTE_MS
    time = pl.Series([minute_ms]).cast(pl.Datetime("ms", "UTC"))[0]
    return (time, message.topic, agent, cluster, reason, count)
