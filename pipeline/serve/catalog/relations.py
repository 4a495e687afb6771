"""
``pg_catalog`` and ``information_schema`` as tables: PostgreSQL's, with what a role sees in them.

Every relation that PostgreSQL 15 has is there, with its columns, so that no
query fails for a name; most have no rows, as in a database that has views and
nothing else. They are filled once, when the role's DuckDB is opened, and are
tables, not views on DuckDB's catalog: a client asks many such queries before
its first own one.

``relations.tsv`` is a relation a line, its columns as ``name:type``, with ``!``
if never null: what a PostgreSQL 15 says of itself in ``pg_attribute``.

Before: rows.py. After: rewrite.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from pipeline.serve.catalog.functions import LOOKED_UP, SCHEMA, TYPES, macros
from pipeline.serve.catalog.kinds import pg_types
from pipeline.serve.catalog.rows import PgColumn, Rows, Seen, rows
from pipeline.serve.roles import DATABASE, PUBLIC

INFORMATION: Final = "memory.pg_information"
"""Where ``information_schema`` is: DuckDB keeps that name for itself."""
_FILE: Final = Path(__file__).parent / "relations.tsv"
_SHOWN: Final = "v_"
"""Relations that are listed begin so; others of a role can be read, not found."""

_STORED: Final = {
    "int8": "BIGINT", "int4": "INTEGER", "int2": "SMALLINT", "bool": "BOOLEAN",
    "float4": "FLOAT", "float8": "DOUBLE", "numeric": "DECIMAL(38, 0)",
    "timestamptz": "TIMESTAMPTZ", "interval": "INTERVAL", "bytea": "BLOB",
    "oid": "BIGINT", "xid": "BIGINT", "oidvector": "BIGINT[]", "int2vector": "SMALLINT[]",
}  # fmt: skip
"""PostgreSQL's types of its catalog, as DuckDB stores them; others as text."""
_ZERO: Final = {"BIGINT": "0", "INTEGER": "0", "SMALLINT": "0", "BOOLEAN": "false", "FLOAT": "0"}


def install(
    connection: duckdb.DuckDBPyConnection, relations: Mapping[str, Mapping[str, str]], role: str
) -> None:
    """
    Make schemas, types, relations and macros, and fill them.

    Parameters
    ----------
    connection
        Of the role's DuckDB, with its schema ``public``.
    relations
        Name of each relation the role sees to its columns and their types.
    role
        Its name.
    """
    ours = {name: columns for name, columns in relations.items() if name.startswith(_SHOWN)}
    seen = Seen(_of_pg(), ours, _table_macros(connection), pg_types())
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}; CREATE SCHEMA {INFORMATION}")
        cursor.execute(f"SET search_path = '{SCHEMA}'")
        for name, stored in TYPES.items():
            cursor.execute(f"CREATE TYPE {name} AS {stored}")
        for name, columns in seen.of_pg.items():
            cursor.execute(f"CREATE TABLE {_place(name)} ({', '.join(map(_column, columns))})")
        for statement in LOOKED_UP:
            cursor.execute(statement)
        for statement in macros(role, seen.types, seen.relations(), seen.arguments()):
            cursor.execute(statement)
        for table, found in rows(seen).items():
            _insert(cursor, table, found)
        for statement in _DERIVED:
            cursor.execute(statement)


def _of_pg() -> dict[str, list[PgColumn]]:
    """PostgreSQL's relations, those of ``information_schema`` with its name."""
    found = {}
    for line in _FILE.read_text("utf-8").splitlines():
        name, _, columns = line.partition("\t")
        found[name] = [
            PgColumn(column, kind.removesuffix("!"), kind.endswith("!"))
            for column, _, kind in (one.partition(":") for one in columns.split())
        ]
    return found


def _table_macros(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Table macros one may call, each with its parameters."""
    found = connection.execute(
        "SELECT function_name, parameters FROM duckdb_functions()"
        " WHERE database_name = ? AND schema_name = ? AND function_type = 'table_macro'"
        " ORDER BY ALL",
        [DATABASE, PUBLIC],
    ).fetchall()
    return dict(found)


def _place(name: str) -> str:
    schema, _, table = name.rpartition(".")
    return f"{INFORMATION if schema else SCHEMA}.{table}"


def _column(column: PgColumn) -> str:
    element = column.kind.removesuffix("[]")
    stored = _STORED.get(element, "VARCHAR") + column.kind[len(element) :]
    zero = _ZERO.get(stored, "[]" if stored.endswith("[]") else "''")
    return f'"{column.name}" {stored} DEFAULT {zero if column.never_null else "NULL"}'


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, found: Rows) -> None:
    if found:
        cursor.register("incoming", pl.DataFrame(found, infer_schema_length=None).to_arrow())
        cursor.execute(f"INSERT INTO {table} BY NAME FROM incoming")
        cursor.unregister("incoming")


_DERIVED: Final = (
    """INSERT INTO pg_described SELECT objoid, objsubid, description FROM pg_description""",
    """INSERT INTO pg_defined SELECT c.oid, definition
        FROM pg_views JOIN pg_class AS c ON c.relname = viewname""",
    """INSERT INTO pg_information.schemata BY NAME
        SELECT current_database() AS catalog_name, nspname AS schema_name,
            current_database() AS schema_owner
        FROM pg_namespace""",
    """INSERT INTO pg_information.tables BY NAME
        SELECT current_database() AS table_catalog, nspname AS table_schema,
            relname AS table_name,
            CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'BASE TABLE' END AS table_type,
            'NO' AS is_insertable_into, 'NO' AS is_typed
        FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace""",
    """INSERT INTO pg_information.views BY NAME
        SELECT table_catalog, table_schema, table_name, definition AS view_definition,
            'NONE' AS check_option,
            'NO' AS is_updatable, 'NO' AS is_insertable_into, 'NO' AS is_trigger_updatable,
            'NO' AS is_trigger_deletable, 'NO' AS is_trigger_insertable_into
        FROM pg_information.tables
        LEFT JOIN pg_views ON schemaname = table_schema AND viewname = table_name
        WHERE table_type = 'VIEW'""",
    """INSERT INTO pg_information.columns BY NAME
        SELECT current_database() AS table_catalog, nspname AS table_schema,
            relname AS table_name, attname AS column_name,
            attnum::INTEGER AS ordinal_position,
            CASE WHEN attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
            CASE typcategory WHEN 'A' THEN 'ARRAY' ELSE format_type(t.oid, -1) END AS data_type,
            CASE typname WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64
                WHEN 'float4' THEN 24 WHEN 'float8' THEN 53
                WHEN 'numeric' THEN CASE WHEN atttypmod > 0 THEN (atttypmod - 4) >> 16 END
                END AS numeric_precision,
            CASE WHEN typname IN ('int2', 'int4', 'int8', 'float4', 'float8') THEN 2
                WHEN typname = 'numeric' THEN 10 END AS numeric_precision_radix,
            CASE WHEN typname IN ('int2', 'int4', 'int8') THEN 0
                WHEN typname = 'numeric' AND atttypmod > 0 THEN (atttypmod - 4) & 65535
                END AS numeric_scale,
            CASE WHEN typname IN ('timestamp', 'timestamptz', 'time', 'interval') THEN 6
                WHEN typname = 'date' THEN 0 END AS datetime_precision,
            current_database() AS udt_catalog, 'pg_catalog' AS udt_schema, typname AS udt_name,
            attnum::VARCHAR AS dtd_identifier, 'NO' AS is_self_referencing,
            'NO' AS is_identity, 'NO' AS identity_cycle, 'NEVER' AS is_generated,
            'NO' AS is_updatable
        FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
        JOIN pg_namespace AS n ON n.oid = relnamespace JOIN pg_type AS t ON t.oid = atttypid""",
    """INSERT INTO pg_information.routines BY NAME
        SELECT current_database() AS specific_catalog, nspname AS specific_schema,
            proname || '_' || p.oid AS specific_name, current_database() AS routine_catalog,
            nspname AS routine_schema, proname AS routine_name,
            'FUNCTION' AS routine_type, 'record' AS data_type, 'SQL' AS routine_body
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace""",
    """INSERT INTO pg_views BY NAME
        SELECT table_schema AS schemaname, table_name AS viewname,
            current_database() AS viewowner
        FROM pg_information.views WHERE table_schema != 'public'""",
    """INSERT INTO pg_tables BY NAME
        SELECT table_schema AS schemaname, table_name AS tablename,
            current_database() AS tableowner
        FROM pg_information.tables WHERE table_type = 'BASE TABLE'""",
    "INSERT INTO pg_timezone_names BY NAME FROM pg_timezone_names()",
)
"""What follows from the others."""
