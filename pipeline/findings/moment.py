"""
The lake as it was at a moment: the same views over tables that end there.

Views take the newest row of a table as their clock. Cut at the end of a minute,
they say what they said then, however far behind the job is, and cut some minutes
before it as well, they cost what those minutes hold and not what the lake does.
What several kinds ask is put together once; where it can only be empty, not at all.

Before: memory.py (which has the tables), stage.py. After: kinds.py (what is asked).
"""

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb
import polars as pl

from pipeline.lake import Lake
from pipeline.memory import Memory, memory, sources, views_of

CALLS_LOOKBACK: Final = timedelta(minutes=5)
"""How far back calls and refusals are looked at: what is wrong with them is wrong now."""
SCRAPES_LOOKBACK: Final = timedelta(minutes=10)
"""How far back the last word of a proxy or control plane may be."""
_TIMEOUT_S: Final = 30.0
"""A query that takes longer is given up."""
_ONCE: Final = {
    "contended": ("endpoints", "prefixes"),
    "v_policy_verdicts": ("requests", "verdicts"),
    "v_upstreams": ("proxy_samples",),
    "v_control_plane": ("control_plane", "proxy_samples"),
    "unwell": ("health_1m WHERE errors > 0 OR state IN ('degraded', 'failing')",),
}
"""Views that several kinds ask, and the rows without which they are empty."""
_EMPTY_WITHOUT: Final = _ONCE | {
    "v_targets": ("proxy_samples",),
    "v_certificates": ("proxy_samples",),
    "v_probe_targets": ("probes",),
    "v_probe_certificates": ("probes",),
    "v_rejects": ("rejects",),
    "health_1m": ("health_1m",),
    "security_1m": ("security_1m",),
    "agent_drops": ("agent_drops",),
}


class Moment:
    """The views as of ``until``."""

    def __init__(
        self,
        kept: Memory,
        connection: duckdb.DuckDBPyConnection,
        until: datetime,
        made: Mapping[str, pl.DataFrame],
    ) -> None:
        self._kept, self._connection = kept, connection
        self._until, self._made = until, made
        self._lookback = timedelta(0)
        self._forget()

    def ask(self, query: str, lookback: timedelta, only_if: str = "") -> list[dict[str, Any]]:
        """
        Rows of a query, of what is not older than ``lookback``.

        Parameters
        ----------
        only_if
            A query without whose rows there are none.

        Raises
        ------
        duckdb.Error
            Also when it took too long.
        """
        try:
            return self._ask(query, lookback, only_if)
        except duckdb.Error:
            self._kept.again()
            self._forget()
            raise

    def _ask(self, query: str, lookback: timedelta, only_if: str) -> list[dict[str, Any]]:
        if lookback != self._lookback:
            self._forget()
            self._lookback = lookback
        named = {*(view.name for view in views_of(query)), *sources(query), *sources(only_if)}
        for name in sorted(named & _EMPTY_WITHOUT.keys()):
            if not any(self._any(f"FROM {rows}") for rows in _EMPTY_WITHOUT[name]):
                return []
        with _limited(self._connection):
            if only_if and not self._any(only_if):
                return []
            result = self._connection.execute(self._with_all(query))
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _forget(self) -> None:
        """Tables, views and answers that are there are of another time, or gone."""
        self._brought: set[str] = set()
        self._once: set[str] = set()
        self._there: dict[str, bool] = {}

    def _with_all(self, query: str) -> str:
        """The query, when all that it reads is there; views of `_ONCE` as tables."""
        if missing := sources(query) - self._brought:
            self._kept.bring(self._connection, missing, self._lookback, self._until, self._made)
            self._brought |= missing
        for view in views_of(query):
            self._kept.have(self._connection, view)
            if view.name in _ONCE:
                once = f"once_{view.name}"
                if view.name not in self._once:
                    made = f"CREATE OR REPLACE TABLE {once} AS FROM {view.name}"
                    self._connection.execute(made)
                    self._once.add(view.name)
                query = re.sub(rf"\b{view.name}\b", once, query)
        return query

    def _any(self, query: str) -> bool:
        """Whether a query has rows."""
        if query not in self._there:
            found = self._connection.execute(f"{self._with_all(query)} LIMIT 1").fetchone()
            self._there[query] = found is not None
        return self._there[query]


@contextlib.contextmanager
def moment(lake: Lake, until: datetime, made: Mapping[str, pl.DataFrame]) -> Iterator[Moment]:
    """
    The lake of ``[until - lookback, until)``, the lookback given with each query.

    Parameters
    ----------
    made
        Table to rows of the last minute that are not in the lake yet.
    """
    kept = memory(lake)
    with kept.cursor() as connection:
        yield Moment(kept, connection, until, made)


@contextlib.contextmanager
def _limited(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    timer = threading.Timer(_TIMEOUT_S, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
