"""
Macros, put into a query as Grafana's PostgreSQL data source does.

Source: grafana-postgresql-datasource, `macros.go`, `sqleng/sql_engine.go` (`Interpolate`).
Before: variables.py. After: the SQL server.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from dashboards.expand.scope import Expanded, ExpandError, Fill, Scope
from dashboards.expand.times import format_interval, ns, parse_interval, rfc3339, seconds

__all__ = ["expand_macros"]


def expand_macros(sql: str, scope: Scope) -> Expanded:
    """Put in what the data source replaces first, then macros."""
    return _macros(_globals(sql, scope), scope)


def _globals(sql: str, scope: Scope) -> str:
    return (
        sql.replace("$__interval_ms", str(scope.interval_ms))
        .replace("$__interval", format_interval(scope.interval_ms))
        .replace("$__unixEpochFrom()", str(seconds(scope.from_time)))
        .replace("$__unixEpochTo()", str(seconds(scope.to_time)))
    )


_MACRO: Final = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


def _macros(sql: str, scope: Scope) -> Expanded:
    fills: list[Fill] = []

    def one(match: re.Match[str]) -> str:
        name = match[1]
        # Written before Grafana 5.3, `$__timeGroup(...),` named the column. The first place
        # of the same text decides.
        if name == "__timeGroup" and sql[sql.index(match[0]) + len(match[0]) :][:1] == ",":
            name = "__timeGroupAlias"
        return _macro(name, [part.strip() for part in match[2].split(",")], scope, fills)

    made = _MACRO.sub(one, sql)
    return Expanded(made, fills[-1] if fills else None)


def _macro(name: str, args: list[str], scope: Scope, fills: list[Fill]) -> str:
    if name in _MACROS:
        return _MACROS[name](args[0], scope)
    plain = name.removesuffix("Alias")
    if plain not in ("__timeGroup", "__unixEpochGroup"):
        raise ExpandError(f'unknown macro "{name}"')
    seconds = _group(name, args, fills)
    if plain == "__unixEpochGroup":
        made = f"floor(({args[0]})/{_number(seconds)})*{_number(seconds)}"
    elif scope.timescaledb:
        made = f"time_bucket('{seconds:.3f}s',{args[0]})"
    else:
        made = f"floor(extract(epoch from {args[0]})/{_number(seconds)})*{_number(seconds)}"
    return made if plain == name else f'{made} AS "time"'


_MACROS: Final[Mapping[str, Callable[[str, Scope], str]]] = {
    "__time": lambda column, _: f'{column} AS "time"',
    "__timeEpoch": lambda column, _: f'extract(epoch from {column}) as "time"',
    "__timeFilter": lambda column, scope: (
        f"{column} BETWEEN '{rfc3339(scope.from_time)}' AND '{rfc3339(scope.to_time)}'"
    ),
    "__timeFrom": lambda _, scope: f"'{rfc3339(scope.from_time)}'",
    "__timeTo": lambda _, scope: f"'{rfc3339(scope.to_time)}'",
    "__unixEpochFilter": lambda column, scope: (
        f"{column} >= {seconds(scope.from_time)} AND {column} <= {seconds(scope.to_time)}"
    ),
    "__unixEpochNanoFilter": lambda column, scope: (
        f"{column} >= {ns(scope.from_time)} AND {column} <= {ns(scope.to_time)}"
    ),
    "__unixEpochNanoFrom": lambda _, scope: str(ns(scope.from_time)),
    "__unixEpochNanoTo": lambda _, scope: str(ns(scope.to_time)),
}


def _group(name: str, args: list[str], fills: list[Fill]) -> float:
    """Seconds of a group; a third argument says how gaps are filled."""
    if len(args) < 2:  # noqa: PLR2004 - column and interval
        raise ExpandError(f"macro {name} needs time column and interval and optional fill value")
    ms = parse_interval(args[1].strip("'"))
    if args[2:]:
        fills.append(_fill(args[2], ms))
    return ms / 1000


def _fill(text: str, ms: int) -> Fill:
    if text == "NULL":
        return Fill("null", ms)
    if text == "previous":
        return Fill("previous", ms)
    try:
        return Fill("value", ms, float(text))
    except ValueError as error:
        raise ExpandError(f"error parsing fill value {text}") from error


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
