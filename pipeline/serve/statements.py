"""
Which statements are let through: those that read, and name what is theirs.

A statement is read by DuckDB's own parser, twice. It says of what kind the
statement is, and it writes the tree down as JSON, where every relation and
function stands with its catalog and schema. Kinds, schemas and functions that
may be used are listed here; what is not listed is refused. What a client says
is looked at, and what our views and macros say is not: they may use more.

Before: engine.py. After: DuckDB.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import duckdb
from duckdb import StatementType

from pipeline.errors import ServeError
from pipeline.lake import SCHEMA
from pipeline.serve import catalog
from pipeline.serve.roles import DATABASE, PUBLIC

REFUSED: Final = "42501"
"""insufficient_privilege: this server reads, and a role reads what is its own."""
READ_ONLY: Final = "25006"
"""read_only_sql_transaction: a statement that would write."""
SYNTAX: Final = "42601"

_SCHEMAS: Final = frozenset({
    "", PUBLIC, "main", "pg_catalog", "information_schema",
    catalog.SCHEMA.rpartition(".")[2], *catalog.SCHEMAS,
})  # fmt: skip
_CATALOGS: Final = frozenset({"", DATABASE, "memory", "system"})
_TABLE_FUNCTIONS: Final = frozenset({
    "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions",
    "duckdb_indexes", "duckdb_keywords", "duckdb_schemas", "duckdb_sequences", "duckdb_tables",
    "duckdb_types", "duckdb_views", "generate_series", "json_each", "json_tree",
    "pg_timezone_names", "pragma_table_info", "pragma_version", "range", "repeat", "repeat_row",
    "unnest",
})  # fmt: skip
"""Table functions of DuckDB's own a statement may use: none reads a file or runs text as SQL."""
_FUNCTIONS_REFUSED: Final = frozenset({
    "currval", "json_serialize_plan", "nextval", "sleep_ms", "stats", "write_log",
})  # fmt: skip
"""Functions with effects, or that plan text as SQL, or tell of rows that a view keeps back."""
_INVENTORIES: Final = ("duckdb_", "pragma_", "sqlite_")
"""DuckDB's lists of all there is, with their sizes: not for confined roles."""
_LEAKING: Final = frozenset({"error"})
"""What a confined role may not use: it could say what a row is before a view drops it."""
_WRITING: Final = frozenset({
    StatementType.INSERT, StatementType.UPDATE, StatementType.DELETE, StatementType.CREATE,
    StatementType.DROP, StatementType.ALTER, StatementType.COPY, StatementType.MERGE_INTO,
    StatementType.CREATE_FUNC, StatementType.VACUUM, StatementType.EXPORT,
})  # fmt: skip
_EXPLAIN: Final = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*EXPLAIN\s*(?:ANALYZE\b\s*)?(?:\(\s*(?:ANALYZE|FORMAT)\b[^)]*\)\s*)?",
    re.IGNORECASE | re.DOTALL,
)
_PATH: Final = re.compile(r"[/\\*?:.\[\]{}]")
"""A table's name with one of these would be read as a file's."""


class Scope(NamedTuple):
    """What a role may name besides DuckDB's own: our macros, and the lake unless it is confined."""

    macros: frozenset[str]
    confined: bool


def split(connection: duckdb.DuckDBPyConnection, sql: str) -> list[duckdb.Statement]:
    """
    Statements of a text; comments and semicolons alone are none.

    Raises
    ------
    ServeError
        42601 if it is no SQL.
    """
    try:
        return connection.extract_statements(sql)
    except duckdb.Error as error:
        raise ServeError(SYNTAX, str(error)) from error


def check(connection: duckdb.DuckDBPyConnection, text: str, scope: Scope) -> Any:
    """
    Refuse a statement that does more than read what is in its scope.

    Returns
    -------
    dict
        The statement's tree, as ``json_serialize_sql`` has it.

    Raises
    ------
    ServeError
        42501 for anything that is not its to do or to see, 25006 for what
        would write, 42601 if it is not one statement.
    """
    found = split(connection, text)
    if any(one.type in _WRITING for one in found):
        kind = next(one.type for one in found if one.type in _WRITING).name
        raise ServeError(READ_ONLY, f"{kind} is refused: the lake is only read here")
    if len(found) != 1:
        raise ServeError(SYNTAX, f"one statement at a time here, not {len(found)}")
    statement = found[0]
    query = statement.query
    if statement.type == StatementType.EXPLAIN:
        if scope.confined:  # plans count rows that the role does not see
            raise ServeError(REFUSED, "EXPLAIN is refused to a role that does not see all rows")
        query = _EXPLAIN.sub("", query, count=1)
    elif statement.type != StatementType.SELECT:
        raise ServeError(REFUSED, f"{statement.type.name} is refused: only queries are answered")
    tree = _tree(connection, query)
    for node in every_node(tree):
        _check_node(node, scope)
    return tree


def _tree(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    try:
        rows = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    except duckdb.Error as error:
        raise ServeError(REFUSED, f"a statement that cannot be looked through: {error}") from error
    tree = json.loads(rows[0][0])
    if tree["error"] or len(tree["statements"]) != 1:
        reason = tree.get("error_message", "it is not one statement")
        raise ServeError(REFUSED, f"a statement that cannot be looked through: {reason}")
    return tree


def every_node(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree, without recursion: a statement may be nested deeply."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)


def _check_node(node: dict[str, Any], scope: Scope) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        _check_table_function(node["function"], scope)
    elif kind == "BASE_TABLE":
        _check_place(node["catalog_name"], node["schema_name"], node["table_name"], scope)
        name = node["table_name"].lower()
        if _PATH.search(name) or (scope.confined and name.startswith(_INVENTORIES)):
            raise ServeError(
                REFUSED, f"no file, and no list of all there is, is read here: {name!r}"
            )
    elif kind == "SHOW_REF":
        _check_place(node["catalog_name"], node["schema_name"], "", scope)
    elif "function_name" in node:
        _check_place(node.get("catalog", ""), node.get("schema", ""), node["function_name"], scope)
        name = node["function_name"].lower()
        if name in _FUNCTIONS_REFUSED or (scope.confined and name in _LEAKING):
            raise ServeError(REFUSED, f"function {name}() is refused here")


def _check_table_function(function: dict[str, Any], scope: Scope) -> None:
    name = str(function.get("function_name", "")).lower()
    listed = name in _TABLE_FUNCTIONS and not (scope.confined and name.startswith(_INVENTORIES))
    if not listed and name not in scope.macros:
        raise ServeError(REFUSED, f"table function {name}() is refused here")


def _check_place(database: str, schema: str, name: str, scope: Scope) -> None:
    database, schema = database.lower(), schema.lower()
    ours = database in _CATALOGS and schema in _SCHEMAS
    whole = not scope.confined and (database, schema) == ("lake", SCHEMA)
    if not ours and not whole:
        place = ".".join(filter(None, (database, schema, name)))
        raise ServeError(REFUSED, f"permission denied for {place}: what can be read is in {PUBLIC}")
