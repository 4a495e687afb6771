"""
Types of DuckDB and those of PostgreSQL that clients know them by.

    BIGINT[]                   _int8      lists of one level
    HUGEINT, UBIGINT, DECIMAL  numeric
    STRUCT, MAP, lists of lists   json

A type that PostgreSQL lacks is text, as DuckDB writes it. Some results are
asked for in another form than DuckDB's own, so that a batch of Arrow has what
a client is to get: `wanted` says which, in SQL.

Before: engine.py. After: scalars.py, parameters.py.
Source: PostgreSQL 15, pg_type.dat.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.serve.engine import Column

TEXT_OID: Final = 25
OID: Final = 26
UNKNOWN_OIDS: Final = frozenset({0, 705})
"""Of a parameter whose type the client does not say."""
_VARIABLE: Final = -1


class Kind(NamedTuple):
    """A type of PostgreSQL's, and the one of DuckDB's its values are cast to."""

    name: str
    oid: int
    array_oid: int
    bytes: int
    """Of a value; -1 if they differ."""
    duckdb: str


BOOL = Kind("bool", 16, 1000, 1, "BOOLEAN")
BYTEA = Kind("bytea", 17, 1001, _VARIABLE, "BLOB")
INT8 = Kind("int8", 20, 1016, 8, "BIGINT")
INT2 = Kind("int2", 21, 1005, 2, "SMALLINT")
INT4 = Kind("int4", 23, 1007, 4, "INTEGER")
TEXT = Kind("text", TEXT_OID, 1009, _VARIABLE, "VARCHAR")
JSON = Kind("json", 114, 199, _VARIABLE, "JSON")
FLOAT4 = Kind("float4", 700, 1021, 4, "FLOAT")
FLOAT8 = Kind("float8", 701, 1022, 8, "DOUBLE")
DATE = Kind("date", 1082, 1182, 4, "DATE")
TIME = Kind("time", 1083, 1183, 8, "TIME")
TIMESTAMP = Kind("timestamp", 1114, 1115, 8, "TIMESTAMP")
TIMESTAMPTZ = Kind("timestamptz", 1184, 1185, 8, "TIMESTAMPTZ")
INTERVAL = Kind("interval", 1186, 1187, 16, "INTERVAL")
TIMETZ = Kind("timetz", 1266, 1270, 12, "TIMETZ")
NUMERIC = Kind("numeric", 1700, 1231, _VARIABLE, "DECIMAL(38, 10)")
UUID = Kind("uuid", 2950, 2951, 16, "UUID")

_SENT: Final = (
    BOOL, BYTEA, INT8, INT2, INT4, TEXT, JSON, FLOAT4, FLOAT8, DATE, TIME, TIMESTAMP,
    TIMESTAMPTZ, INTERVAL, TIMETZ, NUMERIC, UUID,
)  # fmt: skip
_TAKEN_AS: Final = {
    18: TEXT,
    19: TEXT,
    1042: TEXT,
    1043: TEXT,
    26: INT8,
    650: TEXT,
    869: TEXT,
    3802: JSON,
}
"""Parameters taken as another type: char, name, bpchar, varchar, oid, cidr, inet, jsonb."""
BY_OID: Final = {kind.oid: kind for kind in _SENT} | _TAKEN_AS
BY_ARRAY_OID: Final = {kind.array_oid: kind for kind in _SENT} | {
    1002: TEXT, 1003: TEXT, 1014: TEXT, 1015: TEXT, 1028: INT8, 651: TEXT, 1041: TEXT, 3807: JSON,
}  # fmt: skip
JSONB_OIDS: Final = frozenset({3802, 3807})
"""Whose bytes begin with a version."""

_OF_DUCKDB: Final = {
    "BOOLEAN": BOOL, "TINYINT": INT2, "UTINYINT": INT2, "SMALLINT": INT2, "USMALLINT": INT4,
    "INTEGER": INT4, "UINTEGER": INT8, "BIGINT": INT8, "UBIGINT": NUMERIC, "HUGEINT": NUMERIC,
    "UHUGEINT": NUMERIC, "BIGNUM": NUMERIC, "FLOAT": FLOAT4, "DOUBLE": FLOAT8, "VARCHAR": TEXT,
    "BLOB": BYTEA, "UUID": UUID, "DATE": DATE, "TIME": TIME, "TIME_NS": TIME,
    "TIME WITH TIME ZONE": TIMETZ,
    "TIMESTAMP": TIMESTAMP, "TIMESTAMP_S": TIMESTAMP, "TIMESTAMP_MS": TIMESTAMP,
    "TIMESTAMP_NS": TIMESTAMP, "TIMESTAMP WITH TIME ZONE": TIMESTAMPTZ, "INTERVAL": INTERVAL,
    "JSON": JSON,
}  # fmt: skip
_AS_TEXT: Final = frozenset({
    "HUGEINT", "UHUGEINT", "BIGNUM", "TIME WITH TIME ZONE", "TIME", "TIME_NS", "BIT",
})  # fmt: skip
"""What Arrow has no form for, or not for every value of."""
_LIST: Final = re.compile(r"(.*)\[\d*\]", re.DOTALL)
_DECIMAL: Final = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_NESTED: Final = ("STRUCT(", "MAP(", "UNION(", "VARIANT")


class Sent(NamedTuple):
    """How one column of a result is sent."""

    name: str
    kind: Kind
    array: bool
    modifier: int
    """Precision and scale of a numeric, as PostgreSQL packs them; else -1."""
    source: str
    """DuckDB's name of the type; of the elements, if it is an array."""

    @property
    def oid(self) -> int:
        """Number of the type."""
        return self.kind.array_oid if self.array else self.kind.oid

    @property
    def bytes(self) -> int:
        """Of a value; -1 if they differ."""
        return _VARIABLE if self.array else self.kind.bytes


def sent(column: Column) -> Sent:
    """
    How a column is sent.

    >>> sent(Column("sum", "HUGEINT")).kind.name, sent(Column("a", "UUID[]")).oid
    ('numeric', 2951)
    >>> sent(Column("share", "DECIMAL(18,3)")).modifier
    1179655
    """
    listed = _LIST.fullmatch(column.kind)
    source = listed[1] if listed else column.kind
    if source.startswith(_NESTED) or _LIST.fullmatch(source):
        return Sent(column.name, JSON, array=False, modifier=-1, source=column.kind)
    if found := _DECIMAL.fullmatch(source):
        precision, scale = int(found[1]), int(found[2])
        packed = (precision << 16 | scale) + 4
        return Sent(column.name, NUMERIC, bool(listed), packed, source)
    return Sent(column.name, _OF_DUCKDB.get(source, TEXT), bool(listed), -1, source)


def wanted(text: str, columns: Sequence[Sent], binary: Sequence[bool]) -> str:
    r"""
    A statement that gives each column in the form it is sent in.

    The order of rows is the statement's: DuckDB keeps it through a subquery.

    >>> column = sent(Column("total", "HUGEINT"))
    >>> wanted("SELECT 1", [column], [False])
    'SELECT CAST(c0 AS VARCHAR) FROM (SELECT 1\n) AS result(c0)'
    """
    forms = [_form(f"c{i}", *pair) for i, pair in enumerate(zip(columns, binary, strict=True))]
    names = [f"c{i}" for i in range(len(columns))]
    if forms == names:
        return text
    whole = text.rstrip().rstrip(";")
    return f"SELECT {', '.join(forms)} FROM ({whole}\n) AS result({', '.join(names)})"  # noqa: S608


def _form(name: str, column: Sent, binary: bool) -> str:
    suffix = "[]" if column.array else ""
    if column.kind is JSON and column.source != "JSON":
        return f"CAST(to_json({name}) AS VARCHAR)"
    text = column.source in _AS_TEXT or (column.kind is INTERVAL and not binary)
    unknown = column.kind is TEXT and column.source not in {"VARCHAR", '"NULL"'}
    if text or unknown:
        return f"CAST({name} AS VARCHAR{suffix})"
    return name
