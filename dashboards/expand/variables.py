"""
Variables, put into a text as Grafana's browser side does.

Source: `@grafana/scenes`, `formatRegistry.ts`; `grafana-sql`, `interpolateVariable`.
Before: scope.py. After: macros.py.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from dashboards.expand.scope import ALL, Chosen, ExpandError, Scope
from dashboards.expand.times import format_interval, ms

__all__ = ["choose", "interpolate"]


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
    first, last = ms(scope.from_time), ms(scope.to_time)
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
