"""What PostgreSQL's words become, and that DuckDB's are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.serve import catalog
from pipeline.serve.catalog.rewrite import _Text

CASES = {
    "a relation of pg_catalog": (
        'SELECT c.relname FROM "pg_catalog".pg_class c WHERE pg_catalog.pg_class.oid = 1',
        "SELECT c.relname FROM pg_class c WHERE pg_class.oid = 1",
    ),
    "information_schema": (
        "SELECT tables.table_name FROM information_schema.tables",
        "SELECT tables.table_name FROM pg_information.tables",
    ),
    "a function of information_schema": (
        "SELECT (information_schema._pg_expandarray(i.indkey)).n FROM pg_catalog.pg_index i",
        "SELECT (_pg_expandarray(i.indkey)).n FROM pg_index i",
    ),
    "an operator's schema, and a pattern that finds a part": (
        "SELECT 1 FROM pg_class WHERE relname OPERATOR(pg_catalog.~) '^v_' COLLATE pg_catalog.default",
        "SELECT 1 FROM pg_class WHERE relname ~ '(?s).*(?:^v_).*'",
    ),
    "a pattern without case": (
        "SELECT 1 FROM pg_class WHERE relname !~* 'V|w'",
        "SELECT 1 FROM pg_class WHERE relname !~ '(?si).*(?:V|w).*'",
    ),
    "a name cast to a number": ("SELECT 'v_edges'::regclass", "SELECT to_regclass('v_edges')"),
    "and to text again": (
        "SELECT pg_catalog.quote_ident(t.oid::pg_catalog.regtype::text)",
        "SELECT quote_ident(regtype_text(t.oid)::text)",
    ),
    "a call cast": (
        "SELECT pg_catalog.to_char(a.b(1), ')')::regclass::oid",
        "SELECT to_regclass(to_char(a.b(1), ')'))::pg_oid",
    ),
    "CAST within CAST": (
        "SELECT CAST(CAST($1 AS REGCLASS) AS TEXT), CAST($2 AS REGCLASS)",
        "SELECT CAST(regclass_text($1) AS TEXT), to_regclass($2)",
    ),
    "a typed literal": ("SELECT regtype 'int4'", "SELECT to_regtype('int4')"),
    "SHOW": (
        "SHOW search_path; show transaction isolation level",
        (
            "SELECT current_setting('search_path') AS \"search_path\";"
            " SELECT current_setting('transaction_isolation') AS \"transaction_isolation\""
        ),
    ),
    "arrays as text": (
        "SELECT x = ANY ('{r,\"v w\",NULL}'), '{1,2}'::int[], '{}'::text[]",
        "SELECT x = ANY (['r', 'v w', NULL]), ['1', '2']::int[], []::text[]",
    ),
    "functions among tables": (
        "SELECT s[i] FROM pg_class, generate_series(1, 2) AS i, string_to_array('a,b', ',') s",
        (
            "SELECT s[i] FROM pg_class, generate_series(1, 2) AS i(i),"
            " (SELECT string_to_array('a,b', ',') AS s) s"
        ),
    ),
    "now": ("SELECT 'now'::timestamptz", "SELECT now()::timestamptz"),
}


@pytest.mark.parametrize("case", CASES)
def test_words_of_postgresql(case: str):
    """Each is said in DuckDB's words."""
    said, meant = CASES[case]
    assert " ".join(catalog.rewrite(said).split()) == " ".join(meant.split())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT service ~ 'cart', count(*)::INT FROM v_edges -- pg_catalog.x, 'a'::regclass",
        "SELECT 'pg_catalog.pg_class', $$information_schema.tables$$ FROM v_edges",
        'SELECT 1 /* SHOW search_path */ AS "pg_catalog.pg_class"',
        "SHOW TABLES",
        "SELECT s FROM generate_series(1, 3) AS s",
    ],
)
def test_words_of_duckdb_stay(sql: str):
    """What is a comment, a literal, a name or DuckDB's own is not touched."""
    assert catalog.rewrite(sql) == sql


@given(st.text(max_size=300))
def test_tokens_are_the_text(sql: str):
    """No character is lost or made, whatever a client sends."""
    assert _Text(sql).joined() == sql


@given(
    st.lists(
        st.sampled_from([
            *"()[],;.$'\"", " ", "::", "regclass", "pg_catalog", "information_schema", "CAST",
            "AS", "OPERATOR", "~", "'^a'", "'{a}'", "ANY", "SHOW", "all", "FROM", "JOIN",
            "generate_series", "unnest", "s", "COLLATE", "default", "tableoid", "text", "$1",
            "--", "/*", "*/", "E'", "format", "'now'", "json_build_object",
        ]),
        max_size=40,
    )
)  # fmt: skip
def test_no_text_is_too_broken(words: list[str]):
    """A text that is no SQL comes out as some text, for DuckDB to refuse."""
    assert isinstance(catalog.rewrite("".join(words)), str)
    assert isinstance(catalog.rewrite(" ".join(words)), str)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(('a')::regclass)," * 4_000 + "1 FROM pg_class",
        "SELECT " + "(" * 8_000 + "'a'" + ")::regclass" * 8_000,
        "SELECT 'a'" + "::regclass" * 8_000,
        "SELECT 'a'" + "::text" * 8_000 + "::regclass",
        "SELECT * FROM pg_class" + ", unnest(x) s" * 4_000,
        "unnest(" * 8_000 + "FROM pg_class",
        "pg_class " + " ".join(f"$a{number}$" for number in range(8_000)),
        "pg_class " + "/*" * 20_000 + "E'" * 20_000,
        "pg_class " + "E'\\" * 20_000,
    ],
)
def test_long_texts_take_no_longer_than_they_are_long(sql: str):
    """Texts as long as a message may be: no recursion, and nothing looks back over all of it."""
    assert "::regclass" not in catalog.rewrite(sql)
