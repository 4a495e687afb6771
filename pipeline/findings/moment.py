"""
The lake as it was at a moment: the same views over tables that end there.

Views take the newest row of a table as their clock. Cut at the end of a minute,
they say what they said then, however far behind the job is, and cut some minutes
before it as well, they cost what those minutes hold and not what the lake does.

Before: stage.py (which asks for a moment). After: kinds.py (what is asked of it).
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb

from pipeline import schema, views
from pipeline.lake import SCHEMA, Lake

log = logging.getLogger("crosspane.findings")

CALLS_LOOKBACK: Final = timedelta(minutes=5)
"""How far back calls and refusals are looked at: what is wrong with them is wrong now."""
SCRAPES_LOOKBACK: Final = timedelta(minutes=10)
"""How far back the last word of a proxy or control plane may be."""
_TIMEOUT_S: Final = 30.0
"""A query that takes longer is given up."""
_NAME: Final = "moment"
_TIMES: Final = {
    "requests": "start_time",
    "flows": "start_time",
    "verdicts": "event_time",
    "proxy_samples": "received_time",
    "control_plane": "received_time",
    "rejects": "received_time",
    "accounting": "minute",
    "agent_drops": "minute",
}
"""Table to the time it is cut by; other tables are whole."""
_COPIED: Final = {
    **dict.fromkeys(
        ("networks", "clusters", "endpoints", "prefixes", "gateways", "vantages"), None
    ),
    "accounting": timedelta(hours=2),
    "agent_drops": timedelta(hours=2),
    "requests": CALLS_LOOKBACK,
    "verdicts": CALLS_LOOKBACK,
    "control_plane": SCRAPES_LOOKBACK,
}
"""
Tables that are copied into memory, and how far back: for a query of a few minutes
the look into the lake's catalog is the most of it, and each view looks many times.
"""
_LONG: Final = timedelta(hours=1)
"""What looks back so far reads these from the lake: their copies are too short."""
_REREAD: Final = ("requests", "verdicts")
_ONCE: Final = {
    "v_calls": (CALLS_LOOKBACK, ("requests",)),
    "v_policy_verdicts": (CALLS_LOOKBACK, ("requests", "verdicts")),
    "v_upstreams": (SCRAPES_LOOKBACK, ("proxy_samples",)),
    "v_control_plane": (SCRAPES_LOOKBACK, ("control_plane", "proxy_samples")),
    "v_health": (CALLS_LOOKBACK, ("requests",)),
}
"""
Views that several kinds ask: put together once, and asked from memory. To how far
back, and the tables without whose rows they are empty.
"""
_UNASKED: Final = ("v_completeness", "v_certificates", "v_targets")
"""Views of which health tells what no kind asks it: there, they have no rows."""
_VIEWS: Final = {view.name: view for view in views.VIEWS}
_EMPTY: Final = "no_rows_of_"
_KEPT: Final = "kept_"
_UNTIL: Final = "getvariable('until')"


class Moment:
    """The views as of ``until``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, until: datetime) -> None:
        self._connection = connection
        self._until = until
        self._rereads = False

    def ask(self, query: str, lookback: timedelta) -> list[dict[str, Any]]:
        """
        Rows of a query, of what is not older than ``lookback``.

        Raises
        ------
        duckdb.Error
            Also when it took too long.
        """
        if lookback >= _LONG and not self._rereads:
            self._rereads = True
            for name in _REREAD:
                self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS {_cut(name)}")
        _set_times(self._connection, self._until, lookback)
        with _limited(self._connection):
            result = self._connection.execute(query)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@contextlib.contextmanager
def moment(lake: Lake, until: datetime) -> Iterator[Moment]:
    """
    The lake of ``[until - lookback, until)``, the lookback given with each query.

    What asks a view that cannot be put together fails, and the rest does not.
    """
    with lake.connection.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _set_times(connection, until, CALLS_LOOKBACK)
        known = connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()
        if (_NAME,) not in known:
            _make(connection)
        connection.execute(f"USE {_NAME}")
        _fill(connection, until)
        yield Moment(connection, until)
        for name in _ONCE:
            connection.execute(f"DROP TABLE IF EXISTS {name}")


def _make(connection: duckdb.DuckDBPyConnection) -> None:
    """
    All tables and views, once for a lake that is open.

    Views are made over empty tables: what is in the lake takes the tables' places after.
    """
    connection.execute(f"ATTACH ':memory:' AS {_NAME}")
    try:
        connection.execute(f"USE {_NAME}")
        for table in schema.TABLES:
            connection.execute(schema.create(table))
        for macro in views.MACROS:
            connection.execute(macro)
        for view in views.VIEWS:
            connection.execute(_then(view, "VIEW "))
            if view.name in (*_ONCE, *_UNASKED):
                connection.execute(f"CREATE TABLE {_EMPTY}{view.name} AS FROM {view.name} LIMIT 0")
            if view.name in _ONCE:
                connection.execute(f"DROP VIEW {view.name}")
                connection.execute(f"CREATE TABLE {view.name} AS FROM {_EMPTY}{view.name}")
        for table in schema.TABLES:
            _place(connection, table.name)
    except duckdb.Error:
        connection.execute(f"USE lake.{SCHEMA}")
        connection.execute(f"DETACH {_NAME}")
        raise


def _place(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """In place of an empty table, a view of the lake's, or of what will be copied of it."""
    name = _KEPT + table if _COPIED.get(table) else table
    if name != table:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")
    elif table not in _COPIED:
        connection.execute(f"DROP TABLE {table}")
    if table not in _COPIED or name != table:
        connection.execute(f"CREATE VIEW {table} AS {_cut(table, name)}")


def _fill(connection: duckdb.DuckDBPyConnection, until: datetime) -> None:
    for name, lookback in _COPIED.items():
        _set_times(connection, until, lookback or CALLS_LOOKBACK)
        into = _KEPT + name if lookback else name
        connection.execute(f"TRUNCATE {into}")
        connection.execute(f"INSERT INTO {into} BY NAME {_cut(name)}")
        if name in _REREAD:
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {_cut(name, into)}")
    rows: dict[str, bool] = {}
    for name, (lookback, sources) in _ONCE.items():
        _set_times(connection, until, lookback)
        connection.execute(f"DROP TABLE IF EXISTS {name}")
        try:
            with _limited(connection):
                for source in sources:
                    if source not in rows:
                        any_row = connection.execute(f"SELECT 1 FROM {source} LIMIT 1").fetchone()
                        rows[source] = any_row is not None
                connection.execute(
                    _then(_VIEWS[name], "TABLE ")
                    if any(rows[source] for source in sources)
                    else f"CREATE TABLE {name} AS FROM {_EMPTY}{name}"
                )
        except duckdb.Error as error:
            log.warning("%s until %s: %s", name, until.isoformat(), error)


def _cut(table: str, kept: str = "") -> str:
    """Query of a table's rows at the moment, from the lake or from what is kept of it."""
    rows = f"FROM {kept}" if kept.startswith(_KEPT) else f"FROM lake.{SCHEMA}.{table}"
    if table == schema.INVENTORY_SOURCES.name:  # what was heard since then, was not yet
        return f"SELECT * REPLACE (least(heard_time, {_UNTIL}) AS heard_time) {rows}"
    time = _TIMES.get(table)
    return f"{rows} WHERE {time} >= getvariable('since') AND {time} < {_UNTIL}" if time else rows


def _then(view: schema.View, what: str) -> str:
    create = schema.create_view(view).replace("OR REPLACE VIEW ", what, 1)
    if view == views.health.HEALTH:
        for unasked in _UNASKED:
            create = create.replace(f"FROM {unasked}", f"FROM {_EMPTY}{unasked}")
    return create.replace("now()", _UNTIL)


def _set_times(connection: duckdb.DuckDBPyConnection, until: datetime, lookback: timedelta) -> None:
    for name, time in (("since", until - lookback), ("until", until)):
        connection.execute(f"SET VARIABLE {name} = TIMESTAMPTZ '{time.isoformat()}'")


@contextlib.contextmanager
def _limited(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    timer = threading.Timer(_TIMEOUT_S, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
