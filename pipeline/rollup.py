"""
Edges of a minute, and of the ten minutes, hour and day it is in.

    requests of the minute --> calls --> edges_1m --> edges_10m --> edges_1h --> edges_1d

Only the minute's own rows are made of requests. A coarser row is made of the rows
one step finer, those of this minute included, and replaces what was there: run
again, or for a minute that rows came late to, all four are as if it were the first time.

Before: windows.py. After: schema/rollups.py (the rows), views/rollups.py.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pipeline.lake import Commit, Lake
from pipeline.schema import rollups
from pipeline.views.rollups import edges_of_calls, edges_of_edges
from pipeline.views.topology import MARGIN, calls_sql

if TYPE_CHECKING:  # which lists this stage
    from pipeline.windows import Window

_STEPS: Final = (
    (rollups.EDGES_10M, rollups.EDGES_1M, timedelta(minutes=10)),
    (rollups.EDGES_1H, rollups.EDGES_10M, timedelta(hours=1)),
    (rollups.EDGES_1D, rollups.EDGES_1H, timedelta(days=1)),
)
"""Each coarser table, what it is made of, and how long its buckets are."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEW: Final = "edges_new"


def rollup(lake: Lake, window: "Window") -> Commit:
    """
    The rows of a minute and of every coarser bucket it is in, to replace those there.

    Parameters
    ----------
    window
        One minute.
    """
    start, end = _time(window.start), _time(window.end)
    around = f"start_time >= {start} - {MARGIN} AND start_time < {end} + {MARGIN}"
    begun = f">= {start} AND start_time < {end}"
    calls = calls_sql(f"(FROM requests WHERE {around})", begun)
    rows = lake.read(edges_of_calls(start, calls))
    commit = Commit({rollups.EDGES_1M.name: rows})
    own = commit.cleared[rollups.EDGES_1M.name] = _within(window.start, window.end)
    for table, finer, length in _STEPS:
        first = window.start - (window.start - _EPOCH) % length
        whole = _within(first, first + length)
        others = f"FROM {finer.name} WHERE {whole} AND NOT ({own})"
        lake.connection.register(_NEW, rows.to_arrow())
        try:
            merged = edges_of_edges(_time(first), f"{others} UNION ALL BY NAME FROM {_NEW}")
            rows = lake.read(merged)
        finally:
            lake.connection.unregister(_NEW)
        commit.frames[table.name] = rows
        own = commit.cleared[table.name] = whole
    return commit


def _time(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"


def _within(start: datetime, end: datetime) -> str:
    return f"bucket_start >= {_time(start)} AND bucket_start < {_time(end)}"
