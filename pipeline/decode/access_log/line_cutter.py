"""
Lines of one format string cut at what separates its values, without an expression.

    [%START_TIME%] "%REQ(:METHOD)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS%
    1. at quotes:  [%START_TIME%]    %REQ(:METHOD)% %PROTOCOL%    %RESPONSE_CODE% ...
    2. at spaces:  %REQ(:METHOD)%    %PROTOCOL%

If no value holds a separator there are as many pieces as the format says, and
each is a value, a literal, or has the next separator in it. It is the strict
reading of `format_string`, several times as fast: what is left for expressions
are pieces such as ``[%START_TIME%]``.

Before: format_string.py. After: text_format.py.
"""

from typing import NamedTuple

import polars as pl

from pipeline.decode.access_log.format_string import FormatString, Operator


class Cut(NamedTuple):
    """Text that one separator divides into pieces."""

    separator: str
    pieces: tuple["Piece", ...]


Piece = str | Operator | FormatString | Cut
"""A literal, a value, what an expression reads, or what is cut again."""


def plan(string: FormatString) -> Piece:
    """How to cut up text of a format string."""
    if not string.operators:
        return string.literals[0]
    if string.alone and string.operators[0].time is None:
        return string.operators[0]
    if any('"' in literal for literal in string.literals):
        return Cut('"', tuple(plan(piece) for piece in _at_quotes(string)))
    first, *inner, last = string.literals
    separator = inner[0] if inner else ""
    if (
        len(separator) == 1
        and set(inner) == {separator}
        and {first, last} <= {"", separator}
        and all(operator.time is None for operator in string.operators)
    ):
        around = ("",) if first else (), ("",) if last else ()
        return Cut(separator, (*around[0], *string.operators, *around[1]))
    return string


def _at_quotes(string: FormatString) -> list[FormatString]:
    """What is between the quotes of the literals."""
    pieces = []
    literals: list[str] = []
    operators: list[Operator] = []
    for n, literal in enumerate(string.literals):
        head, *rest = literal.split('"')
        literals.append(head)
        for part in rest:
            pieces.append(FormatString(tuple(literals), tuple(operators)))
            literals, operators = [part], []
        if n < len(string.operators):
            operators.append(string.operators[n])
    return [*pieces, FormatString(tuple(literals), tuple(operators))]


def cut(text: pl.Series, piece: Piece) -> tuple[dict[str, pl.Series], list[pl.Series]]:
    """
    Cut up n texts.

    Returns
    -------
    dict
        Field to its n texts, which mean something where all of the list is true.
    list
        Columns of n booleans.
    """
    if isinstance(piece, str):
        return {}, [text == piece]
    if isinstance(piece, Operator):
        return ({piece.field: text} if piece.field else {}), [text.is_not_null()]
    if isinstance(piece, FormatString):
        expression = piece.expression()
        if not piece.fields:
            return {}, [text.str.contains(expression)]
        groups = text.str.extract_groups(expression).struct.unnest().get_columns()
        return dict(zip(piece.fields, groups, strict=True)), [groups[0].is_not_null()]
    count = len(piece.pieces)
    parts = text.str.splitn(piece.separator, count + 1).struct.unnest().get_columns()
    fields: dict[str, pl.Series] = {}
    fits = [parts[count].is_null()]
    for part, inner in zip(parts, piece.pieces, strict=False):
        more, of_it = cut(part, inner)
        fields |= more
        fits += of_it
    return fields, fits
