"""
The lake's tables in memory, for what is asked of them every minute.

A look into the lake's catalog is the most of a query of a few minutes, and views look
many times. What seldom changes is copied when it has changed, which one look at the
snapshots since tells; of what always does, the last minutes are, if anything is asked
of them. Views over the copies are made when the first query names them; what many join,
and is made of what seldom changes, is put together as seldom. While a minute is worked
out, all that is asked is one transaction: each begins with a look into the catalog.

Before: windows.py. After: health/stage.py, findings/moment.py.
Source: DuckLake 1.0 specification, ducklake_snapshot_changes.
"""

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

import duckdb
import polars as pl

from pipeline import schema, views
from pipeline.lake import CATALOG, SCHEMA, Lake
from pipeline.schema.literals import literal
from pipeline.views import blame
from pipeline.views.ipspace import CONTENDED
from pipeline.views.unwell import UNWELL

TIMES: Final = {
    "requests": "start_time",
    "flows": "start_time",
    "verdicts": "event_time",
    "proxy_samples": "received_time",
    "control_plane": "received_time",
    "probes": "start_time",
    "rejects": "received_time",
    "accounting": "minute",
    "agent_drops": "minute",
    "edges_1m": "bucket_start",
    "health_1m": "minute",
    "security_1m": "minute",
}
"""Table to the time it is cut by; other tables are whole."""
NARROWED: Final = {
    "requests": ("authz = 'denied'", f"authz IS DISTINCT FROM 'denied' AND {blame.TURNED_AWAY}"),
    "verdicts": ("verdict IN ('DROPPED', 'ERROR', 'AUDIT')",),
}
"""
Of these only such rows are copied: there are many others, and nothing asked reads them. Rows that
meet the one condition or the other are read by each: an OR is looked at when all of a row is read.
"""
FACTS: Final = f"lake.{SCHEMA}."
"""What is written before the name of a table to read it from the lake."""
LONG: Final = timedelta(minutes=15)
"""What looks back further reads timed tables from the lake."""
UNTIL: Final = "getvariable('until')"

ONCE: Final = frozenset({"v_endpoints", "v_gateways"})
"""Views that are tables here, made again when what they read has changed: many join them."""

_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAME: Final = "in_memory"
_KEPT: Final = "kept_"
_NEVER: Final = -1
"""Version in which a table was empty that has had rows: it is not looked at again."""
_INCOMING: Final = "made_of_minute"
_CHANGE: Final = re.compile(r"\w+:(\d+)")
_TABLES: Final = {table.name: table for table in schema.TABLES}
_VIEWS: Final = {view.name: view for view in (*views.VIEWS, CONTENDED, UNWELL)}
_READ: Final = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]\w*)")
_PART: Final = re.compile(r"\b([a-z_]\w*) AS (?:MATERIALIZED )?\(")
"""A name that a query gives to a part of itself: whatever else has the name, it is not read."""


@cache
def sources(sql: str) -> frozenset[str]:
    """
    Tables a query reads, through the views it names.

    >>> sorted(sources("WITH legs AS (FROM v_gateways) FROM legs"))
    ['gateways', 'vantages']
    """
    return (_read(sql) & _TABLES.keys()).union(*(sources(view.sql) for view in views_of(sql)))


def views_of(sql: str) -> list[schema.View]:
    """Views a query names."""
    return [_VIEWS[name] for name in sorted(_read(sql) & _VIEWS.keys())]


def _read(sql: str) -> frozenset[str]:
    """Names a query reads that are not its own."""
    return frozenset(_READ.findall(sql)).difference(_PART.findall(sql))


class _Copy(NamedTuple):
    """What a copy is of: the table's version and the time; and rows that were not in the lake."""

    version: int
    since: datetime = _ALWAYS
    until: datetime = _ALWAYS
    made: pl.DataFrame | None = None

    def has(self, other: "_Copy") -> bool:
        """Whether nothing of the other is missing."""
        return (
            self.version == other.version
            and self.made is other.made
            and self.since <= other.since
            and other.until <= self.until
        )


class _Held(NamedTuple):
    """A transaction that goes on, and what there was when it began."""

    cursor: duckdb.DuckDBPyConnection
    copied: dict[str, _Copy]
    made: dict[str, int]
    empty: dict[str, int]


class Memory:
    """
    Copies of one lake's tables.

    Attributes
    ----------
    versions
        Table to the snapshot that changed it last, as far as is known; 0: before the first look.
    """

    def __init__(self, lake: Lake) -> None:
        self._connection = lake.connection
        self.versions: dict[str, int] = dict.fromkeys(_TABLES, 0)
        self._snapshot: int | None = None
        self._numbers: dict[int, str] = {}
        self._copied: dict[str, _Copy] = {}
        self._made: dict[str, int] = {}
        self._empty: dict[str, int] = {}
        self._held: _Held | None = None
        with self.cursor() as cursor:
            cursor.execute(f"ATTACH ':memory:' AS {_NAME}")
            cursor.execute(f"USE {_NAME}")
            for macro in views.MACROS:
                cursor.execute(macro)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the copies; ``lake.crosspane`` is the lake."""
        if self._held is not None:
            yield self._held.cursor
            return
        with self._connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            if self._snapshot is not None:
                cursor.execute(f"USE {_NAME}")
            yield cursor

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """All that is read of the lake meanwhile, here or by itself, is of one transaction each."""
        with self.cursor() as cursor:
            self._held = _Held(cursor, dict(self._copied), dict(self._made), dict(self._empty))
            self._in_both("BEGIN TRANSACTION")
            try:
                yield
            finally:
                self._in_both("COMMIT")
                self._held = None

    def again(self) -> None:
        """After a query that failed: what was brought since the begin is gone with it."""
        if self._held is not None:
            _, copied, made, empty = self._held
            self._copied, self._made, self._empty = dict(copied), dict(made), dict(empty)
            self._in_both("ROLLBACK")
            self._in_both("BEGIN TRANSACTION")

    def _in_both(self, statement: str) -> None:
        with self.cursor() as cursor:
            for connection in (self._connection, cursor):
                connection.execute(statement)

    def refresh(self) -> None:
        """See what changed since the last time."""
        with self._connection.cursor() as cursor:
            changes = cursor.execute(
                f"FROM {CATALOG}.ducklake_snapshot_changes SELECT snapshot_id, changes_made"
                f" WHERE snapshot_id >= {-1 if self._snapshot is None else self._snapshot}"
            ).fetchall()
            newest = max(snapshot for snapshot, _ in changes)
            if self._snapshot not in {snapshot for snapshot, _ in changes}:  # it has expired
                self.versions = dict.fromkeys(_TABLES, newest)
                changes = []
            for snapshot, made in changes:
                for number in map(int, _CHANGE.findall(made or "")):
                    if snapshot == self._snapshot:
                        continue
                    if number not in self._numbers:
                        self._number(cursor)
                    name = self._numbers.setdefault(number, "")
                    self.versions[name] = max(snapshot, self.versions.get(name, 0))
            self._snapshot = newest

    def _number(self, cursor: duckdb.DuckDBPyConnection) -> None:
        tables = f"FROM {CATALOG}.ducklake_table SELECT table_id, table_name"
        self._numbers |= dict(cursor.execute(tables).fetchall())

    def bring(
        self,
        cursor: duckdb.DuckDBPyConnection,
        tables: Collection[str],
        lookback: timedelta,
        until: datetime,
        made: Mapping[str, pl.DataFrame],
    ) -> None:
        """
        Have these tables, as of ``until``: variables ``since`` and ``until`` cut what has times.

        Parameters
        ----------
        made
            Table to rows that are not in the lake yet, in place of those of their minute.
        """
        set_times(cursor, until, lookback)
        for name in sorted(tables):
            if name not in TIMES:
                self.copy(cursor, name)
                if name == schema.INVENTORY_SOURCES.name:  # what was heard since then, was not yet
                    heard = f"SELECT * REPLACE (least(heard_time, {UNTIL}) AS heard_time)"
                    cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {heard} FROM {_KEPT}{name}")
            elif lookback > LONG:
                _place(cursor, name, f"lake.{SCHEMA}.{name}")
            else:
                self._copy_last(cursor, name, lookback, until, made.get(name))
                _place(cursor, name, _KEPT + name)

    def have(self, cursor: duckdb.DuckDBPyConnection, view: schema.View) -> None:
        """Have a view, and those it names."""
        for read in views_of(view.sql):
            self.have(cursor, read)
        version = max(self.versions[name] for name in sources(view.sql)) if view.name in ONCE else 0
        if self._made.get(view.name) == version:
            return
        if view.name in ONCE:
            cursor.execute(f"CREATE OR REPLACE TABLE {view.name} AS {view.sql}")
        else:
            cursor.execute(schema.create_view(view).replace("now()", UNTIL))
        self._made[view.name] = version

    def have_all(self, cursor: duckdb.DuckDBPyConnection, query: str) -> None:
        """Have tables that are whole, and views, that a query reads."""
        for name in sorted(sources(query)):
            if name not in TIMES:
                self.copy(cursor, name)
        for view in views_of(query):
            self.have(cursor, view)

    def copy(self, cursor: duckdb.DuckDBPyConnection, name: str) -> None:
        """Have a table that is whole, as the lake has it."""
        version = self.versions[name]
        if name in self._copied and self._copied[name].version == version:
            return
        kept = _KEPT + name if name == schema.INVENTORY_SOURCES.name else name
        if name not in self._copied:
            cursor.execute(schema.create(_TABLES[name]).replace(name, kept, 1))
        cursor.execute(f"TRUNCATE {kept}")
        if not self.is_empty(cursor, name):
            cursor.execute(f"INSERT INTO {kept} BY NAME FROM {FACTS}{name}")
        self._copied[name] = _Copy(version)

    def is_empty(self, cursor: duckdb.DuckDBPyConnection, name: str) -> bool:
        """Whether the lake's table has no rows: reading all columns of one takes long."""
        known = self._empty.get(name)
        if known is None or known not in (_NEVER, self.versions[name]):
            row = cursor.execute(f"FROM {FACTS}{name} SELECT 1 LIMIT 1").fetchone()
            self._empty[name] = self.versions[name] if row is None else _NEVER
        return self._empty[name] != _NEVER

    def _copy_last(
        self,
        cursor: duckdb.DuckDBPyConnection,
        name: str,
        lookback: timedelta,
        until: datetime,
        made: pl.DataFrame | None,
    ) -> None:
        copy, kept = _Copy(self.versions[name], until - lookback, until, made), _KEPT + name
        known = self._copied.get(name)
        if known is not None and known.has(copy):
            return
        if known is None:
            columns = schema.create(_TABLES[name]).replace(name, kept, 1)
            cursor.execute(columns)
        cut = f"{TIMES[name]} >= getvariable('since') AND {TIMES[name]} < {UNTIL}"
        cursor.execute(f"TRUNCATE {kept}")
        if made is not None:
            cut += f" AND {TIMES[name]} NOT IN (FROM {_INCOMING} SELECT {TIMES[name]})"
            cursor.register(_INCOMING, made.to_arrow())
        try:
            if not self.is_empty(cursor, name):
                for only in NARROWED.get(name, ("true",)):
                    rows = f"FROM {FACTS}{name} WHERE {cut} AND {only}"
                    cursor.execute(f"INSERT INTO {kept} BY NAME {rows}")
            if made is not None:
                cursor.execute(f"INSERT INTO {kept} BY NAME FROM {_INCOMING}")
        finally:
            if made is not None:
                cursor.unregister(_INCOMING)
        self._copied[name] = copy


def _place(cursor: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    """In a table's place, a view of those rows of it that are of the time."""
    cut = f"{TIMES[name]} >= getvariable('since') AND {TIMES[name]} < {UNTIL}"
    cursor.execute(f"CREATE OR REPLACE VIEW {name} AS FROM {rows} WHERE {cut}")


def set_times(cursor: duckdb.DuckDBPyConnection, until: datetime, lookback: timedelta) -> None:
    """What tables are cut by."""
    for name, time in (("since", until - lookback), ("until", until)):
        cursor.execute(f"SET VARIABLE {name} = {literal(time)}")


_MEMORIES: Final[MutableMapping[Lake, Memory]] = WeakKeyDictionary()


_SETTLED: Final[WeakSet[Lake]] = WeakSet()
"""Lakes that nobody writes to for a while."""


def memory(lake: Lake) -> Memory:
    """The one memory of a lake that is open, as the lake is now."""
    if lake not in _MEMORIES:
        _MEMORIES[lake] = Memory(lake)
    if lake not in _SETTLED:
        _MEMORIES[lake].refresh()
    return _MEMORIES[lake]


@contextlib.contextmanager
def settled(lake: Lake) -> Iterator[None]:
    """Look once for what changed: nothing is committed meanwhile."""
    kept = memory(lake)
    _SETTLED.add(lake)
    try:
        with kept.held():
            yield
    finally:
        _SETTLED.discard(lake)


def asked(lake: Lake, query: str, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Rows of a query over frames, tables that are whole, and what it reads of the lake itself."""
    with asking(lake, frames) as ask:
        return ask(query)


@contextlib.contextmanager
def asking(
    lake: Lake,
    frames: Mapping[str, pl.DataFrame],
    parts: Mapping[str, str] = MappingProxyType({}),
    in_place: Mapping[str, pl.DataFrame] = MappingProxyType({}),
) -> Iterator[Callable[[str], pl.DataFrame]]:
    """
    Ask several queries, as of `asked`.

    Frames are copied: of Arrow's, DuckDB has pyarrow filter by what a join will find, and
    that takes no list of ids above 2^63.

    Parameters
    ----------
    parts
        Name to SQL of rows that several of the queries read: they are put together once.
    in_place
        Name to a frame that is read without a copy: nothing but a join that keeps all of its
        rows may ask of it.
    """
    kept = memory(lake)
    with kept.cursor() as cursor:

        def ask(query: str) -> pl.DataFrame:
            kept.have_all(cursor, query)
            return cursor.execute(query).pl()

        try:
            for name, frame in in_place.items():
                cursor.register(name, frame.to_arrow(compat_level=pl.CompatLevel.newest()))
            for name, frame in frames.items():
                cursor.register(_INCOMING, frame.to_arrow())
                cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {_INCOMING}")
                cursor.unregister(_INCOMING)
            for name, rows in parts.items():
                kept.have_all(cursor, rows)
                cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {rows}")
            yield ask
        finally:
            for name in (*frames, *parts):
                cursor.execute(f"DROP TABLE IF EXISTS temp.{name}")
            for name in in_place:
                cursor.unregister(name)
