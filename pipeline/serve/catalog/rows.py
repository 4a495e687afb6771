"""
Rows of ``pg_catalog``: of PostgreSQL's own relations and types, and of what a role sees.

Numbers (oid) are given anew when a server starts, in the order of names; those
of PostgreSQL's types, and of the few catalogs that clients name by number, are
PostgreSQL's.

Before: functions.py. After: relations.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pipeline import views
from pipeline.serve.catalog.functions import HIDDEN, SETTINGS
from pipeline.serve.catalog.kinds import Type, modifier, number_of
from pipeline.serve.roles import DATABASE, PUBLIC

_PG_CATALOG, _PUBLIC, _INFORMATION_SCHEMA = 11, 2200, 13_000
_NAMESPACES: Final = {
    "pg_catalog": _PG_CATALOG,
    PUBLIC: _PUBLIC,
    "information_schema": _INFORMATION_SCHEMA,
}
_OWNER, _DATABASE_OID, _TABLESPACE, _SQL = 10, 16_384, 1663, 14
_FIRST_OF_PG, _FIRST_OF_OURS, _FIRST_FUNCTION = 12_000, 17_000, 22_000
_PG_CLASS, _PG_PROC, _TEXT, _RECORD = 1259, 1255, 25, 2249

Rows = list[dict[str, Any]]


class PgColumn(NamedTuple):
    """A column of a relation of PostgreSQL's."""

    name: str
    kind: str
    never_null: bool


class Seen(NamedTuple):
    """
    What there is to describe.

    Attributes
    ----------
    of_pg
        PostgreSQL's relations; those of ``information_schema`` with its name.
    ours
        The views a role sees: name to columns and DuckDB's types.
    functions
        Table macros a role may call: name to parameters.
    types
        PostgreSQL's types.
    """

    of_pg: Mapping[str, Sequence[PgColumn]]
    ours: Mapping[str, Mapping[str, str]]
    functions: Mapping[str, Sequence[str]]
    types: Sequence[Type]

    def relations(self) -> dict[str, int]:
        """Name to number, of all relations."""
        named = [name for name in self.of_pg if "." in name]
        numbers = {name: number for number, name in enumerate(self.of_pg, _FIRST_OF_PG)}
        numbers |= dict(zip(named, HIDDEN, strict=False))
        numbers |= {name: number for number, name in enumerate(self.ours, _FIRST_OF_OURS)}
        return numbers | {"pg_class": _PG_CLASS, "pg_proc": _PG_PROC}

    def arguments(self) -> dict[int, str]:
        """Number of each function to its parameters, as text."""
        parameters = map(", ".join, self.functions.values())
        return dict(enumerate(parameters, _FIRST_FUNCTION))


def rows(seen: Seen) -> dict[str, Rows]:
    """Rows by table of ``pg_catalog``; columns that are left out have their default."""
    return {
        **_cluster(),
        "pg_type": _pg_type(seen.types),
        "pg_class": _pg_class(seen),
        "pg_attribute": _pg_attribute(seen),
        "pg_description": _pg_description(seen),
        "pg_views": _pg_views(seen),
        "pg_proc": _pg_proc(seen),
    }


def _cluster() -> dict[str, Rows]:
    """What there is one of: database, owner, encoding, language; and the settings."""
    database = {
        "oid": _DATABASE_OID, "datname": DATABASE, "datdba": _OWNER, "encoding": 6,
        "datcollate": "C", "datctype": "C", "datallowconn": True, "datconnlimit": -1,
        "datlocprovider": "c", "dattablespace": _TABLESPACE,
    }  # fmt: skip
    owner = {"oid": _OWNER, "rolname": DATABASE, "rolcanlogin": True, "rolconnlimit": -1}
    language = {"oid": _SQL, "lanname": "sql", "lanowner": _OWNER, "lanpltrusted": True}
    return {
        "pg_database": [database],
        "pg_roles": [owner],
        "pg_authid": [owner],
        "pg_user": [{"usesysid": _OWNER, "usename": DATABASE}],
        "pg_tablespace": [{"oid": _TABLESPACE, "spcname": "pg_default", "spcowner": _OWNER}],
        "pg_namespace": [
            {"oid": number, "nspname": name, "nspowner": _OWNER}
            for name, number in _NAMESPACES.items()
        ],
        "pg_language": [language],
        "pg_am": [{"oid": 2, "amname": "heap", "amtype": "t"}],
        "pg_collation": [
            {"oid": number, "collname": name, "collnamespace": _PG_CATALOG, "collencoding": -1}
            for number, name in ((100, "default"), (950, "C"), (951, "POSIX"))
        ],
        "pg_settings": [
            {"name": name, "setting": value, "vartype": "string", "context": "internal"}
            for name, value in SETTINGS.items()
        ],
    }


def _pg_type(types: Iterable[Type]) -> Rows:
    same = {
        "typnamespace": _PG_CATALOG, "typowner": _OWNER, "typisdefined": True,
        "typdelim": ",", "typtypmod": -1,
    }  # fmt: skip
    return [
        {name: value for name, value in one._asdict().items() if name != "label"} | same
        for one in types
    ]


def _pg_class(seen: Seen) -> Rows:
    numbers = seen.relations()
    found = []
    for name, columns in (*seen.of_pg.items(), *seen.ours.items()):
        ours = name in seen.ours
        schema, _, table = name.rpartition(".")
        found.append(
            {
                "oid": numbers[name], "relname": table, "relowner": _OWNER,
                "relnamespace": _PUBLIC if ours else _NAMESPACES[schema or "pg_catalog"],
                "relkind": "v" if ours or schema else "r", "relpersistence": "p",
                "relnatts": len(columns), "reltuples": -1.0, "relhasrules": ours,
                "relreplident": "n", "relispopulated": True,
            }
        )  # fmt: skip
    return found


def _pg_attribute(seen: Seen) -> Rows:
    numbers = seen.relations()
    by_name = {one.typname: one for one in seen.types}
    by_number = {one.oid: one for one in seen.types}
    arrays = {one.oid: one.typarray for one in seen.types}
    found = []
    for relation, columns in seen.of_pg.items():
        for number, (name, kind, never_null) in enumerate(columns, 1):
            one = by_name.get(_array(kind), by_name["text"])
            found.append(_attribute(numbers[relation], number, name, one, never_null=never_null))
    for relation, kinds in seen.ours.items():
        for number, (name, kind) in enumerate(kinds.items(), 1):
            one = by_number[number_of(kind, arrays)]
            found.append(_attribute(numbers[relation], number, name, one, modifier(kind)))
    return found


def _attribute(
    relation: int, number: int, name: str, kind: Type, limit: int = -1, *, never_null: bool = False
) -> dict[str, Any]:
    return {
        "attrelid": relation, "attname": name, "attnum": number, "atttypid": kind.oid,
        "atttypmod": limit, "attnotnull": never_null, "attlen": kind.typlen,
        "attbyval": kind.typbyval, "attalign": kind.typalign, "attstorage": kind.typstorage,
        "attcollation": kind.typcollation, "attndims": int(kind.typcategory == "A"),
        "attcacheoff": -1, "attislocal": True, "attstattarget": -1,
    }  # fmt: skip


def _array(kind: str) -> str:
    return f"_{kind.removesuffix('[]')}" if kind.endswith("[]") else kind


def _pg_description(seen: Seen) -> Rows:
    """What views and their columns mean, as docs/reference/schema.md says it."""
    numbers = seen.relations()
    found = []
    for view in views.VIEWS:
        if view.name in seen.ours:
            texts = [view.meaning, *map(view.columns.get, seen.ours[view.name])]
            found += [
                {"objoid": numbers[view.name], "classoid": _PG_CLASS, "objsubid": number}
                | {"description": text}
                for number, text in enumerate(texts)
                if text
            ]
    return found


def _pg_views(seen: Seen) -> Rows:
    """Views with the query they are, in DuckDB's SQL."""
    queries = {view.name: f" {view.sql.strip()};" for view in views.VIEWS}
    return [
        {"schemaname": PUBLIC, "viewname": name, "viewowner": DATABASE}
        | {"definition": queries.get(name)}
        for name in seen.ours
    ]


def _pg_proc(seen: Seen) -> Rows:
    return [
        {
            "oid": number, "proname": name, "pronamespace": _PUBLIC, "proowner": _OWNER,
            "prolang": _SQL, "prokind": "f", "proretset": True, "provolatile": "s",
            "proparallel": "u", "prorettype": _RECORD, "pronargs": len(parameters),
            "proargtypes": [_TEXT] * len(parameters), "proargnames": list(parameters),
            "prosrc": "",
        }
        for number, (name, parameters) in enumerate(seen.functions.items(), _FIRST_FUNCTION)
    ]  # fmt: skip
