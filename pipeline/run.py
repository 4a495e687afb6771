"""
The loop: poll, decode, normalize, enrich, commit.

Facts and the log offsets behind them are committed in one transaction, about
once a second. Kill the process anywhere: the next one starts at the offsets in
the lake, restores what the decoders knew there, and goes on. Nothing is lost,
nothing is there twice.

Before: collectors/log. After: intake.py, decode/, normalize.py, enrich/, lake.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import Final

import polars as pl

from collectors.log import Message, Place, Reader
from pipeline import schema
from pipeline.config import Config
from pipeline.correct import correct, newest_times
from pipeline.decode import Decoder
from pipeline.decode.access_log import AccessLog
from pipeline.decode.als import Als
from pipeline.decode.hubble import Hubble
from pipeline.decode.hubble.json_export import HubbleJson
from pipeline.decode.istiod import Istiod
from pipeline.decode.linkerd import Linkerd
from pipeline.decode.netflow import Netflow
from pipeline.decode.otlp import Otlp
from pipeline.decode.probe import Probe
from pipeline.decode.prometheus import Prometheus
from pipeline.decode.sockets import Sockets
from pipeline.decode.ztunnel import Ztunnel
from pipeline.enrich import ENRICHERS
from pipeline.intake import Intake, Opener
from pipeline.inventory.decode import FRAME as CHANGES
from pipeline.inventory.decode import Changes
from pipeline.inventory.registry import REPLACED, SOURCES
from pipeline.known import Known
from pipeline.lake import Commit, Lake
from pipeline.normalize import NORMALIZERS
from pipeline.vantages import Vantages, accounting_rows, refusals, reject_rows
from pipeline.windows import STAGES, Windows

log = logging.getLogger("crosspane.job")

DECODERS: Final[dict[str, Callable[[], Decoder]]] = {
    "netflow": Netflow,
    "access_log": AccessLog,
    "prometheus": Prometheus,
    "istiod": Istiod,
    "als": Als,
    "otlp_logs": Otlp,
    "ztunnel": Ztunnel,
    "linkerd": Linkerd,
    "hubble": Hubble,
    "hubble_json": HubbleJson,
    "probe": Probe,
    "sockets": Sockets,
    **{kind: partial(Changes, kind) for kind in SOURCES},
}
"""Kind of payload to its decoder. One line here adds one."""

Stage = Callable[[pl.DataFrame], pl.DataFrame]


def stages(known: Known) -> dict[str, tuple[Stage, ...]]:
    """Table to the stages its rows go through, in order. One word here adds one."""

    def enrich(rows: pl.DataFrame, name: str) -> pl.DataFrame:
        return ENRICHERS[name](rows, identities=known.identities)

    return {
        name: (normalize, partial(enrich, name=name)) for name, normalize in NORMALIZERS.items()
    }


_COMMITTED_TABLES: Final = {table.name: table for table in schema.TABLES}
_AT_A_TIME: Final = 16
_LITTLE_BYTES: Final = 256 * 1024
"""
So many messages are decoded together, or more while they are little: one costs as much
as some to decode, and what all come to is bounded, however well they compress.
"""
_GATHERING: Final = 0.2
"""Share of the time to a commit that little waits for more: agents send each at its own time."""
_REFRESH_S: Final = 0.2
"""The index is not arranged anew more often than so."""
_CHECKPOINT_KEY: Final = "(topic, partition)"
_INTAKE: Final = "intake"


def run(
    reader: Reader,
    lake: Lake,
    known: Known,
    config: Config,
    *,
    stop: threading.Event,
    until_idle: bool = False,
    on_commit: Callable[[Mapping[str, float]], None] | None = None,
) -> None:
    """
    Follow the log into the lake until told to stop.

    Parameters
    ----------
    until_idle
        Return when all the log held is in the lake, instead of waiting for more.
    on_commit
        Given the row of ``commits`` after each transaction, without its time.

    Raises
    ------
    LakeError, LogError
        When either cannot go on; what was committed stays committed.
    """
    job = Job(reader, lake, known, config)
    while not stop.is_set():
        job.follow()
        took_any = job.take(config.job.poll_wait_ms / 1e3)
        done = until_idle and not took_any and job.caught_up()
        if job.due() or done:
            row = job.commit(checkpoint=done)
            if row and on_commit:
                on_commit(row)
        job.correct(now=done)
        job.close_windows(everything=done)
        if done:
            return
    job.commit(checkpoint=True)
    job.correct(now=True)
    job.close_windows(everything=False)


class Job:
    """The parts of the loop, and what waits for the next commit."""

    def __init__(self, reader: Reader, lake: Lake, known: Known, config: Config) -> None:
        self._reader = reader
        self._lake = lake
        self._known = known
        self._stages = stages(known)
        self._config = config
        self._opener = Opener(config.topic_prefix)
        self._decoders = {kind: decoder() for kind, decoder in DECODERS.items()}
        self._vantages = Vantages(lake.read(f"FROM {schema.VANTAGES.name}"))
        self._committed: dict[Place, int] = {}
        self._position: dict[Place, int] = {}
        self._polled: list[Message] = []
        self._pending: dict[str, list[pl.DataFrame]] = {}
        self._pending_since: float | None = None
        self._row = _empty_row()
        self._newest_ms = 0
        self._newest = newest_times(lake)
        self._come_to_ms: dict[Place, int] = {}
        self._passed: datetime | None = None
        grace, late = config.job.window_grace_s, config.job.window_late_s
        self._windows = Windows(
            lake,
            timedelta(seconds=grace),
            timedelta(seconds=late),
            [STAGES[name] for name in config.job.work_out],
        )
        self._followed_at = self._checkpointed_at = self._maintained_at = float("-inf")
        self._reloaded_at = self._corrected_at = self._refreshed_at = float("-inf")

    def follow(self) -> None:
        """Every few seconds, look for topics and partitions that are new."""
        now = time.monotonic()
        if now - self._followed_at < self._config.job.discover_s:
            return
        self._followed_at = now
        places = self._reader.places(self._config.topic_prefix + ".")
        new = sorted(set(places) - set(self._position))  # a run reads in the order of any other
        if not new:
            return
        in_lake = self._lake.offsets()
        self._lake.adopt(*(place for place in new if place not in in_lake))
        for place in new:
            self._committed[place] = in_lake.get(place, 0)
            self._remember(place, self._committed[place])
            self._opener.expect(place, self._committed[place])
        self._position.update({place: self._committed[place] for place in new})
        self._polled = []  # not taken yet: read again from where the job stands
        self._reader.seek(self._position)
        self._passed = self._watermark()

    def take(self, wait_s: float) -> bool:
        """Put what came, decoded and enriched, beside the rest; False if nothing did."""
        started = time.perf_counter()
        if not self._polled:
            self._polled = self._poll(wait_s)
        count = _together(self._polled)
        messages, self._polled = self._polled[:count], self._polled[count:]
        polled = time.perf_counter()
        self._row["poll_ms"] += (polled - started) * 1e3
        if not messages:
            return False
        self._pending_since = self._pending_since or time.monotonic()
        intake = self._opener.open(messages)
        frames = self._decode(intake)
        self._look_at_inventory()
        decoded = time.perf_counter()
        for name, frame in frames:
            for stage in self._stages.get(name, ()):
                frame = stage(frame)  # noqa: PLW2901 - each stage's rows are the next one's
            table = _COMMITTED_TABLES[name]
            self._pending.setdefault(name, []).append(frame.select(table.schema.names()))
            if name in self._row:
                self._row[name] += frame.height
            if name in self._stages:
                newest: datetime = frame["received_time"].max()  # type: ignore[assignment]
                self._newest[name] = max(self._newest.get(name, newest), newest)
        for message in messages:
            place = Place(message.topic, message.partition)
            self._position[place] = message.offset + 1
            self._come_to_ms[place] = message.timestamp_ms
        self._newest_ms = max(self._newest_ms, *(message.timestamp_ms for message in messages))
        self._row["messages"] += len(messages)
        self._row["payloads"] += intake.payload_count
        self._row["payload_bytes"] += intake.payload_bytes
        self._row["decode_ms"] += (decoded - polled) * 1e3
        self._row["enrich_ms"] += (time.perf_counter() - decoded) * 1e3
        return True

    def _poll(self, wait_s: float) -> list[Message]:
        """What comes within a time; and if that is little, what follows a while later."""
        job = self._config.job
        came = list(self._reader.poll(job.poll_bytes, wait_s))
        until = time.monotonic() + _GATHERING * job.commit_ms / 1e3
        while came and _is_little(came) and (left_s := until - time.monotonic()) > 0:
            came += self._reader.poll(job.poll_bytes, left_s)
        return came

    def due(self) -> bool:
        """Whether enough waits, or has waited long enough, to be committed."""
        if self._pending_since is None:
            return False
        rows = sum(part.height for name in NORMALIZERS for part in self._pending.get(name, ()))
        waited_ms = (time.monotonic() - self._pending_since) * 1e3
        return rows >= self._config.job.commit_rows or waited_ms >= self._config.job.commit_ms

    def caught_up(self) -> bool:
        """Whether everything the log holds now has been taken."""
        ends = self._reader.end_offsets(list(self._position))
        return all(self._position[place] >= end for place, end in ends.items())

    def commit(self, *, checkpoint: bool) -> Mapping[str, float] | None:
        """Write what waits, with its offsets; None if nothing waits."""
        if self._pending_since is None and not checkpoint:
            return None
        started = time.perf_counter()
        self._known.refresh()
        checkpoint |= time.monotonic() - self._checkpointed_at > self._config.job.checkpoint_s
        commit = Commit({name: pl.concat(parts) for name, parts in self._pending.items()})
        commit.frames[schema.VANTAGES.name] = self._vantages.new_rows()
        self._mark_windows(commit, commit.frames)
        for name, frame in self._known.pending().items():
            commit.frames[name], commit.replaced[name] = frame, REPLACED[name]
        commit.offsets = {
            place: (before, self._position[place])
            for place, before in self._committed.items()
            if self._position[place] != before
        }
        if checkpoint and self._position:
            commit.frames[schema.CHECKPOINTS.name] = self._checkpoint()
            commit.replaced[schema.CHECKPOINTS.name] = _CHECKPOINT_KEY
        age_ms = time.time() * 1e3 - self._newest_ms if self._newest_ms else 0.0
        row = self._row | {"lag_ms": max(age_ms, 0.0)}
        commit.frames[schema.COMMITS.name] = _commit_row(row)
        self._lake.commit(commit)
        row["write_ms"] = (time.perf_counter() - started) * 1e3
        self._vantages.keep()
        self._committed = dict(self._position)
        self._passed = self._watermark()
        self._pending, self._pending_since, self._row = {}, None, _empty_row()
        self._row["write_ms"] = row["write_ms"]  # known only now: stands in the next row
        if checkpoint:
            self._checkpointed_at = time.monotonic()
        self._maintain()
        return row

    @property
    def _newest_time(self) -> datetime | None:
        """When the newest row of all was received."""
        return max(self._newest.values(), default=None)

    def _watermark(self) -> datetime | None:
        """
        Up to when all that the log holds was taken.

        That is when the newest row was received, and no later than what a place with more to
        take has come to: one topic is read before another, and what waits is not late.
        """
        newest = self._newest_time
        if newest is None:
            return None
        ends = self._reader.end_offsets(list(self._position))
        behind = (
            self._come_to_ms.get(place, 0) for place in ends if self._position[place] < ends[place]
        )
        return min([newest, *(datetime.fromtimestamp(ms / 1e3, UTC) for ms in behind)])

    def correct(self, *, now: bool) -> None:
        """Now and then, look up again rows that what came since may name."""
        due = time.monotonic() - self._corrected_at > self._config.job.correct_s
        if not self._known.touched or self._newest_time is None or not (due or now):
            return
        self._corrected_at = time.monotonic()
        window = timedelta(seconds=self._config.job.correct_window_s)
        touched, self._known.touched = self._known.touched, Known.UNTOUCHED
        if window:
            since = self._newest_time - window
            commit, renamed = correct(
                self._lake, self._known.identities, touched, self._newest, since
            )
            if renamed:
                self._mark_windows(commit, renamed)
                self._lake.commit(commit)

    def _mark_windows(self, commit: Commit, frames: Mapping[str, pl.DataFrame]) -> None:
        """With rows that are new or other, that their minutes are to be worked out again."""
        commit.frames[schema.WINDOWS.name] = self._windows.mark(frames, self._passed)
        commit.replaced[schema.WINDOWS.name] = "window_start"

    def close_windows(self, *, everything: bool) -> None:
        """Work out what follows from the minutes that are over."""
        self._windows.close(self._passed, everything=everything)

    def _look_at_inventory(self) -> None:
        """Rows from here on see what was told so far; not more often than it costs."""
        now = time.monotonic()
        if now - self._reloaded_at > self._config.job.inventory_s:
            self._reloaded_at = now
            self._known.reload()
        if now - self._refreshed_at > _REFRESH_S:
            self._known.refresh()
            self._refreshed_at = time.monotonic()

    def _decode(self, intake: Intake) -> list[tuple[str, pl.DataFrame]]:
        """Rows of every table these payloads fill, with ``vantage_id`` for what decoders number."""
        frames = [
            (schema.REJECTS.name, intake.rejects),
            (schema.AGENT_DROPS.name, intake.drops),
        ]
        for kind, payloads in intake.payloads.items():
            decoded = self._decoders[kind].decode(payloads)
            ids = self._vantages.ids(decoded.vantages, self._known.network_codes)
            refused = self._known.take(decoded.frames.pop(CHANGES)) if kind in SOURCES else ()
            frames += [(name, ids.attach(frame)) for name, frame in decoded.frames.items()]
            frames.append((schema.ACCOUNTING.name, accounting_rows(ids.attach(decoded.counts))))
            rejects = ids.attach(pl.concat([decoded.rejects, refusals(refused, payloads)]))
            offsets = intake.payload_offsets[kind]
            frames.append((schema.REJECTS.name, reject_rows(rejects, payloads, offsets)))
        self._row["rejects"] += sum(
            frame.height for name, frame in frames if name == schema.REJECTS.name
        )
        return [(name, frame) for name, frame in frames if frame.height]

    def _remember(self, place: Place, offset: int) -> None:
        """Bring opener and decoders to what they knew at ``offset``."""
        saved = self._lake.read(
            f"FROM {schema.CHECKPOINTS.name}"
            f" WHERE topic = '{place.topic}' AND partition = {place.partition}"
        )
        states: dict[str, bytes] = dict(zip(saved["kind"], saved["state"], strict=True))
        self._opener.restore(place, states.get(_INTAKE, b""))
        for kind, decoder in self._decoders.items():
            decoder.restore(place, states.get(kind, b""))
        begin = self._reader.begin_offsets([place])[place]
        at = max([*saved["next_offset"], begin])
        self._reader.seek({place: at})
        while at < offset:
            messages = self._reader.poll(self._config.job.poll_bytes, 5.0)
            known = [message for message in messages if message.offset < offset]
            if not known:  # expired since; what the log no longer has cannot be remembered
                return
            for kind, payloads in self._opener.open(known).payloads.items():
                self._decoders[kind].decode(payloads)
            at = known[-1].offset + 1

    def _checkpoint(self) -> pl.DataFrame:
        parts: dict[str, Opener | Decoder] = {_INTAKE: self._opener, **self._decoders}
        rows = [
            (*place, kind, offset, part.snapshot(place))
            for place, offset in self._position.items()
            for kind, part in parts.items()
        ]
        return pl.DataFrame(rows, schema.CHECKPOINTS.schema, orient="row")

    def _maintain(self) -> None:
        now = time.monotonic()
        if self._maintained_at == float("-inf"):
            self._maintained_at = now
        if now - self._maintained_at > self._config.lake.maintain_s:
            self._maintained_at = now
            self._lake.maintain(keep_snapshots_s=self._config.lake.keep_snapshots_s)


def _is_little(messages: Sequence[Message]) -> bool:
    return sum(len(message.value) for message in messages) <= _LITTLE_BYTES


def _together(messages: Sequence[Message]) -> int:
    """How many of them are decoded together."""
    sizes = accumulate(len(message.value) for message in messages)
    return max(_AT_A_TIME, sum(size <= _LITTLE_BYTES for size in sizes))


def _empty_row() -> dict[str, float]:
    names = [column.name for column in schema.COMMITS.columns[1:]]
    return dict.fromkeys(names, 0)


def _commit_row(row: Mapping[str, float]) -> pl.DataFrame:
    now = pl.Series("committed_time", [time.time_ns() // 1_000]).cast(schema.TIME)
    columns = {name: [value] for name, value in row.items()}
    return pl.DataFrame({"committed_time": now, **columns}).cast(schema.COMMITS.schema)
