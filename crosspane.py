"""
A lake from Python: one line to connect, one to ask.

    import crosspane
    pane = crosspane.connect()
    pane.v_edges                                              # a DuckDB relation
    pane.polars("SELECT * FROM v_calls WHERE status = $s", s=503)
    pane.arrow("v_flows")

A lake can be read while a job writes it; nothing here can change it.

Before: pipeline/lake.py, pipeline/views/. After: notebooks/.
"""

import difflib
import html
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import duckdb
import polars as pl
import pyarrow as pa

from pipeline.errors import LakeError, UsageError
from pipeline.lake import connect as _connect
from pipeline.schema import Function
from pipeline.views import FUNCTIONS as _FUNCTIONS
from pipeline.views import VIEWS as _VIEWS

__all__ = ["LakeError", "Pane", "Span", "UsageError", "connect"]

LAKE_VARIABLE: Final = "CROSSPANE_LAKE"
LAKES: Final = ("crosspane-data/lake", "crosspane-data/demo/lake")
"""Where `crosspane up` and `crosspane demo` put a lake, from the folder they were started in."""
_TIMES: Final = {
    "flows": ("start_time", "end_time"),
    "requests": ("start_time", "start_time"),
    "verdicts": ("event_time", "event_time"),
    "probes": ("start_time", "start_time"),
}
"""Table of facts to its columns of the first and the last time."""
_MOMENT: Final = timedelta(microseconds=1)
"""A span of data ends with its last record, one of a function before its end."""


class Span(NamedTuple):
    """
    From when to when there is data, UTC; nulls where there is none.

    Attributes
    ----------
    first
        Begin of the oldest fact.
    last
        End of the newest.
    """

    first: datetime | None
    last: datetime | None

    def __str__(self) -> str:
        if self.first is None or self.last is None:
            return "no data yet"
        return f"{self.first:%F %T} to {self.last:%F %T} UTC"


def connect(lake: str | Path | None = None, at: str | datetime | None = None) -> "Pane":
    """
    Connect to a lake, to read.

    Parameters
    ----------
    lake
        Its folder (the one with ``catalog.sqlite``). If not given: what the variable
        ``CROSSPANE_LAKE`` names, else ``crosspane-data/lake``, else ``crosspane-data/demo/lake``,
        in the working folder or the nearest folder above it.
    at
        Show the lake as it was then, as far as snapshots are kept (ISO 8601; UTC if not said).

    Raises
    ------
    LakeError
        If there is no lake: says where was looked, and how to make one.
    UsageError
        If ``at`` is no time.
    """
    return Pane(_find(lake), None if at is None else _time("at", at))


class Pane:
    """
    A lake, to be asked. Views are attributes, ``pane.v_edges``, and so are functions:
    ``pane.topology_edges("cluster")`` is that of all there is, unless ``from_time`` and
    ``to_time`` say of when.

    Where a query is asked for, the name of a view will do; words in a query that begin
    with ``$`` are parameters, and their values are given by name.

    Parameters
    ----------
    lake
        Folder of the lake.
    at
        Time of the snapshot; the newest commit, at every query, if none.
    """

    def __init__(self, lake: Path, at: datetime | None = None) -> None:
        self.connection = _connect(lake, threads=os.cpu_count() or 1, at=at)
        self.lake = lake
        self.at = at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lake."""
        self.connection.close()

    @property
    def views(self) -> dict[str, str]:
        """Each view this lake has, and the question it answers."""
        return self._questions()

    def _questions(self) -> dict[str, str]:
        there = self.connection.execute(
            "SELECT view_name FROM duckdb_views() WHERE database_name = 'lake'"
        ).fetchall()
        names = {name for (name,) in there}
        return {view.name: view.meaning for view in _VIEWS if view.name in names}

    @property
    def functions(self) -> dict[str, str]:
        """Each function of a span that this lake has, as it is called, and its question."""
        return {
            f"{name}({', '.join(function.parameters)})": function.meaning
            for name, function in self._functions().items()
        }

    def _functions(self) -> dict[str, Function]:
        there = self.connection.execute(
            "SELECT function_name FROM duckdb_functions()"
            " WHERE database_name = 'lake' AND function_type = 'table_macro'"
        ).fetchall()
        names = {name for (name,) in there}
        return {one.name: one for one in _FUNCTIONS if one.name in names}

    def sql(self, query: str, **parameters: object) -> duckdb.DuckDBPyRelation:
        """
        Answer of a query as a DuckDB relation: shown, filtered and joined as one likes.

        Without parameters it is asked when it is looked at, and again each time.
        """
        text = f"FROM {query}" if query.isidentifier() else query
        if parameters:
            return self.connection.sql(text, params=parameters)
        return self.connection.sql(text)

    def polars(self, query: str, **parameters: object) -> pl.DataFrame:
        """Answer of a query as a Polars frame."""
        return self.sql(query, **parameters).pl()

    def arrow(self, query: str, **parameters: object) -> pa.Table:
        """Answer of a query as an Arrow table."""
        return self.sql(query, **parameters).to_arrow_table()

    def about(self, view: str) -> pl.DataFrame:
        """
        Columns of a view: ``column``, ``type`` (DuckDB's) and ``meaning``, with its unit.

        Raises
        ------
        UsageError
            If there is no such view: names the nearest.
        """
        if view not in self.views:
            raise UsageError(self._no_view(view))
        types = dict(zip((relation := self.sql(view)).columns, relation.types, strict=True))
        meanings = next(one.columns for one in _VIEWS if one.name == view)
        rows = [(name, str(types[name]), meanings.get(name)) for name in types]
        return pl.DataFrame(rows, schema=["column", "type", "meaning"], orient="row")

    def span(self) -> Span:
        """From when to when there is data."""
        each = " UNION ALL ".join(
            f"SELECT min({first}) AS first, max({last}) AS last FROM {table}"  # noqa: S608 - ours
            for table, (first, last) in _TIMES.items()
        )
        row = self.connection.execute(
            f"SELECT min(first), max(last) FROM ({each})"  # noqa: S608 - ours
        ).fetchone()
        first, last = row or (None, None)
        return Span(*(time and time.astimezone(UTC) for time in (first, last)))

    def _call(
        self, function: Function, *arguments: object, **named: object
    ) -> duckdb.DuckDBPyRelation:
        """Rows of a function; its span is all there is, unless it is said."""
        values = dict(zip(function.parameters, arguments, strict=False)) | named
        if (span := self.span()).first and span.last:
            values = {"from_time": span.first, "to_time": span.last + _MOMENT} | values
        signature = f"{function.name}({', '.join(function.parameters)})"
        wanted = {name: value for name, value in values.items() if name in function.parameters}
        unknown = set(named) - set(wanted)
        if unknown or len(arguments) > len(function.parameters):
            raise UsageError(f"{signature}: not {', '.join(sorted(unknown)) or 'so many values'}")
        if missing := [name for name in function.parameters if name not in wanted]:
            raise UsageError(f"{signature}: {missing[0]} is missing")
        for name in ("from_time", "to_time"):
            if isinstance(value := wanted.get(name), (str, datetime)):
                wanted[name] = _time(name, value)
        places = ", ".join(f"${name}" for name in function.parameters)
        return self.sql(f"FROM {function.name}({places})", **wanted)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            if name in self._questions():
                return self.sql(name)
            if function := self._functions().get(name):
                return partial(self._call, function)
        raise AttributeError(self._no_view(name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._questions(), *self._functions()})

    def __repr__(self) -> str:
        return f"Pane({str(self.lake)!r}): {self.span()}"

    def _repr_html_(self) -> str:
        """Views and their questions, as a notebook shows them."""
        left = 'style="text-align: left"'
        rows = "".join(
            f"<tr><td {left}><code>{name}</code></td><td {left}>{html.escape(question)}</td></tr>"
            for name, question in (self.views | self.functions).items()
        )
        return f"<p>{self.span()}</p><table>{rows}</table>"

    def _no_view(self, name: str) -> str:
        if name.startswith("_"):  # what editors and notebooks try
            return f"no attribute {name}"
        near = difflib.get_close_matches(name, [*self._questions(), *self._functions()], n=1)
        return f"no view {name}" + (f": {near[0]}?" if near else "; `views` lists them")


def _find(lake: str | Path | None) -> Path:
    named = lake or os.environ.get(LAKE_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not _is_lake(path):
            whose = "" if lake else f" ({LAKE_VARIABLE})"
            raise LakeError(f"no lake at {path}{whose}: it is a folder with catalog.sqlite in it")
        return path
    here = Path.cwd()
    for folder in (here, *here.parents):
        for name in LAKES:
            if _is_lake(path := folder / name):
                return path
    raise LakeError(
        f"no {' or '.join(LAKES)} in {here} or above: make one with `crosspane demo`"
        f" (a recording) or `crosspane up`, or name it: connect('folder'), {LAKE_VARIABLE}=folder"
    )


def _is_lake(folder: Path) -> bool:
    return (folder / "catalog.sqlite").is_file()


def _time(name: str, time: str | datetime) -> datetime:
    """An instant; without an offset it is UTC."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError as error:
            raise UsageError(f"{name}: {error}; for instance 2026-11-24T03:04Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
