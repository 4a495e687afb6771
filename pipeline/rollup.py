"""
Calls and flows of a minute, and of the ten minutes, hour and day it is in.

    requests of the minute --> calls --> edges_1m --> edges_10m --> edges_1h --> edges_1d
    flows of the minute    --> legs_1m --> legs_10m --> legs_1h --> legs_1d

Only the minute's own rows are made of records. A coarser row is made of the rows
one step finer, those of this minute included, and replaces what was there: run
again, or for a minute that rows came late to, all four are as if it were the first time.

Before: windows.py. After: schema/rollups.py (the rows), views/rollups.py.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline import schema
from pipeline.lake import Commit, Lake
from pipeline.memory import FACTS, asked
from pipeline.schema import rollups
from pipeline.schema.rollups import Rollup
from pipeline.views.rollups import calls_rolled_up, merged, rolled_up
from pipeline.views.topology import MARGIN, TOLD_TWICE, begin_of, paired_sql
from pipeline.views.wire import wire_sql

if TYPE_CHECKING:  # which lists this stage
    from pipeline.windows import Window

_LONGER: Final = (timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEW: Final = "rows_new"
_STITCHED: Final = "stitched_minute"


def rollup(lake: Lake, window: "Window") -> Commit:
    """
    The rows of a minute and of every coarser bucket it is in, to replace those there.

    Parameters
    ----------
    window
        One minute.
    """
    commit = Commit({})
    stitched = window.made.get(schema.EDGES.name, schema.EDGES.schema.to_frame())
    joined = stitched.filter(pl.col("request_id").is_null()).select(
        *("start_time", "client_endpoint_id", "protocol", "server_endpoint_id"),
        *("server_ms", "confidence"),
    )
    more = {"stitched": _STITCHED, "twice": told_twice(lake)}
    records = of_records(window.start, window.end, FACTS, more)
    for of, rows in records.items():
        _add(commit, lake, window, of, asked(lake, rows, {_STITCHED: joined}))
    return commit


def told_twice(lake: Lake) -> bool:
    """Whether some proxies may tell the same request twice."""
    return not asked(lake, TOLD_TWICE, {}).is_empty()


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
    first, last = _time(start), _time(end)
    around = f"start_time >= {first} - {MARGIN} AND start_time < {last} + {MARGIN}"
    begun = f">= {first} AND start_time < {last}"
    own = f"minute >= {first} AND minute < {last}"
    calls = paired_sql(f"(FROM {facts}requests WHERE {around})", begun, **more)
    flows = wire_sql(f"FROM {facts}flows WHERE {around}", f"start_time {begun}", minutes=own)
    return {
        rollups.EDGES: calls_rolled_up(rollups.EDGES, begin_of(60), calls),
        rollups.LEGS: rolled_up(rollups.LEGS, "minute", flows),
    }


def _add(commit: Commit, lake: Lake, window: "Window", of: Rollup, rows: pl.DataFrame) -> None:
    """Add the rows of all four lengths, of those of the minute; none if it has and had none."""
    shortest, *longer = of.tables
    commit.frames[shortest.name] = rows
    own = _within(window.start, window.end)
    if not rows.height and (
        window.is_new or not lake.read(f"FROM {shortest.name} SELECT 1 WHERE {own} LIMIT 1").height
    ):
        return
    if not window.is_new:
        commit.cleared[shortest.name] = own
    for finer, table, length in zip(of.tables, longer, _LONGER, strict=False):
        first = window.start - (window.start - _EPOCH) % length
        whole = _within(first, first + length)
        others = f"FROM {FACTS}{finer.name} WHERE {whole} AND NOT ({own})"
        every = f"{others} UNION ALL BY NAME FROM {_NEW}"
        rows = asked(lake, merged(of, _time(first), every), {_NEW: rows})
        commit.frames[table.name] = rows
        own = commit.cleared[table.name] = whole


def _time(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"


def _within(start: datetime, end: datetime) -> str:
    return f"bucket_start >= {_time(start)} AND bucket_start < {_time(end)}"
