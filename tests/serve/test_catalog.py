"""The catalog itself: beside a PostgreSQL's, and beside how values are really sent."""

from collections.abc import Iterator

import psycopg
import pytest
from serving import Served

from pipeline.serve.catalog.kinds import modifier, number_of
from pipeline.serve.engine import Column
from pipeline.serve.pgwire.types import sent

_GATEWAYS = "Which addresses lead into another network, as each network that observes sees them?"


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[psycopg.Connection]:
    """One connection for this module."""
    with served.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def theirs(postgres: str) -> Iterator[psycopg.Connection]:
    """One to PostgreSQL, of the version that is imitated."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        if connection.info.server_version // 10_000 != 15:
            pytest.skip("the catalog is that of PostgreSQL 15: apt-get install postgresql-15")
        yield connection


def test_types_are_postgresqls(client: psycopg.Connection, theirs: psycopg.Connection):
    """Every type that is listed, as PostgreSQL lists it."""
    query = """SELECT oid::int8, typname, typlen, typbyval, typtype, typcategory, typispreferred,
            typelem::int8, typarray::int8, typinput::text, typalign, typstorage,
            typcollation::int8, typdelim, format_type(oid, NULL)
        FROM pg_catalog.pg_type ORDER BY oid"""
    ours = client.execute(query).fetchall()
    theirs_by_number = {row[0]: row for row in theirs.execute(query)}
    assert len(ours) > 100
    assert ours == [theirs_by_number[row[0]] for row in ours]


def test_relations_are_postgresqls(client: psycopg.Connection, theirs: psycopg.Connection):
    """Every relation of both schemas, with the names of its columns in their order."""
    query = """SELECT table_schema || '.' || table_name, column_name, ordinal_position
        FROM information_schema.columns
        WHERE table_schema IN ('pg_catalog', 'information_schema') ORDER BY 1, 3"""
    ours, others = ({tuple(row) for row in one.execute(query)} for one in (client, theirs))
    assert len(ours) > 2_000
    assert ours == others


def test_every_relation_can_be_read(client: psycopg.Connection):
    """Also those that have no rows here."""
    names = client.execute(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables"
        " WHERE table_schema != 'public' ORDER BY 1"
    ).fetchall()
    counts = ", ".join(f"(SELECT count(*) FROM {name})" for (name,) in names)
    row = client.execute(f"SELECT {counts}").fetchone()
    assert row is not None
    assert len(row) == len(names) > 200


def test_columns_are_described_as_they_are_sent(served: Served, client: psycopg.Connection):
    """Number and modifier of each column's type in pg_attribute, and in a result's description."""
    arrays = dict(client.execute("SELECT oid, typarray FROM pg_type").fetchall())
    session = served.engine.open("reader")
    try:
        kinds = {kind for columns in session.relations.values() for kind in columns.values()}
    finally:
        session.close()
    assert len(kinds) > 25
    for kind in kinds:
        column = sent(Column("", kind))
        assert (number_of(kind, arrays), modifier(kind)) == (column.oid, column.modifier), kind


def test_names_become_numbers_and_names_again(client: psycopg.Connection):
    """Of relations and types, with a schema or in another case; null for what is not there."""
    query = """SELECT 'pg_class'::regclass::oid, 'pg_catalog.pg_class'::regclass::text,
        'V_EDGES'::regclass = 'public."v_edges"'::regclass, to_regclass('nothing'),
        'int4'::regtype::oid, 'timestamp with time zone'::regtype::oid, 1009::regtype::text,
        '_text'::regtype::text, to_regtype('nothing')"""
    assert client.execute(query).fetchone() == (
        *(1259, "pg_class", True, None),
        *(23, 1184, "text[]", "text[]", None),
    )


def test_functions_take_what_their_caller_means(client: psycopg.Connection):
    """A column that is named alone is the caller's, also where a function reads a catalog itself."""
    query = """SELECT relname, obj_description(oid), col_description(oid, 1),
        pg_get_viewdef(oid) LIKE '%FROM gateways%', format_type(reltype, -1)
        FROM pg_class WHERE relname IN ('v_gateways', 'pg_enum') ORDER BY relname DESC"""
    assert client.execute(query).fetchall() == [
        ("v_gateways", _GATEWAYS, "network it is seen from", True, "???"),
        ("pg_enum", None, None, None, "???"),
    ]


def test_settings_are_asked_for_every_way(client: psycopg.Connection):
    """SHOW, current_setting and pg_settings say the same, in PostgreSQL's spelling."""
    cursor = client.execute("SHOW datestyle")
    assert cursor.description is not None
    assert (cursor.description[0].name, cursor.fetchone()) == ("DateStyle", ("ISO, MDY",))
    row = client.execute(
        "SELECT current_setting('DATESTYLE'), current_setting('nothing', true),"
        " (SELECT setting FROM pg_settings WHERE name = 'DateStyle')"
    ).fetchone()
    assert row == ("ISO, MDY", None, "ISO, MDY")


def test_who_is_connected(client: psycopg.Connection):
    """Database, schema and role, with and without brackets."""
    query = """SELECT current_database(), current_catalog, current_schema, current_schema(),
        current_user, session_user, user, current_role, current_schemas(false)"""
    assert client.execute(query).fetchone() == (
        *("crosspane", "crosspane", "public", "public"),
        *("reader", "reader", "reader", "reader", ["public"]),
    )


def test_duckdbs_own_functions_stay(client: psycopg.Connection):
    """A macro hides only what PostgreSQL says of itself: people write DuckDB's SQL."""
    hidden = client.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions()"
        " WHERE database_name = 'memory' AND schema_name = 'pg' AND function_name IN"
        " (SELECT function_name FROM duckdb_functions() WHERE database_name = 'system')"
    ).fetchall()
    starts = ("pg_", "has_", "inet_", "current_", "session_user", "user", "version", "format_type")
    others = {name for (name,) in hidden if not name.startswith(starts)}
    assert others == {
        *("col_description", "obj_description", "shobj_description", "txid_current"),
        "to_timestamp",  # with a format, besides DuckDB's own
    }
    assert client.execute("SELECT age(DATE '2026-11-20', DATE '2026-11-19')::TEXT").fetchone() == (
        "1 day",
    )
