"""
Parameters of a statement: where they stand, and of which type they are.

A client may say a parameter's type. If it does not, the statement tells: a
cast, a column it is compared with, LIMIT. If that tells nothing it is text,
and DuckDB takes the text as it takes a literal, for whatever stands there.

A value becomes what DuckDB casts to the type; the cast stands in the
statement, so that the type of a result is known before there are values.

Before: types.py. After: values.py.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.serve.pgwire import types
from pipeline.serve.pgwire.types import BY_ARRAY_OID, BY_OID
from pipeline.serve.statements import every_node

_PLACE: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*(?:.*?\*/|.*)
    |\$(?P<tag>[A-Za-z_]\w*|)\$(?:.*?\$(?P=tag)\$|.*)
    |(?<![\w$])\$(?P<number>\d+)""",
    re.VERBOSE | re.DOTALL,
)
_OF_ID: Final = {
    "BOOLEAN": 16, "TINYINT": 21, "SMALLINT": 21, "INTEGER": 23, "BIGINT": 20, "HUGEINT": 1700,
    "UTINYINT": 21, "USMALLINT": 23, "UINTEGER": 20, "UBIGINT": 1700, "FLOAT": 700,
    "DOUBLE": 701, "DECIMAL": 1700, "VARCHAR": 25, "BLOB": 17, "UUID": 2950, "DATE": 1082,
    "TIME": 1083, "TIMESTAMP": 1114, "TIMESTAMP WITH TIME ZONE": 1184, "INTERVAL": 1186,
    "JSON": 114, "TIMESTAMPTZ": 1184, "PG_OID": types.OID, "NAME": 19,
}  # fmt: skip
"""Type in a tree, or of a column, to the number clients know."""
_ARRAY_OF: Final = {types.OID: 1028, 19: 1003}
"""Of oid and name: other than of the types they are taken as."""


def count(text: str) -> int:
    """
    Parameters of a statement: the largest number there is.

    >>> count("SELECT $2, '$3' -- $4")
    2
    """
    return max((int(n) for found in _PLACE.finditer(text) if (n := found["number"])), default=0)


def used(text: str) -> set[str]:
    """Numbers of the parameters that a statement has."""
    return {found["number"] for found in _PLACE.finditer(text) if found["number"]}


def cast(text: str, oids: Sequence[int], *, known: bool) -> str:
    """
    A statement whose parameters are cast to their types.

    Parameters
    ----------
    text
        With ``$1`` and so on.
    oids
        Type of each.
    known
        Whether values will be given; else something of the type stands for each.

    >>> cast("SELECT $1, $2", [23, 0], known=True)
    'SELECT CAST($1 AS INTEGER), $2'
    >>> cast("SELECT $1, $2", [23, 0], known=False)
    "SELECT CAST(NULL AS INTEGER), ''"
    """

    def replace(found: re.Match[str]) -> str:
        if not found["number"]:
            return found[0]
        oid = oids[int(found["number"]) - 1]
        kind, array = BY_OID.get(oid), BY_ARRAY_OID.get(oid)
        if array:
            return f"CAST({found[0] if known else 'NULL'} AS {array.duckdb}[])"
        if kind is None or (known and kind is types.NUMERIC):
            return found[0] if known else "''"
        return f"CAST({found[0] if known else 'NULL'} AS {kind.duckdb})"

    return _PLACE.sub(replace, text)


def inferred(
    tree: Any, said: Sequence[int], number: int, relations: Mapping[str, Mapping[str, str]]
) -> list[int]:
    """
    Type of each parameter.

    Parameters
    ----------
    tree
        Of the statement.
    said
        What the client says, 0 for nothing; may be shorter.
    number
        How many there are.
    relations
        Relations a statement may name, to their columns and types.

    Returns
    -------
    list
        ``number`` numbers; text where nothing tells.
    """
    found = [*said[:number], *[0] * (number - len(said))]
    if 0 in found:
        columns = _columns(tree, relations)
        for place, oid in _told(tree, columns):
            if place.isdigit() and 0 < int(place) <= number and not found[int(place) - 1] and oid:
                found[int(place) - 1] = oid
    return found


def _columns(tree: Any, relations: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """Columns of the relations a statement names, those of one type only."""
    kinds: dict[str, set[str]] = {}
    for node in every_node(tree):
        if node.get("type") == "BASE_TABLE":
            for column, kind in relations.get(node["table_name"], {}).items():
                kinds.setdefault(column.lower(), set()).add(kind)
    return {name: _oid(found.pop()) for name, found in kinds.items() if len(found) == 1}


def _told(tree: Any, columns: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Parameter and type, wherever a statement tells one; casts before what is compared."""
    nodes = list(every_node(tree))
    for node in nodes:
        if node.get("class") == "CAST" and (place := _place(node["child"])):
            yield place, _type(node["cast_type"])
    for node in nodes:
        yield from _alike(_compared(node), columns)
        yield from _among(node, columns)
        kind = node.get("class")
        if kind == "FUNCTION" and node.get("function_name") in {"~~", "!~~", "~~*", "!~~*"}:
            yield from (
                (place, types.TEXT_OID) for one in node["children"] if (place := _place(one))
            )
        elif node.get("type") == "LIMIT_MODIFIER":
            for part in ("limit", "offset"):
                if place := _place(node[part] or {}):
                    yield place, types.INT8.oid


def _among(node: Mapping[str, Any], columns: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """``x = ANY($1)``, which a tree has as a subquery that unnests: a list of what x is."""
    if node.get("class") == "SUBQUERY" and node.get("subquery_type") == "ANY":
        listed = _array(_type_of(node["child"], columns))
        for part in every_node(node["subquery"]):
            if part.get("function_name") == "unnest" and (place := _place(part["children"][0])):
                yield place, listed
    if node.get("function_name") == "unnest" and (place := _place(node["children"][0])):
        yield place, types.TEXT.array_oid


def _compared(node: Mapping[str, Any]) -> Sequence[Any]:
    """Parts of a comparison."""
    match node.get("class"), node.get("type"):
        case "COMPARISON", _:
            return [node["left"], node["right"]]
        case "BETWEEN", _:
            return [node["input"], node["lower"], node["upper"]]
        case "OPERATOR", "COMPARE_IN" | "COMPARE_NOT_IN":
            found: Sequence[Any] = node["children"]
            return found
    return ()


def _alike(nodes: Sequence[Any], columns: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """What is compared is of one type."""
    oid = next((oid for node in nodes if (oid := _type_of(node, columns))), 0)
    for node in nodes:
        if place := _place(node):
            yield place, oid


def _place(node: Mapping[str, Any]) -> str:
    """Number of the parameter that a node is; empty for another."""
    return str(node.get("identifier", "")) if node.get("class") == "PARAMETER" else ""


def _type_of(node: Mapping[str, Any], columns: Mapping[str, int]) -> int:
    match node.get("class"):
        case "COLUMN_REF":
            return columns.get(str(node["column_names"][-1]).lower(), 0)
        case "CAST":
            return _type(node["cast_type"])
        case "CONSTANT":
            oid = _type(node["value"]["type"])
            return types.INT8.oid if oid in {types.INT2.oid, types.INT4.oid} else oid
    return 0


def _type(said: Mapping[str, Any]) -> int:
    """Type in a tree."""
    name, more = said.get("id", ""), said.get("type_info") or {}
    if name == "LIST":
        return _array(_type(more.get("child_type", {})))
    if name in {"UNBOUND", "USER"}:
        listed = str(more.get("name", "")).upper()
        return (
            _array(_OF_ID.get(listed[:-2], 0)) if listed.endswith("[]") else _OF_ID.get(listed, 0)
        )
    return _OF_ID.get(name, 0)


def _oid(kind: str) -> int:
    """Type of a column."""
    if kind.endswith("[]"):
        return _array(_oid(kind[:-2]))
    return _OF_ID.get(kind.partition("(")[0], 0)


def _array(oid: int) -> int:
    kind = BY_OID.get(oid)
    return _ARRAY_OF.get(oid) or (kind.array_oid if kind else 0)
