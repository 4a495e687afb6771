"""
Grafana's variables and macros, put into SQL exactly as Grafana puts them.

Two steps, in this order, as a panel's query goes through them:

    in the browser     $cluster, ${cluster:csv}, $__from, $__interval ...
    in the data source $__interval, $__timeFilter(c), $__timeGroup(c, '5m') ...

The browser page asks through this, and tests ask every panel through it: what
answers here answers in Grafana. Like Grafana, it is no guard against a value
that means harm: a value with a macro in it is expanded, too. The role that asks
is the guard: it can read, and nothing else.

Left out: properties (``${x.name}``), formats that no query has use for (lucene,
regex, html), and calendar months and years as an interval.

Source: Grafana's template service and format registry (`@grafana/scenes`,
`formatRegistry.ts`); grafana-postgresql-datasource, `macros.go`, `sqleng`;
`grafana-sql`, `interpolateVariable`.
Before: queries/, and what a reader chose. After: the SQL server; frames.py.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote

__all__ = ["Chosen", "ExpandError", "Expanded", "Fill", "Scope", "choose", "expand", "interval_ms"]

ALL: Final = "$__all"
"""What the value of a variable is where all are chosen."""


class ExpandError(Exception):
    """A macro that Grafana would refuse, too."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """
    A variable and what was chosen of it.

    Parameters
    ----------
    value
        One value, or several.
    is_list
        It may have several values, or all: values are quoted one by one.
    all_value
        What stands for all; None: every one of `options`.
    options
        Values there are.
    """

    name: str
    value: str | tuple[str, ...]
    is_list: bool = False
    all_value: str | None = None
    options: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """All were chosen."""
        return self.value == ALL or (isinstance(self.value, tuple) and self.value[:1] == (ALL,))


@dataclass(frozen=True, kw_only=True)
class Scope:
    """
    What a query is asked under.

    Parameters
    ----------
    from_time, to_time
        The time range; in a time zone.
    interval_ms
        Time between two points that a panel can show.
    variables
        By name.
    timescaledb
        Setting of the data source: groups of time are ``time_bucket``.
    search
        What was typed to find an option: ``$__searchFilter``.
    """

    from_time: datetime
    to_time: datetime
    interval_ms: int = 60_000
    variables: Mapping[str, Chosen] = field(default_factory=dict)
    timescaledb: bool = True
    search: str = ""


@dataclass(frozen=True)
class Fill:
    """What `frames` puts where a group of time has no row."""

    mode: Literal["null", "previous", "value"]
    interval_ms: int
    value: float = 0.0


@dataclass(frozen=True)
class Expanded:
    """SQL to ask, and how gaps of its answer are filled."""

    sql: str
    fill: Fill | None = None


def expand(raw_sql: str, scope: Scope) -> Expanded:
    """
    Put variables, then macros, into a query.

    Raises
    ------
    ExpandError
        An unknown macro, or one whose arguments are missing or no interval.
    """
    return _macros(_globals(interpolate(raw_sql, scope), scope), scope)


def choose(
    variable: Mapping[str, Any],
    given: str | Sequence[str] | None = None,
    options: Sequence[str] = (),
) -> Chosen:
    """
    Make a choice of a dashboard's variable, as its JSON is.

    Parameters
    ----------
    variable
        One of a dashboard's ``templating.list``.
    given
        What was chosen; nothing: what the dashboard says, else all, else the first of `options`.
    options
        Values its query gave.
    """
    is_list = bool(variable.get("multi") or variable.get("includeAll"))
    value = given if given not in (None, [], ()) else variable.get("current", {}).get("value")
    if not value and not (isinstance(value, str) and variable["type"] == "textbox"):
        value = ALL if variable.get("includeAll") else next(iter(options), "")
    return Chosen(
        name=variable["name"],
        value=value if isinstance(value, str) else tuple(value),
        is_list=is_list,
        all_value=variable.get("allValue"),
        options=tuple(options)
        or tuple(option["value"] for option in variable.get("options", ()) if "value" in option),
    )


# In the browser: variables, wherever they stand.

_VARIABLE: Final = re.compile(
    r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}"
)


def interpolate(text: str, scope: Scope) -> str:
    """
    Put variables into a text; what is no variable stays as it is.

    >>> scope = Scope(from_time=datetime(2026, 11, 24, tzinfo=UTC),
    ...               to_time=datetime(2026, 11, 24, 1, tzinfo=UTC),
    ...               variables={"c": Chosen(name="c", value=("a", "b'c"), is_list=True)})
    >>> interpolate("x IN ($c) AND t > $__from AND $1 AND $__timeFilter(t)", scope)
    "x IN ('a','b''c') AND t > 1795478400000 AND $1 AND $__timeFilter(t)"
    """
    builtin = _builtin(scope)

    def one(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[4]
        shape = match[3] or match[6]
        chosen = scope.variables.get(name) or builtin.get(name)
        if chosen is None or match[5]:
            return match[0]
        return _format(chosen, shape, scope)

    return _VARIABLE.sub(one, text)


def _builtin(scope: Scope) -> dict[str, Chosen]:
    first, last = _ms(scope.from_time), _ms(scope.to_time)
    values = {
        "__from": str(first),
        "__to": str(last),
        "__interval": format_interval(scope.interval_ms),
        "__interval_ms": str(scope.interval_ms),
        "__range": f"{round((last - first) / 1000)}s",
        "__range_s": str(round((last - first) / 1000)),
        "__range_ms": str(last - first),
        "__searchFilter": f"{scope.search}%",
    }
    return {name: Chosen(name=name, value=value) for name, value in values.items()}


def _format(chosen: Chosen, shape: str | None, scope: Scope) -> str:
    value = chosen.value
    name, *args = (shape or "").split(":")
    if chosen.is_all:
        if name == "queryparam":
            return f"var-{chosen.name}={_encoded(ALL)}"
        if name == "text":
            return "All"
        if chosen.all_value is not None and name != "percentencode":
            return interpolate(chosen.all_value, scope)
        value = chosen.options if chosen.all_value is None else chosen.all_value
    if not shape:
        return _quoted(value, chosen)
    if name == "date":
        return _date(value, args)
    if name not in _FORMATS:
        raise ExpandError(f"unknown format {name!r} of the variable {chosen.name}")
    return _FORMATS[name](value, chosen)


def _quoted(value: str | tuple[str, ...], chosen: Chosen) -> str:
    """As SQL data sources put a value in: one that may be several is quoted, another is not."""
    if isinstance(value, str):
        return _literal(value) if chosen.is_list else value.replace("'", "''")
    return ",".join(map(_literal, value))


def _literal(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _encoded(value: str) -> str:
    """As JavaScript's `encodeURIComponent`, and ``!'()*`` besides."""
    return quote(value, safe="-_.~")


def _several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _joined(separator: str) -> Callable[[str | tuple[str, ...], Chosen], str]:
    return lambda value, _: separator.join(_several(value))


def _escaped(mark: str) -> Callable[[str | tuple[str, ...], Chosen], str]:
    return lambda value, _: ",".join(
        mark + each.replace(mark, "\\" + mark) + mark for each in _several(value)
    )


def _braced(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "{" + ",".join(value) + "}"


def _date(value: str | tuple[str, ...], args: list[str]) -> str:
    try:
        ms = int(_several(value)[0])
    except (ValueError, IndexError):
        return "NaN"
    match args:
        case ["seconds"]:
            return str(round(ms / 1000))
        case ["ms"]:
            return str(ms)
        case [] | ["iso"]:
            time = datetime.fromtimestamp(ms / 1000, UTC)
            return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise ExpandError(f"unknown format {':'.join(args)!r} of a date")


_FORMATS: Final[Mapping[str, Callable[[str | tuple[str, ...], Chosen], str]]] = {
    "raw": _joined(","),
    "csv": _joined(","),
    "pipe": _joined("|"),
    "text": _joined(" + "),
    "glob": lambda value, _: (
        _braced(value) if isinstance(value, tuple) and len(value) > 1 else _several(value)[0]
    ),
    "json": lambda value, _: (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    ),
    "singlequote": _escaped("'"),
    "doublequote": _escaped('"'),
    "sqlstring": lambda value, _: ",".join(
        "'" + each.replace("'", "''").replace('"', '\\"') + "'" for each in _several(value)
    ),
    "percentencode": lambda value, _: _encoded(_braced(value)),
    "queryparam": lambda value, chosen: "&".join(
        f"var-{chosen.name}={_encoded(each)}" for each in _several(value)
    ),
}


# In the data source: what it replaces first, then macros.


def _globals(sql: str, scope: Scope) -> str:
    return (
        sql.replace("$__interval_ms", str(scope.interval_ms))
        .replace("$__interval", format_interval(scope.interval_ms))
        .replace("$__unixEpochFrom()", str(_seconds(scope.from_time)))
        .replace("$__unixEpochTo()", str(_seconds(scope.to_time)))
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
        f"{column} >= {_seconds(scope.from_time)} AND {column} <= {_seconds(scope.to_time)}"
    ),
    "__unixEpochNanoFilter": lambda column, scope: (
        f"{column} >= {_ns(scope.from_time)} AND {column} <= {_ns(scope.to_time)}"
    ),
    "__unixEpochNanoFrom": lambda _, scope: str(_ns(scope.from_time)),
    "__unixEpochNanoTo": lambda _, scope: str(_ns(scope.to_time)),
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


# Times and intervals.


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


_UNITS_MS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_STEPS_MS: Final = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500),
    (1500, 1000), (3500, 2000), (7500, 5000), (12_500, 10_000), (17_500, 15_000),
    (25_000, 20_000), (45_000, 30_000), (90_000, 60_000), (210_000, 120_000),
    (450_000, 300_000), (750_000, 600_000), (1_050_000, 900_000), (1_500_000, 1_200_000),
    (2_700_000, 1_800_000), (5_400_000, 3_600_000), (9_000_000, 7_200_000),
    (16_200_000, 10_800_000), (32_400_000, 21_600_000), (86_400_000, 43_200_000),
    (604_800_000, 86_400_000), (1_814_400_000, 604_800_000), (3_628_800_000, 2_592_000_000),
)  # fmt: skip
"""An interval below the first becomes the second."""


def interval_ms(
    from_time: datetime, to_time: datetime, max_data_points: int, least_ms: int = 60_000
) -> int:
    """
    Time between two points, as Grafana rounds it.

    >>> day = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
    >>> interval_ms(*day, max_data_points=800)
    120000
    """
    exact = (_ms(to_time) - _ms(from_time)) / max(max_data_points, 1)
    rounded = next((step for below, step in _STEPS_MS if exact < below), 31_536_000_000)
    return max(rounded, least_ms)


def parse_interval(text: str) -> int:
    """Milliseconds of ``30s``, ``5m``, ``1h``, ``1d``."""
    match = re.fullmatch(r"(\d{1,12})(ms|[smhdw])", text.strip())
    if not match or int(match[1]) == 0:
        raise ExpandError(f"error parsing interval {text}")
    return int(match[1]) * _UNITS_MS[match[2]]


def format_interval(ms: int) -> str:
    """
    Largest whole unit of an interval; what is left over is not said.

    >>> format_interval(60_000), format_interval(90_000), format_interval(0)
    ('1m', '1m', '1ms')
    """
    for unit, each in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        if ms >= each:
            return f"{ms // each}{unit}"
    return "1ms"


def rfc3339(time: datetime) -> str:
    """UTC, with as many digits of a second as there are."""
    text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def _ns(time: datetime) -> int:
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def _ms(time: datetime) -> int:
    return _ns(time) // 1_000_000


def _seconds(time: datetime) -> int:
    return _ns(time) // 1_000_000_000
