"""
Values a client sends for ``$1``, and of which type they are.

A client may say a parameter's type. If it does not, the statement tells: a
cast, a column it is compared with, LIMIT. If that tells nothing it is text,
and DuckDB takes the text as it takes a literal, for whatever stands there.

A value becomes what DuckDB casts to the type; the cast stands in the
statement, so that the type of a result is known before there are values.

Before: types.py. After: session.py.
Source: PostgreSQL 15, the ``*in`` and ``*recv`` functions of its types.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np

from pipeline.errors import ServeError
from pipeline.serve.pgwire import types
from pipeline.serve.pgwire.types import BY_ARRAY_OID, BY_OID, JSONB_OIDS, UNKNOWN_OIDS, Kind

_BAD_TEXT: Final = "22P02"
_BAD_BYTES: Final = "22P03"
_US_1970: Final = 946_684_800_000_000
"""From 1970 to 2000."""
_DAYS_1970: Final = 10_957
_INFINITE_US: Final = {(1 << 63) - 1: "infinity", -(1 << 63): "-infinity"}
_INFINITE_DAYS: Final = {(1 << 31) - 1: "infinity", -(1 << 31): "-infinity"}
_MOST: Final = 64
"""Levels an array may be deep; digits of base 10,000 a numeric may have."""
_PLACE: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*(?:.*?\*/|.*)
    |\$(?P<tag>[A-Za-z_]\w*|)\$(?:.*?\$(?P=tag)\$|.*)
    |(?<![\w$])\$(?P<number>\d+)""",
    re.VERBOSE | re.DOTALL,
)
_OID: Final = 26
_OF_ID: Final = {
    "BOOLEAN": 16, "TINYINT": 21, "SMALLINT": 21, "INTEGER": 23, "BIGINT": 20, "HUGEINT": 1700,
    "UTINYINT": 21, "USMALLINT": 23, "UINTEGER": 20, "UBIGINT": 1700, "FLOAT": 700,
    "DOUBLE": 701, "DECIMAL": 1700, "VARCHAR": 25, "BLOB": 17, "UUID": 2950, "DATE": 1082,
    "TIME": 1083, "TIMESTAMP": 1114, "TIMESTAMP WITH TIME ZONE": 1184, "INTERVAL": 1186,
    "JSON": 114, "TIMESTAMPTZ": 1184, "PG_OID": _OID, "NAME": 19,
}  # fmt: skip
"""Type in a tree, or of a column, to the number clients know."""
_ARRAY_OF: Final = {_OID: 1028, 19: 1003}
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
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE":
            for column, kind in relations.get(node["table_name"], {}).items():
                kinds.setdefault(column.lower(), set()).add(kind)
    return {name: _oid(found.pop()) for name, found in kinds.items() if len(found) == 1}


def _told(tree: Any, columns: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Parameter and type, wherever a statement tells one; casts before what is compared."""
    nodes = list(_nodes(tree))
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
        for part in _nodes(node["subquery"]):
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


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)


def value(data: bytes | None, oid: int, *, binary: bool) -> Any:
    """
    What DuckDB is given for a value.

    Raises
    ------
    ServeError
        22P02 for text, 22P03 for bytes that are no value of the type, 0A000
        for bytes of a type that is not known here.
    """
    if data is None:
        return None
    try:
        return (_of_bytes if binary else _of_text)(data, oid, 0)
    except (ValueError, ArithmeticError, struct.error, LookupError, TypeError) as error:
        state = _BAD_BYTES if binary else _BAD_TEXT
        raise ServeError(state, f"not a value of type {oid}: {error}") from error


def _of_text(data: bytes, oid: int, _: int) -> Any:
    text = data.decode()
    if "\0" in text:
        raise ValueError("a null character")
    if oid in BY_ARRAY_OID:
        return _array_of_text(text, BY_ARRAY_OID[oid])
    kind = BY_OID.get(oid)
    if kind is types.BYTEA:
        return bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode()
    if kind is types.NUMERIC:
        return _number(text.strip())
    return text


def _number(text: str) -> Any:
    """A whole number, a decimal, or a float where DuckDB has no decimal for it."""
    if text.lower() in {"nan", "infinity", "-infinity", "inf", "-inf"}:
        return float(text)
    found = Decimal(text)
    if found == found.to_integral_value() and abs(found) < 1 << 126:
        return int(found)
    fits = len(found.as_tuple().digits) <= 38 and abs(found.adjusted()) < 38  # noqa: PLR2004 - DECIMAL(38)
    return found if fits else float(found)


def _array_of_text(text: str, kind: Kind) -> list[Any]:
    r"""
    ``{a,"b c",NULL}``, nested.

    >>> _array_of_text('{1,NULL,"a\\"b"}', types.TEXT)
    ['1', None, 'a"b']
    """
    stack: list[list[Any]] = [[]]
    for found in _ELEMENT.finditer(text.strip()):
        match found.lastgroup:
            case "open":
                if len(stack) > _MOST:
                    raise ValueError("an array too deep")
                inner: list[Any] = []
                stack[-1].append(inner)
                stack.append(inner)
            case "close":
                if len(stack) < 2:  # noqa: PLR2004 - the outermost is ours
                    raise ValueError("a bracket too many")
                stack.pop()
            case "quoted":
                plain = re.sub(r"\\(.)", r"\1", found[0][1:-1], flags=re.DOTALL)
                stack[-1].append(_of_text(plain.encode(), kind.oid, 0))
            case "plain":
                word = found[0].strip()
                null = word.upper() == "NULL"
                stack[-1].append(None if null else _of_text(word.encode(), kind.oid, 0))
            case "other":
                raise ValueError(f"not an array at {found[0]!r}")
    if len(stack) != 1 or len(stack[0]) != 1 or not isinstance(stack[0][0], list):
        raise ValueError("not an array")
    whole: list[Any] = stack[0][0]
    return whole


_ELEMENT: Final = re.compile(
    r'(?P<open>\{)|(?P<close>\})|(?P<separator>,|\s+)|(?P<quoted>"(?:[^"\\]|\\.)*")'
    r'|(?P<plain>[^{}",\\]+)|(?P<other>.)',
    re.DOTALL,
)


def _of_bytes(data: bytes, oid: int, depth: int) -> Any:
    if oid in BY_ARRAY_OID:
        return _array_of_bytes(data, depth)
    if oid in UNKNOWN_OIDS:
        return _of_text(data, oid, 0)
    if oid == _OID:
        return struct.unpack("!I", data)[0]
    if oid in JSONB_OIDS:
        data = data[1:]
    kind = BY_OID.get(oid)
    if kind not in _DECODERS:
        raise ServeError("0A000", f"bytes of type {oid} are not understood: send text")
    return _DECODERS[kind](data)


def _array_of_bytes(data: bytes, depth: int) -> list[Any]:
    dimensions, _, oid = struct.unpack_from("!iiI", data)
    if not dimensions:
        return []
    if dimensions != 1 or depth:
        raise ServeError("0A000", "arrays of more than one dimension are not understood")
    (length,) = struct.unpack_from("!i", data, 12)
    if not 0 <= length <= len(data) // 4:
        raise ValueError("a length that cannot be")
    out: list[Any] = []
    at = 20
    for _ in range(length):
        (size,) = struct.unpack_from("!i", data, at)
        at += 4
        if size < 0:
            out.append(None)
            continue
        if at + size > len(data):
            raise ValueError("an element beyond the end")
        out.append(_of_bytes(data[at : at + size], oid, depth + 1))
        at += size
    return out


def _struct(form: str) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        return struct.unpack(form, data)[0]

    return decode


def _timestamp(data: bytes) -> str:
    (us,) = struct.unpack("!q", data)
    if us in _INFINITE_US:
        return _INFINITE_US[us]
    return str(np.datetime64(us + _US_1970, "us")).replace("T", " ")


def _timestamptz(data: bytes) -> str:
    text = _timestamp(data)
    return text if text.endswith("infinity") else text + "+00"


def _date(data: bytes) -> str:
    (days,) = struct.unpack("!i", data)
    return _INFINITE_DAYS.get(days) or str(np.datetime64(days + _DAYS_1970, "D"))


def _time(data: bytes) -> str:
    (us,) = struct.unpack("!q", data)
    seconds, fraction = divmod(us, 1_000_000)
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"


def _timetz(data: bytes) -> str:
    west = struct.unpack("!i", data[8:])[0]
    east = abs(west)
    sign = "-" if west > 0 else "+"
    return f"{_time(data[:8])}{sign}{east // 3_600:02}:{east // 60 % 60:02}"


def _interval(data: bytes) -> str:
    us, days, months = struct.unpack("!qii", data)
    return f"{months} months {days} days {us} microseconds"


def _numeric(data: bytes) -> Any:
    groups, weight, sign, scale = struct.unpack_from("!hhHh", data)
    if sign not in {0, 0x4000}:
        return {0xC000: float("nan"), 0xD000: float("inf"), 0xF000: float("-inf")}[sign]
    if not 0 <= groups <= _MOST or abs(weight) > _MOST:
        raise ValueError("more digits than any column has")
    digits = struct.unpack_from(f"!{groups}H", data, 8)
    number = sum(digit * 10_000 ** (len(digits) - 1 - i) for i, digit in enumerate(digits))
    exponent = 4 * (weight - len(digits) + 1)
    found = Decimal(number).scaleb(exponent)
    text = format(-found if sign else found, "f")
    if scale > 0 and "." in text:
        whole, _, fraction = text.partition(".")
        text = f"{whole}.{fraction[:scale]}"
    return _number(text)


_DECODERS: Final[Mapping[Kind | None, Callable[[bytes], Any]]] = {
    types.BOOL: lambda data: struct.unpack("!?", data)[0],
    types.INT2: _struct("!h"),
    types.INT4: _struct("!i"),
    types.INT8: _struct("!q"),
    types.FLOAT4: _struct("!f"),
    types.FLOAT8: _struct("!d"),
    types.NUMERIC: _numeric,
    types.TEXT: lambda data: _of_text(data, types.TEXT_OID, 0),
    types.JSON: lambda data: _of_text(data, types.JSON.oid, 0),
    types.BYTEA: bytes,
    types.UUID: lambda data: data.hex(),
    types.DATE: _date,
    types.TIME: _time,
    types.TIMETZ: _timetz,
    types.TIMESTAMP: _timestamp,
    types.TIMESTAMPTZ: _timestamptz,
    types.INTERVAL: _interval,
}
"""Bytes of a type to what DuckDB casts to it."""
