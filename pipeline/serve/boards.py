"""
Answers to the page: panels, choices and marks of the dashboards, from their own SQL.

    {dashboard, panel, from, to, variables}  --expand--> SQL --role--> Arrow --> frames

What comes from a browser names a panel of a dashboard and says values; which
SQL that is stands in the generated JSON (`dashboards/grafana`). Values go into
it by Grafana's rules, which are no guard: the role that asks is, it can read
and nothing else.

Before: engine.py. After: web.py.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import pyarrow as pa
from msgspec import Meta

from dashboards.expand import Chosen, ExpandError, Scope, choose, expand
from dashboards.frames import FrameError, frame_of
from pipeline.errors import ServeError, UsageError
from pipeline.serve.engine import Session

DASHBOARDS: Final = Path(__file__).parents[2] / "dashboards" / "grafana"
ROWS_MAX: Final = 20_000
"""Rows a browser gets of one query; there are more, and it says so."""
OPTIONS_MAX: Final = 2_000
MARKS_MAX: Final = 500

_LATEST_MS: Final = 253_402_300_799_000
"""End of the year 9999."""
_Time = Annotated[int, Meta(ge=0, le=_LATEST_MS, description="milliseconds since 1970")]
_Word = Annotated[str, Meta(max_length=2_000)]

RANGE: Final = """
    SELECT epoch_ms(min(first)), epoch_ms(max(last)) FROM (
        SELECT min(bucket_start) AS first, max(bucket_start) + INTERVAL 1 MINUTE AS last
        FROM v_edges_1m
        UNION ALL
        SELECT min(bucket_start), max(bucket_start) + INTERVAL 1 MINUTE FROM legs_1m)"""
"""Where the lake has data: from the first minute to the end of the last."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every question of the page says: where it is."""

    dashboard: _Word
    from_ms: _Time = msgspec.field(name="from")
    to_ms: _Time = msgspec.field(name="to")
    variables: Annotated[
        dict[_Word, Annotated[list[_Word], Meta(max_length=1_000)]], Meta(max_length=100)
    ] = msgspec.field(default_factory=dict)


class AskedPanel(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A panel's frames."""

    panel: int
    interval_ms: Annotated[int, Meta(ge=1, le=_LATEST_MS)] = 60_000
    max_data_points: Annotated[int, Meta(ge=1, le=100_000)] = 1_000


class AskedOptions(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a variable may be set to."""

    variable: _Word
    search: _Word = ""


class Boards:
    """
    The generated dashboards, and what they ask.

    Parameters
    ----------
    folder
        Of Grafana's JSON, one file a dashboard.
    """

    def __init__(self, folder: Path = DASHBOARDS) -> None:
        self._folder = folder

    @cached_property
    def _all(self) -> dict[str, dict[str, Any]]:
        read = (json.loads(path.read_bytes()) for path in sorted(self._folder.glob("*.json")))
        return {board["uid"]: board for board in read}

    def listed(self) -> list[dict[str, str]]:
        """Dashboards as the navigation has them, in the order of `_ORDER`."""

        def place(board: Mapping[str, Any]) -> tuple[int, str]:
            name = str(board["uid"]).removeprefix("crosspane-")
            return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)

        return [
            {
                "uid": board["uid"],
                "title": board["title"],
                "description": board.get("description", ""),
            }
            for board in sorted(self._all.values(), key=place)
        ]

    def dashboard(self, uid: str) -> dict[str, Any]:
        """
        Grafana's JSON of a dashboard.

        Raises
        ------
        UsageError
            There is none of that uid.
        """
        if uid not in self._all:
            raise UsageError(f"no dashboard {uid}: there are {', '.join(sorted(self._all))}")
        return self._all[uid]

    def panel(self, asked: AskedPanel, session: Session) -> dict[str, Any]:
        """
        Frames of each query of a panel, or why there are none.

        Raises
        ------
        UsageError
            No such dashboard, or no such panel in it.
        """
        board = self.dashboard(asked.dashboard)
        panel = next((one for one in _panels(board["panels"]) if one["id"] == asked.panel), None)
        if panel is None:
            raise UsageError(f"no panel {asked.panel} in {asked.dashboard}")
        scope = _scope(board, asked, asked.interval_ms)
        return {
            target["refId"]: _answer(target, scope, session)
            for target in panel.get("targets", ())
            if not target.get("hide")
        }

    def options(self, asked: AskedOptions, session: Session) -> list[dict[str, str]]:
        """
        Values of a variable, in the order its query gives, each once.

        Raises
        ------
        UsageError
            No such variable, or one that has no query.
        ServeError, ExpandError
            Its query cannot be asked.
        """
        board = self.dashboard(asked.dashboard)
        variable = next(
            (
                one
                for one in board.get("templating", {}).get("list", ())
                if one["name"] == asked.variable and one["type"] == "query"
            ),
            None,
        )
        if variable is None:
            raise UsageError(f"no variable {asked.variable} with a query in {asked.dashboard}")
        scope = _scope(board, asked, search=asked.search)
        table, _ = _rows(expand(variable["query"], scope).sql, session, OPTIONS_MAX)
        return list(_options(table))

    def marks(self, asked: Asked, session: Session) -> list[dict[str, Any]]:
        """
        Annotations of a dashboard in its time, earliest first.

        A query that fails leaves its marks out: a panel is not wrong for want of them.
        """
        board = self.dashboard(asked.dashboard)
        scope = _scope(board, asked)
        marks: list[dict[str, Any]] = []
        for one in board.get("annotations", {}).get("list", ()):
            sql = one.get("rawQuery") or one.get("target", {}).get("rawSql")
            if not sql or not one.get("enable", True):
                continue
            try:
                table, _ = _rows(expand(sql, scope).sql, session, MARKS_MAX)
                frame = frame_of(table, time_series=False)
            except (ServeError, ExpandError, FrameError):
                continue
            columns = {field.name.lower(): field.values for field in frame.fields}
            marks += _marks(columns, one)
        return sorted(marks, key=lambda mark: mark["time"])[:MARKS_MAX]

    def range(self, session: Session) -> dict[str, int | None]:
        """Where the lake has data, `RANGE`; nulls if nowhere."""
        table, _ = _rows(RANGE, session, 1)
        first, last = (column[0].as_py() for column in table.columns)
        return {"first_ms": first, "last_ms": last}


_ORDER: Final = (
    "overview",
    "topology",
    "service",
    "edge",
    "clusters",
    "flows",
    "security",
    "ipspace",
    "pipeline",
)


def _panels(panels: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """All of them: a folded row holds its own."""
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", ()))


def _scope(
    board: Mapping[str, Any], asked: Asked, interval_ms: int = 60_000, search: str = ""
) -> Scope:
    def one(variable: Mapping[str, Any]) -> Chosen:
        given = asked.variables.get(variable["name"])
        single = not (variable.get("multi") or variable.get("includeAll"))
        return choose(variable, given[0] if given and single else given)

    variables = board.get("templating", {}).get("list", ())
    return Scope(
        from_time=datetime.fromtimestamp(asked.from_ms / 1000, UTC),
        to_time=datetime.fromtimestamp(asked.to_ms / 1000, UTC),
        interval_ms=interval_ms,
        variables={each["name"]: one(each) for each in variables},
        search=search,
    )


def _answer(target: Mapping[str, Any], scope: Scope, session: Session) -> dict[str, Any]:
    """One query's frame; what cannot be asked or shown is said, and is no exception."""
    time_series = target.get("format", "time_series") == "time_series"
    try:
        asked = expand(target["rawSql"], scope)
        table, more = _rows(asked.sql, session, ROWS_MAX)
        frame = frame_of(
            table,
            ref_id=target["refId"],
            time_series=time_series,
            fill=asked.fill,
            from_time=scope.from_time,
            to_time=scope.to_time,
        )
    except (ServeError, ExpandError, FrameError) as error:
        return {"error": str(error)}
    notices = [f"Only the first {ROWS_MAX:,} rows are here; narrow the time or the variables."]
    return {"frames": [frame.json()], "notices": notices if more else []}


def _rows(sql: str, session: Session, limit: int) -> tuple[pa.Table, bool]:
    """
    Take the first rows of an answer.

    Returns
    -------
    tuple
        `limit` rows at most, and whether there are more.
    """
    batches: list[pa.RecordBatch] = []
    with session.query(sql) as reader:
        schema = reader.schema
        while sum(batch.num_rows for batch in batches) <= limit:
            try:
                batches.append(reader.read_next_batch())
            except StopIteration:
                break
    table = pa.Table.from_batches(batches, schema)
    return table.slice(0, limit), table.num_rows > limit


def _options(table: pa.Table) -> Iterator[dict[str, str]]:
    """``__text`` and ``__value``, else each column's values, as Grafana takes them."""
    columns = {
        name: column.to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    if "__value" in columns:
        pairs = list(
            zip(columns.get("__text", columns["__value"]), columns["__value"], strict=True)
        )
    else:
        pairs = [(value, value) for column in columns.values() for value in column]
    seen: set[str] = set()
    for text, value in pairs:
        if value is None or str(value) in seen:
            continue
        seen.add(str(value))
        yield {"text": str(value if text is None else text), "value": str(value)}


def _marks(columns: Mapping[str, pa.Array], source: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "time" not in columns:
        return
    times = columns["time"].cast(pa.int64()).to_pylist()
    empty = [None] * len(times)

    def values(name: str) -> list[Any]:
        return columns[name].to_pylist() if name in columns else empty

    ends = columns["timeend"].cast(pa.int64()).to_pylist() if "timeend" in columns else empty
    for time, end, text, tags in zip(times, ends, values("text"), values("tags"), strict=True):
        if time is not None:
            yield {
                "time": time,
                "timeEnd": end,
                "text": str(text or source["name"]),
                "tags": [tag.strip() for tag in str(tags or "").split(",") if tag.strip()],
                "source": source["name"],
                "color": source.get("iconColor", "blue"),
            }
