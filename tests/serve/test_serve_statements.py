"""Which statements are let through, and with what SQLSTATE others are refused."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ServeError
from pipeline.serve import statements
from pipeline.serve.statements import Scope

ALL = Scope(macros=frozenset({"edges_between"}), confined=False)
SOME = ALL._replace(confined=True)
CONNECTION = duckdb.connect()


def _state(text: str, scope: Scope) -> str:
    """SQLSTATE of a refusal; empty if it is let through."""
    try:
        for one in statements.split(CONNECTION, text):
            statements.check(CONNECTION, one.query or text, scope)
    except ServeError as error:
        return error.sqlstate
    return ""


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "FROM v_edges",
        "TABLE public.v_edges",
        "VALUES (1), (2)",
        "WITH RECURSIVE a AS (SELECT 1 x UNION ALL SELECT x + 1 FROM a WHERE x < 9) FROM a",
        "SELECT * FROM crosspane.public.v_edges JOIN pg_catalog.pg_class ON true",
        "SELECT * FROM edges_between('a', 'b'), range(3), unnest([1])",
        "DESCRIBE v_edges",
        "SHOW TABLES",
        "SUMMARIZE v_edges",
        "SELECT '/etc/passwd', \"a.b\" FROM v_edges",
        "PIVOT v_edges ON tls IN (true, false) USING count(*)",
    ],
)
def test_what_reads_is_let_through(text: str):
    """Queries of any form, over what a role has, also for a role that is confined."""
    assert (_state(text, ALL), _state(text, SOME)) == ("", "")


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("INSERT INTO v_edges VALUES (1)", "25006"),
        ("UPDATE v_edges SET a = 1", "25006"),
        ("DELETE FROM v_edges", "25006"),
        ("MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE", "25006"),
        ("CREATE TABLE a (b INT)", "25006"),
        ("CREATE MACRO m() AS 1", "25006"),
        ("DROP VIEW v_edges", "25006"),
        ("ALTER TABLE a ADD COLUMN b INT", "25006"),
        ("COPY (SELECT 1) TO '/tmp/a'", "25006"),
        ("COPY a FROM '/etc/passwd'", "25006"),
        ("EXPORT DATABASE '/tmp/a'", "25006"),
        ("VACUUM", "25006"),
        ("SELECT 1; DROP TABLE a", "25006"),
        ("ATTACH '/tmp/a'", "42501"),
        ("DETACH lake", "42501"),
        ("USE lake", "42501"),
        ("SET memory_limit = '9GB'", "42501"),
        ("RESET memory_limit", "42501"),
        ("PRAGMA enable_profiling", "42501"),
        ("PRAGMA storage_info('flows')", "42501"),
        ("CALL ducklake_snapshots('lake')", "42501"),
        ("INSTALL httpfs", "42501"),
        ("LOAD httpfs", "42501"),
        ("CHECKPOINT", "42501"),
        ("PREPARE a AS SELECT 1", "42501"),
        ("EXECUTE a", "42501"),
        ("SELECT * FROM read_csv('/etc/passwd')", "42501"),
        ("SELECT * FROM READ_PARQUET('data/*.parquet')", "42501"),
        ("SELECT * FROM main.read_text('/etc/passwd')", "42501"),
        ("SELECT (SELECT content FROM read_blob('/etc/passwd'))", "42501"),
        ("SELECT 1 WHERE EXISTS (FROM glob('/*'))", "42501"),
        ("WITH a AS MATERIALIZED (FROM sniff_csv('/etc/passwd')) FROM a", "42501"),
        ("SELECT 1 UNION ALL FROM query('SELECT 1')", "42501"),
        ("FROM query_table('flows')", "42501"),
        ("FROM json_execute_serialized_sql('{}')", "42501"),
        ("FROM sqlite_scan('/tmp/catalog.sqlite', 'ducklake_table')", "42501"),
        ("FROM duckdb_settings()", "42501"),
        ("FROM duckdb_secrets()", "42501"),
        ("FROM '/etc/passwd'", "42501"),
        ("FROM 'a.parquet'", "42501"),
        ('SELECT * FROM "data/**/x.parquet"', "42501"),
        ("DESCRIBE 'a.csv'", "42501"),
        ("SUMMARIZE FROM 'a.csv'", "42501"),
        ("FROM __ducklake_metadata_lake.ducklake_table", "42501"),
        ("FROM temp.other.x", "42501"),
        ("SELECT nextval('a')", "42501"),
        ("SELECT json_serialize_plan('FROM lake.crosspane.flows')", "42501"),
        ("SELECT write_log('x')", "42501"),
        ("SELECT stats(client) FROM v_edges", "42501"),
        ("SELECT 1 ORDER BY sleep_ms(1000)", "42501"),
        ("EXPLAIN FROM read_csv('/etc/passwd')", "42501"),
        ("EXPLAIN (ANALYZE) FROM 'a.csv'", "42501"),
        ("EXPLAIN INSERT INTO a SELECT 1", "42501"),
        ("selec 1", "42601"),
        ("SELECT '", "42601"),
    ],
)
def test_what_does_more_is_refused(text: str, state: str):
    """Writing, settings, files, other catalogs, text run as SQL: wherever in a statement."""
    assert (_state(text, ALL), _state(text, SOME)) == (state, state)


@pytest.mark.parametrize(
    "text",
    [
        "FROM lake.crosspane.flows",
        "FROM LAKE.Crosspane.flows",
        'SELECT (SELECT count(*) FROM "lake"."crosspane"."flows")',
        "SELECT * FROM lake.crosspane.edges_between('a', 'b')",
        "DESCRIBE lake.crosspane.flows",
        "FROM lake.crosspane.flows AT (VERSION => 1)",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE FROM v_edges",
        "SELECT error(client) FROM v_edges",
        "FROM duckdb_tables()",
        "FROM duckdb_columns",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_table_info('flows')",
    ],
)
def test_a_confined_role_names_nothing_but_its_own(text: str):
    """The lake itself, plans, lists of all there is, an error of one's own: for who sees all."""
    assert (_state(text, ALL), _state(text, SOME)) == ("", "42501")


def test_comments_are_no_statement():
    """A client's ping is a comment, or a semicolon."""
    assert [len(statements.split(CONNECTION, text)) for text in ("", ";", "-- ping", "/**/;;")] == [
        0,
        0,
        0,
        0,
    ]


WORDS = st.lists(
    st.sampled_from(
        [
            "SELECT",
            "FROM",
            "WITH",
            "AS",
            "(",
            ")",
            ",",
            "*",
            ".",
            ";",
            "::",
            "'x'",
            '"lake"',
            "flows",
            "read_csv",
            "$1",
            "1",
            "-",
            "/*",
            "*/",
            "--",
            "UNION",
            "[",
            "]",
            "{",
        ]
    ),
    max_size=30,
).map(" ".join)


@given(st.text(max_size=200) | WORDS)
def test_any_text_is_let_through_or_refused(text: str):
    """Nothing a client can write ends in anything else, and nothing names the lake."""
    state = _state(text, SOME)
    assert state in {"", "42501", "42601", "25006"}
    if state == "":
        assert "read_csv (" not in text
