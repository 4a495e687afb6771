"""
What tells of a span: rollups of its minutes, and records of what no rollup has.

    |..records..|mmm|tttt|hhhhh|ddddddd|hhhhh|mm|..records..|

Minutes that are whole and worked out are told by the longest buckets that fit; the
ends of minutes that the span cuts, and minutes that wait for the job, by records.
So an answer is of the span as asked, and costs what rollups cost.

Before: span.py. After: calls.py, legs.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import duckdb

from pipeline.schema import rollups
from pipeline.schema.literals import within
from pipeline.schema.rollups import Rollup
from pipeline.topology.span import Span
from pipeline.views.rollups import calls_rolled_up, rolled_up
from pipeline.views.topology import paired_sql
from pipeline.views.wire import wire_sql

_MINUTE: Final = timedelta(minutes=1)
_LENGTHS: Final = (_MINUTE, timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(2200, 1, 1, tzinfo=UTC)

Spans = list[tuple[datetime, datetime]]


class Covered(NamedTuple):
    """
    SQL of rows that tell of a span.

    Attributes
    ----------
    edges, legs
        Columns of `rollups.EDGES` and `rollups.LEGS`, their keys' and measures'.
    """

    edges: str
    legs: str


def covered(
    connection: duckdb.DuckDBPyConnection, span: Span, lake: str, *, by_node: bool = False
) -> Covered:
    """
    Rows of a span, each record in one of them.

    Parameters
    ----------
    lake
        Catalog and schema of the tables, quoted (`span.place`).
    by_node
        Of records alone, with the machine at either end.
    """
    since, until = span.since or _EPOCH, span.until or _END
    whole = [] if by_node else _worked_out(connection, since, until)
    rest = [*_without((since, until), whole)]
    told = {"requests": rollups.EDGES, "flows": rollups.LEGS}
    sql = {}
    for table, of in told.items():
        parts = [*_rolled_up(of, whole, lake)]
        if _any(connection, f"{lake}.{table}", rest):
            parts.append(_recorded(rollups.by_node(of) if by_node else of, table, rest, lake))
        sql[table] = " UNION ALL BY NAME ".join(parts) or _nothing(of, lake, by_node=by_node)
    return Covered(sql["requests"], sql["flows"])


def _worked_out(connection: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> Spans:
    """Spans of whole minutes that rollups have, in order."""
    told = connection.execute(
        "SELECT min(window_start), max(window_start) FROM windows WHERE NOT stale"
    )
    ((oldest, newest),) = told.fetchall()
    if oldest is None:
        return []
    first = max(since + (_EPOCH - since) % _MINUTE, oldest)
    last = min(until - (until - _EPOCH) % _MINUTE, newest + _MINUTE)
    if first >= last:
        return []
    stale = connection.execute(
        f"""SELECT window_start FROM windows WHERE stale AND {within("window_start", first, last)}
            ORDER BY window_start"""
    ).fetchall()
    return [*_without((first, last), [(start, start + _MINUTE) for (start,) in stale])]


def _without(span: tuple[datetime, datetime], others: Spans) -> Iterator[tuple[datetime, datetime]]:
    """What is left of a span without others, which are in it and in order."""
    since, until = span
    for start, end in [*others, (until, until)]:
        if since < start:
            yield since, start
        since = end


def _rolled_up(of: Rollup, spans: Spans, lake: str) -> Iterator[str]:
    """SQL of rows of each table that has some, the longest buckets that fit."""
    for table, length, longer in zip(of.tables, _LENGTHS, (*_LENGTHS[1:], None), strict=True):
        pieces = [piece for span in spans for piece in _pieces(span, length, longer)]
        if pieces:
            yield f"SELECT * FROM {lake}.{table.name} WHERE {_within(pieces, 'bucket_start')}"


def _pieces(span: tuple[datetime, datetime], length: timedelta, longer: timedelta | None) -> Spans:
    """Whole buckets of one length in a span that are in none of the next length in it."""
    inside = _whole(span, length)
    if not inside:
        return []
    return [*_without(inside, [_whole(inside, longer) or (inside[1], inside[1])] if longer else [])]


def _whole(span: tuple[datetime, datetime], length: timedelta) -> tuple[datetime, datetime] | None:
    """From the first to the last whole bucket in a span; None if there is none."""
    first = span[0] + (_EPOCH - span[0]) % length
    last = span[1] - (span[1] - _EPOCH) % length
    return (first, last) if first < last else None


def _any(connection: duckdb.DuckDBPyConnection, table: str, spans: Spans) -> bool:
    """Whether any record began then: that is cheap to see, and what follows is not."""
    if not spans:
        return False
    found = f"SELECT 1 FROM {table} WHERE {_within(spans, 'start_time')} LIMIT 1"
    return bool(connection.execute(found).fetchall())


def _recorded(of: Rollup, table: str, spans: Spans, lake: str) -> str:
    """SQL of rows made of records, in place of buckets."""
    begun = _within(spans, "start_time")
    around = " OR ".join(Span(*span).around() for span in spans)
    rows = f"SELECT * FROM {lake}.{table} WHERE {around}"
    start = "NULL::TIMESTAMPTZ"
    told = (
        calls_rolled_up(of, start, f"FROM ({paired_sql(f'({rows})')}) WHERE {begun}")
        if table == "requests"
        else rolled_up(of, start, wire_sql(rows, begun, of))
    )
    return f"SELECT * FROM ({told})"


def _nothing(of: Rollup, lake: str, *, by_node: bool) -> str:
    nodes = "".join(
        f", NULL::VARCHAR AS {column.name}" for column in rollups.by_node(of).key[len(of.key) :]
    )
    return f"SELECT *{nodes if by_node else ''} FROM {lake}.{of.tables[0].name} WHERE false"


def _within(spans: Spans, column: str) -> str:
    return "(" + " OR ".join(f"({Span(*span).holds(column)})" for span in spans) + ")"
