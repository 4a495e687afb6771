"""
What a role sees: the schema ``public`` of its own DuckDB.

Each table and view of the lake has a view of the same name there, and the
lake's macros are made there again. A role that is confined to clusters or
namespaces gets views that keep its rows only, and macros that stand on those;
what has no column that says whose a row is, it does not get at all. Since a
statement may name nothing outside that schema (`statements`), this is all such
a role can reach: nothing has to be added to its statements, or left out.

A condition of the client's may meet a row before the view drops it, for a
planner takes them in the order it finds cheapest; a division or a cast in it
that fails, or does not, would tell what the row says. So all that such a row
says, but its times, is null before anyone can look: ``CASE WHEN hers THEN
bytes END``.

A row belongs to a role if one of its sides does: its source or its
destination, its client or its server. So a confined role sees who calls its
services from elsewhere, and not what those do among themselves. A side whose
cluster or namespace is unknown is nobody's.

Before: config.py. After: engine.py.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import duckdb

from pipeline.config import RoleConfig
from pipeline.lake import SCHEMA
from pipeline.schema.literals import literal

DATABASE: Final = "crosspane"
"""The database clients are in; in memory, with nothing but views and macros."""
PUBLIC: Final = "public"

_INTERNAL: Final = ("log_offsets_", "lake_shape")
"""Tables of the job alone begin so."""
_SIDES: Final = (
    "", "src_", "dst_", "client_", "server_", "source_", "target_", "destination_",
)  # fmt: skip
"""How columns of a side begin; ``cluster``, ``namespace`` or ``entity`` follow."""
_OBSERVER: Final = "observer_"
"""The side of rows that have no other: what an agent tells of its own cluster."""
_FOR_ALL: Final = frozenset({"v_response_flags", "v_pipeline"})
"""About the job or about words, not about anyone's traffic: shown to confined roles too."""


def confined(role: RoleConfig) -> bool:
    """Whether the role sees less than everything."""
    return bool(role.clusters or role.namespaces)


def install(connection: duckdb.DuckDBPyConnection, role: RoleConfig) -> dict[str, dict[str, str]]:
    """
    Make the role's schema, and use it.

    Returns
    -------
    dict
        Name of each relation the role sees to its columns and their types.
    """
    connection.execute(f"ATTACH ':memory:' AS {DATABASE}")
    connection.execute(f"CREATE SCHEMA {DATABASE}.{PUBLIC}")
    connection.execute("BEGIN")  # else each statement reads the lake's catalog again
    seen = _rows_of_some(connection, role) if confined(role) else _whole(connection)
    connection.execute(f"USE {DATABASE}.{PUBLIC}")
    left, before = _macros(connection), None
    while left != before:  # those that others call come first, whichever they are
        before, left = left, [macro for macro in left if not _made(connection, macro)]
    connection.execute("COMMIT")
    return seen


def _whole(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Views of all there is; columns are looked at afterwards: those of views are known by then."""
    names = connection.execute(
        "SELECT name FROM (SELECT database_name, schema_name, table_name AS name"
        " FROM duckdb_tables() UNION ALL SELECT database_name, schema_name, view_name"
        " FROM duckdb_views()) WHERE database_name = 'lake' AND schema_name = ?",
        [SCHEMA],
    ).fetchall()
    for (name,) in names:
        if not name.startswith(_INTERNAL):
            _show(connection, name, "*", "")
    return _columns(connection, DATABASE, PUBLIC)


def _rows_of_some(
    connection: duckdb.DuckDBPyConnection, role: RoleConfig
) -> dict[str, dict[str, str]]:
    """Views of the rows that are a confined role's."""
    seen = {}
    for name, columns in _columns(connection, "lake", SCHEMA).items():
        kept, where = "*", ""
        if name not in _FOR_ALL:
            condition = rows_of(role, columns)
            if not condition:
                continue
            kept = ", ".join(_kept(column, kind, condition) for column, kind in columns.items())
            where = f"WHERE {condition}"
        _show(connection, name, kept, where)
        seen[name] = columns
    return seen


def _show(connection: duckdb.DuckDBPyConnection, name: str, kept: str, where: str) -> None:
    connection.execute(
        f"CREATE VIEW {DATABASE}.{PUBLIC}.{_quoted(name)} AS"  # noqa: S608 - names of the lake
        f" SELECT {kept} FROM lake.{SCHEMA}.{_quoted(name)} {where}"
    )


def _made(connection: duckdb.DuckDBPyConnection, macro: str) -> bool:
    """Make a macro; not yet, or never, if it stands on what is not there."""
    try:
        connection.execute(macro)
    except duckdb.CatalogException:
        return False
    return True


def _macros(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Statements that make the lake's macros again."""
    rows = connection.execute(
        "SELECT function_name, parameters, function_type = 'table_macro', macro_definition"
        " FROM duckdb_functions() WHERE database_name = 'lake' AND schema_name = ?"
        " ORDER BY ALL",
        [SCHEMA],
    ).fetchall()
    return [
        f"CREATE MACRO {_quoted(name)}({', '.join(map(_quoted, parameters))})"
        f" AS {'TABLE' if table else ''} {definition}"
        for name, parameters, table, definition in rows
    ]


def _kept(column: str, kind: str, condition: str) -> str:
    """A column of the role's rows; times stay what they are, for files are left out by them."""
    name = _quoted(column)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return name
    return f"CASE WHEN {condition} THEN {name} END AS {name}"


def rows_of(role: RoleConfig, columns: Mapping[str, str]) -> str:
    """
    Condition on the rows of a confined role; empty if nothing says whose a row is.

    >>> rows_of(RoleConfig(clusters=("east",)), {"cluster": "VARCHAR", "bytes": "BIGINT"})
    "(cluster IN ('east'))"
    >>> rows_of(RoleConfig(clusters=("east",)), {"bytes": "BIGINT"})
    ''
    """
    if "clusters" in columns and columns["clusters"].endswith("[]") and not role.namespaces:
        names = ", ".join(map(literal, role.clusters))
        return f"list_has_any(clusters, [{names}])"
    sides = [side for side in _SIDES if {f"{side}cluster", f"{side}entity"} & columns.keys()]
    if not sides and f"{_OBSERVER}cluster" in columns:
        sides = [_OBSERVER]
    conditions = [found for side in sides if (found := _side(role, side, columns))]
    return f"({' OR '.join(conditions)})" if conditions else ""


def _side(role: RoleConfig, side: str, columns: Mapping[str, str]) -> str:
    """Condition that one side is the role's; empty if it cannot be told."""
    name = side.rstrip("_")
    entity = next((one for one in (f"{side}entity", name) if one and one in columns), "")
    conditions = []
    for part, column, names in (
        (1, f"{side}cluster", role.clusters),
        (2, f"{side}namespace", role.namespaces),
    ):
        if not names:
            continue
        if column in columns:
            conditions.append(_among(column, names))
        elif entity:  # cluster/namespace/service
            conditions.append(_among(f"split_part({entity}, '/', {part})", names))
        else:
            return ""
    return " AND ".join(conditions)


def _among(expression: str, names: Iterable[str]) -> str:
    return f"{expression} IN ({', '.join(map(literal, names))})"


def _columns(
    connection: duckdb.DuckDBPyConnection, database: str, schema: str
) -> dict[str, dict[str, str]]:
    """Name of each relation of a schema to its columns and their types."""
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns()"
        " WHERE database_name = ? AND schema_name = ? ORDER BY table_name, column_index",
        [database, schema],
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        if not table.startswith(_INTERNAL):
            found.setdefault(table, {})[column] = kind
    return found


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
