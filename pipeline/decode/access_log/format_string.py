"""
Envoy's format strings, text or JSON, to what reads lines written so.

    [%START_TIME%] "%REQ(:METHOD)% %PROTOCOL%" %RESPONSE_CODE%
    {"start": "%START_TIME(%s.%3f)%", "http": {"call": "%REQ(:METHOD)% %REQ(:PATH)%"}}

A format string is literals with operators in between; a JSON format is an
object, nested or not, of format strings. What lies between two literals is the
operator's value. Envoy escapes nothing, so a value may hold what looks like
the next literal. Most lines have no such value, and are read strictly: no value
holds a character its neighbours begin with. A line that has is read if there is
one way to read it, and else it is not.

Before: __init__.py. After: line_cutter.py, text_format.py, json_format.py.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from collectors.config import AgentConfig, TailInput
from pipeline.decode.access_log.operators import field
from pipeline.decode.access_log.start_time import TimeFormat, compile_time
from pipeline.errors import FormatError

_OPERATOR: Final = re.compile(r"%([A-Z][A-Z0-9_]*)(?:\((.*?)\))?(?::([0-9]+))?%", re.DOTALL)
_PAIRS: Final = {'"': '"', "'": "'", "`": "`", "[": "]", "(": ")", "<": ">", "{": "}", "|": "|"}
_MAX_DEPTH: Final = 20
_MAX_OPERATORS: Final = 200


class Operator(NamedTuple):
    """One operator of a format string."""

    text: str
    """As it is written."""
    field: str | None
    """The field it fills; None if it fills none, or another did before."""
    time: TimeFormat | None = None
    """How it writes, if it is a start time of use."""

    @property
    def pattern(self) -> str:
        """Regular expression of what it writes, without groups; empty for any text."""
        return "" if self.time is None else re.sub(r"\(\?P<\w+>", "(?:", self.time.pattern)


class FormatString(NamedTuple):
    """One format string: n operators, and the n + 1 literals around them."""

    literals: tuple[str, ...]
    operators: tuple[Operator, ...]

    @property
    def alone(self) -> bool:
        """Whether it is one operator and nothing else."""
        return len(self.operators) == 1 and self.literals == ("", "")

    @property
    def fields(self) -> list[str]:
        """Fields it fills, in order."""
        return [operator.field for operator in self.operators if operator.field is not None]

    def expression(self) -> str:
        """
        Regular expression of lines whose values hold nothing their neighbours begin with.

        It has a group for each of the `fields`.
        """
        quoted = any('"' in literal for literal in self.literals)
        parts = [re.escape(self.literals[0])]
        for n, operator in enumerate(self.operators):
            before, after = self.literals[n : n + 2]
            value = operator.pattern or _strict(before, after, quoted=quoted)
            parts += [f"({value})" if operator.field else value, re.escape(after)]
        return f"(?s)^{''.join(parts)}$"

    def values(self, line: str) -> list[str] | None:
        """
        Values of a line, one for each operator, whatever they hold.

        In every reading of a line a literal is between where it is if all stand
        as early as they can, and where it is if all stand as late as they can.
        If both are one place for all literals, there is one reading.

        Returns
        -------
        list or None
            Empty if there are several readings; None if there is none.
        """
        first, *inner, last = self.literals
        start, end = len(first), len(line) - len(last)
        if start > end or not (line.startswith(first) and line.endswith(last)):
            return None
        early, at = [start], start
        for literal in inner:
            found = line.find(literal, at, end)
            if found < 0:
                return None
            at = found + len(literal)
            early += [found, at]
        late, at = [end], end
        for literal in reversed(inner):
            found = line.rfind(literal, start, at)
            late += [found + len(literal), found]
            at = found
        if [*early, end] != [start, *reversed(late)]:
            return []
        borders = [*early, end]
        values = [line[a:b] for a, b in zip(borders[::2], borders[1::2], strict=True)]
        for operator, value in zip(self.operators, values, strict=True):
            if operator.pattern and not re.fullmatch(operator.pattern, value):
                return None
        return values


class Format(NamedTuple):
    """A whole format: one string, or the strings of a JSON object by their path in it."""

    is_json: bool
    strings: dict[tuple[str, ...], FormatString]
    time: TimeFormat
    """How start times are written."""


@lru_cache(maxsize=256)
def compile_format(text: str) -> Format:
    """
    Read a format as Envoy is told it.

    Raises
    ------
    FormatError
        If it says no start time, has two operators with nothing in between, is
        of more than one line, or is no format string.
    """
    found: dict[tuple[str, ...], FormatString] = {}
    used: set[str] = set()
    is_json = text.lstrip().startswith("{")
    if is_json:
        try:
            tree = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise FormatError(f"it opens with a brace and is no JSON object: {error}") from error
        _add_object(tree, (), found, used)
    else:
        found[()] = _parse(text.rstrip("\r\n"), used)
        if "\n" in text.rstrip("\r\n"):
            raise FormatError("a record of it is of more than one line")
    times = [
        operator.time
        for string in found.values()
        for operator in string.operators
        if operator.field == "start_time" and operator.time is not None
    ]
    if not times:
        raise FormatError("it has no %START_TIME%: a record without a time cannot be placed")
    return Format(is_json, found, times[0])


def check_formats(agents: Iterable[AgentConfig]) -> None:
    """
    Read every format that agents declare.

    Raises
    ------
    FormatError
        Names the key of the first that cannot be used, and why.
    """
    for n, agent in enumerate(agents):
        for m, one in enumerate(agent.inputs):
            if isinstance(one, TailInput) and one.format:
                try:
                    compile_format(one.format)
                except FormatError as error:
                    raise FormatError(f"agents[{n}].inputs[{m}].format: {error}") from error


def _add_object(
    tree: dict[str, Any],
    path: tuple[str, ...],
    found: dict[tuple[str, ...], FormatString],
    used: set[str],
) -> None:
    if len(path) > _MAX_DEPTH:
        raise FormatError(f"objects are nested deeper than {_MAX_DEPTH}")
    for key, value in tree.items():
        if isinstance(value, dict):
            _add_object(value, (*path, key), found, used)
        elif isinstance(value, str):
            string = _parse(value, used)
            if string.fields:
                found[(*path, key)] = string


def _parse(text: str, used: set[str]) -> FormatString:
    """Cut a format string into literals and operators; each field is filled once."""
    literals = [""]
    operators: list[Operator] = []
    at = 0
    while at < len(text):
        if text[at] != "%":
            literals[-1] += text[at]
            at += 1
            continue
        match = _OPERATOR.match(text, at)
        if match is None:
            if text.startswith("%%", at):
                literals[-1] += "%"
                at += 2
                continue
            raise FormatError(f"no operator: {text[at : at + 40]!r}")
        if operators and literals[-1] == "":
            raise FormatError(
                f"nothing between {operators[-1].text} and {match[0]} tells where one ends"
            )
        if len(operators) == _MAX_OPERATORS:
            raise FormatError(f"more than {_MAX_OPERATORS} operators in one string")
        operators.append(_operator(match, used))
        literals.append("")
        at = match.end()
    return FormatString(tuple(literals), tuple(operators))


def _operator(match: re.Match[str], used: set[str]) -> Operator:
    name, argument = match[1], match[2] or ""
    fills = field(name, argument)
    if fills in used:
        return Operator(match[0], None)
    if fills != "start_time":
        used |= {fills} if fills else set()
        return Operator(match[0], fills)
    time = compile_time(argument, local=name == "START_TIME_LOCAL")
    used.add(fills)
    return Operator(match[0], fills, time)


def _strict(before: str, after: str, *, quoted: bool) -> str:
    """Values between two literals, if they hold nothing that the literals begin with."""
    if before and after and _PAIRS.get(before[-1]) == after[0]:
        return f"[^{re.escape(after[0])}]*"
    not_in_it = {before[:1], before[-1:], after[:1], '"' if quoted else ""} - {""}
    return f"[^{''.join(map(re.escape, sorted(not_in_it)))}]*" if not_in_it else ".*"
