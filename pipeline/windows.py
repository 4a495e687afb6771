"""
Minutes: when one is over, what follows from its rows is worked out, and again if more come.

    rows committed --> their minutes are stale --> over? --> STAGES --> one transaction

A minute is over some time after its end, by how far the whole log was taken; at the end
of a run that ends, all are. A stage reads the rows of the minute (and around it)
from the lake and gives what is to replace its own rows of that minute, so it may
run again: when rows come late, the minute is stale once more. Which minutes are
stale is written with the rows that make them so; a job that starts goes on. A minute
of which only statistics and probes tell is not stitched and rolled up for it.

Before: correct.py. After: views/.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

import duckdb
import polars as pl

from pipeline import schema
from pipeline.errors import LakeError
from pipeline.findings.stage import findings
from pipeline.health.stage import health
from pipeline.lake import Commit, Lake
from pipeline.memory import memory, settled
from pipeline.recorded import REACH
from pipeline.rollup import rollup
from pipeline.stitch.stage import stitch_minute

log = logging.getLogger("crosspane.windows")

LENGTH: Final = timedelta(minutes=1)
BUDGET_S: Final = 1.0
"""A job that is behind works out minutes for so long, then takes what came meanwhile."""
_RECORDS: Final = {"requests": "start_time", "flows": "start_time"}
_TOLD: Final = {
    "verdicts": "event_time",
    "probes": "start_time",
    "proxy_samples": "received_time",
    "control_plane": "received_time",
}
"""
Tables to the time by which their rows are of a minute. Of records, every stage reads those
of the minutes before and after, too; of what is told besides, some stages read the minute.
"""


class Window(NamedTuple):
    """
    One minute: [start, end), UTC.

    Attributes
    ----------
    made
        What the stages before made of it, by table: it is in the lake when all are done; and
        what they tell besides (`Commit.aside`).
    is_new
        It was never worked out before: there is nothing to replace.
    """

    start: datetime
    end: datetime
    made: Mapping[str, pl.DataFrame] = MappingProxyType({})
    is_new: bool = False


Stage = Callable[[Lake, Window], Commit | None]

STAGES: Final[dict[str, Stage]] = {
    "stitch": stitch_minute,
    "rollup": rollup,
    "health": health,
    "findings": findings,
}
"""What is done with a minute that is over, in order. One line here adds one."""
_OF_RECORDS: Final[frozenset[Stage]] = frozenset({stitch_minute, rollup})
"""Stages that a minute of which no records came need not run again."""


def _minutes(
    frames: Mapping[str, pl.DataFrame], times: Mapping[str, str], reach: Sequence[timedelta]
) -> pl.Series:
    """Minutes that rows are of, or are so near to."""
    none = pl.Series("window_start", [], schema.TIME)
    return pl.concat(
        [
            none,
            *(
                (frame[times[name]] + shift).dt.truncate(LENGTH).alias("window_start")
                for name, frame in frames.items()
                if name in times
                for shift in reach
            ),
        ]
    ).unique()


class Windows:
    """
    Minutes of one job.

    Parameters
    ----------
    grace, late
        How long after its end a minute is over; how old one may be to be done again.
    """

    def __init__(
        self, lake: Lake, grace: timedelta, late: timedelta, stages: Sequence[Stage]
    ) -> None:
        self._lake, self._grace, self._late = lake, grace, late
        self._stages = tuple(stages)
        self._newest: datetime | None = None
        stale = lake.read("SELECT window_start FROM windows WHERE stale")
        self._stale: set[datetime] = set(stale["window_start"])
        self._recorded = set(self._stale)
        self._before: datetime | None = lake.read("SELECT max(window_start) FROM windows").item()

    def mark(self, frames: Mapping[str, pl.DataFrame], passed: datetime | None) -> pl.DataFrame:
        """
        Rows of `schema.WINDOWS`, to commit with the rows that make these minutes stale.

        Parameters
        ----------
        passed
            Up to when everything was taken before these: what is late is so by that.
        """
        if not self._stages:
            return schema.WINDOWS.schema.to_frame()
        recorded = _minutes(frames, _RECORDS, (-REACH, timedelta(0), REACH))
        minutes = pl.concat([recorded, _minutes(frames, _TOLD, (timedelta(0),))]).unique()
        self._newest = max([*minutes, *filter(None, [self._newest])], default=None)
        if passed is not None and self._newest is not None:
            # a record dated into the future makes no other late
            minutes = minutes.filter(minutes >= min(self._newest, passed) - self._late)
        self._stale |= set(minutes)
        self._recorded |= set(minutes) & set(recorded)
        marked = minutes.to_frame().with_columns(stale=pl.lit(value=True))
        return schema.complete(marked, schema.WINDOWS.schema)

    def close(self, newest: datetime | None, *, everything: bool = False) -> int:
        """Work out minutes that are over, `BUDGET_S` long or all; returns how many."""
        until = time.monotonic() + BUDGET_S
        done = 0
        over = sorted(
            start
            for start in self._stale
            if everything or (newest is not None and start + LENGTH + self._grace <= newest)
        )
        for start in over:
            is_new = self._before is None or start > self._before
            self._work_out(Window(start, start + LENGTH, is_new=is_new))
            self._before = start if self._before is None else max(start, self._before)
            self._stale.discard(start)
            self._recorded.discard(start)
            done += 1
            if not everything and time.monotonic() > until:
                break
        return done

    def _made(self, window: Window) -> Commit:
        """What all stages make of a minute."""
        whole = Commit({})
        for stage in self._stages:
            if stage in _OF_RECORDS and window.start not in self._recorded:
                continue
            part = self._part(stage, window._replace(made=whole.frames | whole.aside))
            if part is not None:
                whole.frames |= part.frames
                whole.aside |= part.aside
                whole.replaced |= part.replaced
                whole.cleared |= part.cleared
        return whole

    def _part(self, stage: Stage, window: Window) -> Commit | None:
        """What one stage makes of it; nothing if that fails."""
        try:
            return stage(self._lake, window)
        except (duckdb.Error, LakeError, pl.exceptions.PolarsError, OSError):
            log.exception("%s of %s failed", stage.__name__, window.start.isoformat())
            memory(self._lake).again()
            return None

    def _work_out(self, window: Window) -> None:
        with settled(self._lake):
            whole = self._made(window)
        row = (window.start, False, datetime.now(UTC))
        done = pl.DataFrame([row], schema.WINDOWS.schema, orient="row")
        whole.frames[schema.WINDOWS.name] = done
        whole.replaced[schema.WINDOWS.name] = "window_start"
        self._lake.commit(whole)
