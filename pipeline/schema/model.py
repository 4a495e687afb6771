"""
What a table, a column and a view are, and the types they have.

Before: config.py. After: facts.py.
"""

from typing import Final, NamedTuple

import polars as pl


class Column(NamedTuple):
    """One column: its name with the unit in it, type in frames and in the lake, meaning."""

    name: str
    dtype: pl.DataType
    meaning: str
    source: str = ""


class Table(NamedTuple):
    """
    One table of the lake.

    Attributes
    ----------
    row_group_rows
        Rows that its files tell the times of, and that are read together; None: DuckDB's 122,880.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    row_group_rows: int | None = None

    @property
    def schema(self) -> pl.Schema:
        """Columns as a frame has them."""
        return pl.Schema({column.name: column.dtype for column in self.columns})


TIME: Final = pl.Datetime("us", "UTC")
U8, U16, U32, U64 = pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()
I32, I64, F64, TEXT = pl.Int32(), pl.Int64(), pl.Float64(), pl.String()
HISTOGRAM: Final = pl.List(pl.Struct({"bucket": pl.Int16(), "calls": pl.UInt64()}))

_SQL_TYPES: Final[dict[pl.DataType, str]] = {
    U8: "UTINYINT",
    U16: "USMALLINT",
    U32: "UINTEGER",
    U64: "UBIGINT",
    I32: "INTEGER",
    I64: "BIGINT",
    F64: "DOUBLE",
    TEXT: "VARCHAR",
    pl.Binary(): "BLOB",
    pl.Boolean(): "BOOLEAN",
    TIME: "TIMESTAMPTZ",
    pl.List(pl.UInt64): "UBIGINT[]",
    pl.List(pl.String): "VARCHAR[]",
    HISTOGRAM: "STRUCT(bucket SMALLINT, calls UBIGINT)[]",
}

RESOLUTION: Final = pl.Enum(["resolved", "ambiguous", "unknown"])
METHOD: Final = pl.Enum(["exact", "service", "gateway", "peering", "external", "prefix", "none"])
REPORTER: Final = pl.Enum(["source", "destination", "gateway", "waypoint", "unknown"])
PROXY_MODEL: Final = pl.Enum(["sidecar", "host", "gateway", "waypoint"])
LOG_TYPE: Final = pl.Enum(["end", "start", "periodic", "attempt"])
AUTHZ: Final = pl.Enum(["allowed", "denied"])


def sql_type(column: Column) -> str:
    """
    Type of a column in the lake.

    >>> sql_type(Column("bytes", pl.UInt64(), ""))
    'UBIGINT'
    """
    return "VARCHAR" if isinstance(column.dtype, pl.Enum) else _SQL_TYPES[column.dtype]


def complete(rows: pl.DataFrame, columns: pl.Schema) -> pl.DataFrame:
    """
    Rows with all columns of a schema, in its order; those they lack are null.

    >>> complete(pl.DataFrame({"b": [1]}), pl.Schema({"a": TEXT, "b": U8})).row(0)
    (None, 1)
    """
    return rows.select(
        pl.col(name).cast(dtype) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in columns.items()
    )


def create(table: Table) -> str:
    """DDL of one table."""
    columns = ", ".join(f"{column.name} {sql_type(column)}" for column in table.columns)
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})"


class View(NamedTuple):
    """One view: its name, the question it answers, column to meaning, and the query."""

    name: str
    meaning: str
    columns: dict[str, str]
    sql: str


def create_view(view: View) -> str:
    """DDL of one view, its columns in documented order."""
    columns = ", ".join(view.columns)
    return f"CREATE OR REPLACE VIEW {view.name} AS SELECT {columns} FROM ({view.sql})"


class Function(NamedTuple):
    """One table function: its name, the question, parameter to meaning, column to meaning, query."""

    name: str
    meaning: str
    parameters: dict[str, str]
    columns: dict[str, str]
    sql: str


def create_function(function: Function) -> str:
    """DDL of one table function; its query names parameters, which no column it reads may share."""
    parameters, columns = ", ".join(function.parameters), ", ".join(function.columns)
    return (
        f"CREATE OR REPLACE MACRO {function.name}({parameters}) AS TABLE"
        f" SELECT {columns} FROM ({function.sql})"
    )


def address(name: str, meaning: str, source: str) -> tuple[Column, Column]:
    """Columns of one address, ``{name}_ip_hi`` and ``{name}_ip_lo``."""
    return (
        Column(f"{name}_ip_hi", U64, f"{meaning}: high 64 bits of 16 bytes", source),
        Column(
            f"{name}_ip_lo", U64, f"{meaning}: low 64 bits; v4-mapped is 0xffff<<32 | v4", source
        ),
    )


def side(side: str) -> tuple[Column, ...]:
    """
    Columns that name the endpoint of one side, for instance ``src`` or ``post_nat_dst``.

    How they are found, step by step, is told in `pipeline.enrich.sides`. Where the record's
    network, the address or the time is not known, everything is unknown.
    """
    return (
        Column(
            f"{side}_endpoint_id",
            U64,
            f"`endpoints` row of the {side} address; null unless resolved to one",
        ),
        Column(
            f"{side}_prefix_id",
            U64,
            f"`prefixes` row, longest match for the {side} address at that time, in the network it was found in; of an address nobody is known to have had, the own network's, else that of the only network it is routed to that has one, else the internet's; null if none",
        ),
        Column(
            f"{side}_resolution",
            RESOLUTION,
            "resolved: it is known what the address was, in this network, then (an endpoint, or a named range outside); ambiguous: several contend; unknown: none is known",
        ),
        Column(
            f"{side}_method",
            METHOD,
            "how it was found, the first that holds: exact (an endpoint of the record's network, or of the internet), service (that is a service's virtual address) or gateway (that leads into another network); peering (an endpoint of a network that is routed to, where the own one does not declare the address its own); external (a named range outside); prefix (only the range is known); none",
        ),
        Column(
            f"{side}_candidate_ids",
            pl.List(pl.UInt64),
            "`endpoints` rows that contend, when ambiguous",
        ),
    )
