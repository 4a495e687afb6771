"""
Types: PostgreSQL's own, and in which of them a column of ours is sent.

``types.tsv`` is a type a line: what a PostgreSQL 15 says of itself in
``pg_type``, without ranges, row types, and box, whose arrays have another
separator. pgwire/types.py says how values are sent; a test holds both together.

Before: __init__.py. After: functions.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

_FILE: Final = Path(__file__).parent / "types.tsv"
_NUMBERS: Final = {
    "BOOLEAN": 16, "BLOB": 17, "BIGINT": 20, "UINTEGER": 20, "SMALLINT": 21, "TINYINT": 21,
    "UTINYINT": 21, "INTEGER": 23, "USMALLINT": 23, "VARCHAR": 25, "FLOAT": 700, "DOUBLE": 701,
    "JSON": 114, "DATE": 1082, "TIME": 1083, "TIMESTAMP": 1114, "TIMESTAMP WITH TIME ZONE": 1184,
    "INTERVAL": 1186, "UBIGINT": 1700, "HUGEINT": 1700, "UHUGEINT": 1700, "UUID": 2950,
    "INET": 869,
}  # fmt: skip
_JSON, _NUMERIC, _TEXT = 114, 1700, 25
_NESTED: Final = ("STRUCT(", "MAP(", "UNION(")


class Type(NamedTuple):
    """A line of ``types.tsv``; names as in ``pg_type``, ``label`` as ``format_type`` says it."""

    oid: int
    typname: str
    label: str
    typlen: int
    typbyval: bool
    typtype: str
    typcategory: str
    typispreferred: bool
    typelem: int
    typarray: int
    typinput: str
    typalign: str
    typstorage: str
    typcollation: int


def pg_types() -> list[Type]:
    """PostgreSQL's own types."""
    kinds = Type.__annotations__
    found = []
    for line in _FILE.read_text("utf-8").splitlines():
        values: dict[str, Any] = dict(zip(kinds, line.split("\t"), strict=True))
        found.append(
            Type(**{
                name: value == "t" if kinds[name] is bool else kinds[name](value)
                for name, value in values.items()
            })
        )  # fmt: skip
    return found


def number_of(duckdb_type: str, arrays: Mapping[int, int]) -> int:
    """
    Number of the PostgreSQL type in which a column is sent.

    >>> number_of("UTINYINT", {}), number_of("DECIMAL(2,1)", {}), number_of("VARCHAR[]", {25: 1009})
    (21, 1700, 1009)
    >>> number_of("STRUCT(a INTEGER)[]", {}), number_of("MAP(VARCHAR, UBIGINT)", {})
    (114, 114)
    """
    if duckdb_type.startswith(_NESTED) or duckdb_type.endswith("[][]"):
        return _JSON
    if duckdb_type.endswith("[]"):
        return arrays[number_of(duckdb_type.removesuffix("[]"), arrays)]
    if duckdb_type.startswith("DECIMAL("):
        return _NUMERIC
    return _NUMBERS.get(duckdb_type, _TEXT)


def modifier(duckdb_type: str) -> int:
    """
    ``atttypmod``: precision and scale of a decimal.

    >>> modifier("DECIMAL(2,1)"), modifier("BIGINT")
    (131077, -1)
    """
    if not duckdb_type.startswith("DECIMAL("):
        return -1
    precision, scale = map(int, duckdb_type[len("DECIMAL(") : -1].split(","))
    return (precision << 16 | scale) + 4
