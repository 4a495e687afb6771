"""
Calls and flows of a minute, and of the ten minutes, hour and day it is in.

    requests of the minute --> calls --> edges_1m --> edges_10m, edges_1h, edges_1d
    flows of the minute    --> legs_1m --> legs_10m, legs_1h, legs_1d

Only the minute's own rows are made of records. A longer row is made of those and what else
is in it: of a minute that is new, that is the row there was; of one that is worked out again,
the longest rows that do not have it. It replaces what was there: all four are as if
every minute were worked out once.

    the day again:  |h|h|h|h|tt|mmm.mmmmmm|ttt|h|h|h|h|h|h|    . the minute

Before: windows.py. After: schema/rollups.py (the rows), views/rollups.py.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline import schema
from pipeline.lake import Commit, Lake
from pipeline.memory import FACTS, asked, asking
from pipeline.recorded import REACH, recorded
from pipeline.schema import rollups
from pipeline.schema.literals import literal, within
from pipeline.schema.model import I32, Column
from pipeline.schema.rollups import Rollup
from pipeline.stitch.by_id import client_side, others
from pipeline.stitch.stage import stitched
from pipeline.views.failed import WRONG, wrong_sql
from pipeline.views.rollups import calls_rolled_up, merged, rolled_up, ways_rolled_up, ways_sql
from pipeline.views.topology import TOLD_TWICE, begin_of, paired_sql
from pipeline.views.wire import wire_sql

if TYPE_CHECKING:  # which lists this stage
    from pipeline.windows import Window

_LONGER: Final = (timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH: Final = Column("length", I32, "which of the longer lengths it is of")
_NEW: Final = "rows_new"
_STITCHED: Final = "stitched_minute"
_JOINED: Final = (
    *("start_time", "client_endpoint_id", "protocol", "server_endpoint_id"),
    *("server_ms", "confidence"),
)
"""What is read of stitched conversations."""
_WAYS: Final = "ways_of_minute"
_OTHERS, _BY_ID = "requests_of_minute", "calls_of_minute"
_MANY: Final = 0.5
"""Share of records left from which to read all anew takes less than to copy those."""
WRONG_CALLS: Final = "wrong_calls"
"""What later stages are told of a minute in which calls failed."""


def rollup(lake: Lake, window: "Window") -> Commit:
    """
    The rows of a minute and of every coarser bucket it is in, to replace those there.

    Aside, of a minute in which calls failed: rows of `wrong_calls`, as ``WRONG_CALLS``.

    Parameters
    ----------
    window
        One minute.
    """
    commit = Commit({})
    made = window.made.get(schema.EDGES.name, schema.EDGES.schema.to_frame())
    with _asking(lake, window, made) as ask:
        edges = ask(ways_rolled_up(rollups.EDGES, _WAYS))
        legs = ask(_legs_sql(window.start, window.end, FACTS))
        if went_wrong(edges):
            commit.aside[WRONG_CALLS] = ask(wrong_sql(_WAYS))
    _add(commit, lake, window, rollups.EDGES, edges)
    _add(commit, lake, window, rollups.LEGS, legs)
    return commit


def went_wrong(edges: pl.DataFrame) -> bool:
    """Whether any call of these rows of edges failed or was denied."""
    return bool(edges["errors"].sum() or edges["denied"].sum())


def wrong_calls(lake: Lake, window: "Window") -> pl.DataFrame:
    """Calls of a minute of which something went wrong: `views.failed.wrong_sql`."""
    made = stitched(lake, window, schema.EDGES, ("request_id", *_JOINED))
    with _asking(lake, window, made) as ask:
        return ask(wrong_sql(_WAYS))


@contextlib.contextmanager
def _asking(
    lake: Lake, window: "Window", edges: pl.DataFrame
) -> Iterator[Callable[[str], pl.DataFrame]]:
    """Ask several queries of `_WAYS`: calls of a minute, stitched so, added up by their way."""
    frames = {_STITCHED: edges.filter(pl.col("request_id").is_null()).select(_JOINED)}
    in_place: dict[str, pl.DataFrame] = {}
    twice = not asked(lake, TOLD_TWICE, {}).is_empty()
    by_id = None if twice else _by_id(lake, window)
    if by_id is None:
        more = {"stitched": _STITCHED, "twice": twice}
        paired = _calls_sql(window.start, window.end, FACTS, more)
    else:
        frames[_OTHERS], in_place[_BY_ID] = by_id
        begun = _begun(window.start, window.end)
        paired = paired_sql(_OTHERS, begun, _STITCHED, twice=False, by_id=_BY_ID)
    ways = ways_sql(rollups.EDGES, begin_of(60), paired, WRONG)
    with asking(lake, frames, {_WAYS: ways}, in_place) as ask:
        yield ask


def _by_id(lake: Lake, window: "Window") -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Records that SQL has to pair, and calls that their id tells; None if the former are many."""
    requests, calls = recorded(lake, window)
    left = others(requests, calls)
    if left.height > _MANY * requests.height:
        return None
    began = pl.lit(requests["start_time"].gather(calls["client"]))
    own = began.is_between(window.start, window.end, closed="left")
    return left, client_side(requests, calls.filter(own))


def of_records(
    start: datetime, end: datetime, facts: str = "", more: Mapping[str, Any] = MappingProxyType({})
) -> dict[Rollup, str]:
    """
    SQL of the rows of minutes in [start, end), made of records.

    Parameters
    ----------
    facts
        What stands before the names of tables of records.
    more
        Arguments of `paired_sql`.
    """
    return {
        rollups.EDGES: calls_rolled_up(
            rollups.EDGES, begin_of(60), _calls_sql(start, end, facts, more)
        ),
        rollups.LEGS: _legs_sql(start, end, facts),
    }


def _calls_sql(start: datetime, end: datetime, facts: str, more: Mapping[str, Any]) -> str:
    rows = f"(FROM {facts}requests WHERE {_around(start, end)})"
    return paired_sql(rows, _begun(start, end), **more)


def _begun(start: datetime, end: datetime) -> str:
    return f">= {literal(start)} AND start_time < {literal(end)}"


def _legs_sql(start: datetime, end: datetime, facts: str) -> str:
    rows = f"FROM {facts}flows WHERE {_around(start, end)}"
    begun, own = within("start_time", start, end), within("minute", start, end)
    return rolled_up(rollups.LEGS, "minute", wire_sql(rows, begun, minutes=own))


def _around(start: datetime, end: datetime) -> str:
    return within("start_time", start - REACH, end + REACH)


def _add(commit: Commit, lake: Lake, window: "Window", of: Rollup, rows: pl.DataFrame) -> None:
    """Add the rows of all four lengths, of those of the minute; none if it has and had none."""
    shortest, *longer = of.tables
    commit.frames[shortest.name] = rows
    own = within("bucket_start", window.start, window.end)
    if not rows.height and (
        window.is_new or not lake.read(f"FROM {shortest.name} SELECT 1 WHERE {own} LIMIT 1").height
    ):
        return
    if not window.is_new:
        commit.cleared[shortest.name] = own
    parts, others = [], []
    for nth, (finer, table, length) in enumerate(zip(of.tables, longer, _LONGER, strict=False)):
        first = window.start - (window.start - _EPOCH) % length
        whole = within("bucket_start", first, first + length)
        if window.is_new:
            others = [f"{FACTS}{table.name} WHERE {whole}"]
        else:
            others.append(f"{FACTS}{finer.name} WHERE {whole} AND NOT ({own})")
        row = f"SELECT * REPLACE ({literal(first)} AS bucket_start), {nth} AS {_LENGTH.name}"
        parts += [f"{row} FROM {one}" for one in (_NEW, *others)]
        own = commit.cleared[table.name] = whole
    together = " UNION ALL BY NAME ".join(parts)
    every = merged(of._replace(key=(_LENGTH, *of.key)), "bucket_start", together)
    made = asked(lake, every, {_NEW: rows})
    for nth, table in enumerate(longer):
        commit.frames[table.name] = made.filter(pl.col(_LENGTH.name) == nth).drop(_LENGTH.name)
