"""What Grafana's PostgreSQL data source asks besides panels: pings, versions, tables, columns."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq
from serving import TYPES, Served

from pipeline import views

SEARCH_PATH = """quote_ident(table_schema) IN (
  SELECT
    CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
  FROM
    generate_series(
      array_lower(string_to_array(current_setting('search_path'),','),1),
      array_upper(string_to_array(current_setting('search_path'),','),1)
    ) as i,
    string_to_array(current_setting('search_path'),',') s
)"""
"""How its builder finds what is in the search path, whatever table it asks about."""


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[psycopg.Connection]:
    """One connection, which asks as pgx does: simple protocol, results as text."""
    with served.connect() as connection:
        yield connection


def _rows(client: psycopg.Connection, query: str) -> list[tuple[bytes | None, ...]]:
    result = client.pgconn.exec_(query.encode())
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message.decode()
    assert result.command_status is not None
    assert result.command_status.startswith(b"SELECT")  # else a panel stays empty
    return [
        tuple(result.get_value(row, column) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]


@pytest.mark.parametrize("ping", [b"-- ping", b";", b"", b" "])
def test_pings(client: psycopg.Connection, ping: bytes):
    """Of pgx and of lib/pq: an empty query, answered as one."""
    assert client.pgconn.exec_(ping).status == pq.ExecStatus.EMPTY_QUERY


def test_versions(client: psycopg.Connection):
    """Of the server, as the configuration page asks, and of TimescaleDB: there is none."""
    version = "SELECT current_setting('server_version_num')::int/100 as version"
    assert _rows(client, version) == [(b"1500",)]
    assert _rows(client, "SELECT extversion FROM pg_extension WHERE extname='timescaledb'") == []


def test_tables_of_the_builder(client: psycopg.Connection):
    """All stable views, without a schema's name, since that is in the search path."""
    query = f"""SELECT CASE WHEN {SEARCH_PATH} THEN quote_ident(table_name)
        ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
        FROM information_schema.tables
        WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog',
            '_timescaledb_cache', '_timescaledb_catalog', '_timescaledb_internal')
        ORDER BY CASE WHEN {SEARCH_PATH} THEN 0 ELSE 1 END, 1"""
    names = sorted([*(view.name for view in views.VIEWS), "v_types"])
    assert _rows(client, query) == [(name.encode(),) for name in names]


def test_columns_of_the_builder(client: psycopg.Connection):
    """Name and type, by the table's name with or without its schema."""
    for table in ("v_types", "public.v_types", '"public"."v_types"'):
        query = f"""SELECT quote_ident(column_name) AS "column", data_type AS "type"
            FROM information_schema.columns
            WHERE CASE WHEN array_length(parse_ident('{table}'),1) = 2
                THEN quote_ident(table_schema) = (parse_ident('{table}'))[1]
                    AND quote_ident(table_name) = (parse_ident('{table}'))[2]
                ELSE quote_ident(table_name) = '{table}' AND {SEARCH_PATH} END"""
        kinds = [
            "ARRAY" if one.kind.endswith("[]") else one.kind.partition("(")[0] for one in TYPES
        ]
        assert _rows(client, query) == [
            (one.name.encode(), kind.encode()) for one, kind in zip(TYPES, kinds, strict=True)
        ]


def test_schema_resources(client: psycopg.Connection):
    """Extended protocol with text parameters; no type is null, which Go cannot scan."""
    query = """SELECT column_name, data_type, udt_name, numeric_precision, numeric_scale
        FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2
        ORDER BY ordinal_position"""
    result = client.pgconn.exec_params(query.encode(), [b"public", b"v_types"])
    assert result.status == pq.ExecStatus.TUPLES_OK
    found = {
        result.get_value(row, 0): [result.get_value(row, column) for column in range(1, 5)]
        for row in range(result.ntuples)
    }
    assert found[b"seen_time"] == [b"timestamp with time zone", b"timestamptz", None, None]
    assert found[b"big"] == [b"bigint", b"int8", b"64", b"0"]
    assert found[b"confidence"] == [b"numeric", b"numeric", b"2", b"1"]
    assert found[b"seen_by"] == [b"ARRAY", b"_text", None, None]
    assert len(found) == len(TYPES)
    schemas = client.pgconn.exec_params(
        b"SELECT schema_name FROM information_schema.schemata WHERE schema_name = $1", [b"public"]
    )
    assert schemas.get_value(0, 0) == b"public"


def test_values_of_a_column(client: psycopg.Connection):
    """As the builder offers them to filter by."""
    query = 'SELECT DISTINCT "name"::text FROM public.v_types WHERE "name" IS NOT NULL LIMIT 100'
    assert _rows(client, query) == [("Zürich ☃ 'quoted' \\ \"".encode(),)]


def test_a_panel_that_sets_something_first(client: psycopg.Connection):
    """``SET x; SELECT y`` is one text of a panel; its last result has the rows."""
    assert _rows(client, "SET statement_timeout = 30000; SELECT 1") == [(b"1",)]
    assert _rows(client, "RESET ALL; WITH a AS (SELECT 2 AS b) FROM a") == [(b"2",)]


def test_macros_expanded_as_grafana_does(client: psycopg.Connection):
    """Time filters are literals of text; groups are buckets of TimescaleDB's, or seconds."""
    query = """SELECT time_bucket('300.000s',seen_time) AS "time", count(*) FROM v_types
        WHERE seen_time BETWEEN '2026-11-20T01:00:00Z' AND '2026-11-20T02:00:00.123456789Z'
        GROUP BY 1 ORDER BY 1"""
    assert _rows(client, query) == [(b"2026-11-20 01:00:00+00", b"1")]
    query = """SELECT floor(extract(epoch from seen_time)/300)*300 AS "time" FROM v_types
        WHERE extract(epoch from seen_time) >= 1700000000"""
    assert _rows(client, query) == [(b"1795136400",)]
