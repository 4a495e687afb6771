"""Who may not come, and what may not be done: each with the state by which a program tells."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from authority import Authority
from serving import LONG, Served

from pipeline.serve.pgwire.server import Server


def _refused(served: Served, query: str, role: str = "reader") -> str | None:
    with served.connect(role) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(query)
    return caught.value.sqlstate


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[psycopg.Connection]:
    """One connection for this module; it goes on after each refusal."""
    with served.connect() as connection:
        yield connection


WRITES = {
    "INSERT INTO v_types VALUES (1)": "25006",
    "UPDATE v_types SET number = 2": "25006",
    "DELETE FROM v_types": "25006",
    "TRUNCATE v_types": "25006",
    "CREATE TABLE mine (a INT)": "25006",
    "CREATE TEMP TABLE mine AS SELECT 1": "25006",
    "CREATE OR REPLACE VIEW v_types AS SELECT 1": "25006",
    "CREATE MACRO version() AS 'mine'": "25006",
    "DROP VIEW v_types": "25006",
    "ALTER TABLE v_types ADD COLUMN a INT": "25006",
    "SELECT 1 INTO mine": None,
    "MERGE INTO v_types USING v_edges ON true WHEN MATCHED THEN DELETE": "25006",
    "WITH a AS (DELETE FROM v_types RETURNING *) SELECT * FROM a": None,
    "VACUUM": None,
    "GRANT SELECT ON v_types TO PUBLIC": None,
    "CALL lake.set_option('data_inlining_row_limit', 0)": "42501",
}
"""Statements that would write, and their state; None: any that says no."""
FILES = (
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_parquet('{lake}/data/**')",
    "SELECT * FROM parquet_scan('{lake}/data/**')",
    "SELECT * FROM parquet_metadata('{lake}/data/x.parquet')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'x.csv'",
    'SELECT * FROM "/etc/hosts.csv"',
    "SELECT * FROM 'https://example.invalid/x.parquet'",
    "SELECT * FROM sqlite_scan('{lake}/catalog.sqlite', 'ducklake_table')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('v_types')",
    "SELECT getenv('HOME')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('a', 's3')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH a AS (FROM read_text('/etc/passwd')) SELECT * FROM a",
    "SELECT * FROM v_types WHERE name IN (SELECT content FROM read_text('/etc/passwd'))",
    "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')",
    "SELECT read_text('/etc/passwd')",
)
OUTSIDE = (
    "COPY v_types TO '/tmp/crosspane-refused.csv'",
    "COPY (SELECT 1) TO '/tmp/crosspane-refused.csv'",
    "COPY v_types FROM '/etc/passwd'",
    "COPY v_types TO STDOUT",
    "EXPORT DATABASE '/tmp/crosspane-refused'",
    "IMPORT DATABASE '/tmp/crosspane-refused'",
    "ATTACH '/tmp/crosspane-refused.db' AS mine",
    "ATTACH ':memory:' AS mine",
    "DETACH lake",
    "USE lake.crosspane",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '/tmp/x.duckdb_extension'",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '100GB'",
    "SET threads = 64",
    "SET VARIABLE x = 1",
    "SET lock_configuration = false",
    "PREPARE p AS SELECT * FROM read_text('/etc/passwd')",
    "CHECKPOINT",
    "CALL pragma_version()",
    "DO $$ BEGIN END $$",
    "CREATE SECRET s (TYPE s3)",
)


def _state(client: psycopg.Connection, query: str) -> str | None:
    with pytest.raises(psycopg.Error) as caught:
        client.execute(query)
    assert client.execute("SELECT 1").fetchone() == (1,)
    return caught.value.sqlstate


@pytest.mark.parametrize("query", WRITES)
def test_nothing_is_written(client: psycopg.Connection, query: str):
    """A statement that would write is refused before it is run, and said to be."""
    state = _state(client, query)
    assert state == WRITES[query] or (WRITES[query] is None and state)


@pytest.mark.parametrize("query", FILES)
def test_no_file_is_read(client: psycopg.Connection, served: Served, query: str):
    """Neither the lake's own files nor others, by any function, path or way round."""
    lake = Path(served.certificate).parent / "lake"
    assert _state(client, query.replace("{lake}", str(lake))) in {
        *("42501", "42P01", "42883", "42804")
    }


@pytest.mark.parametrize("query", OUTSIDE)
def test_nothing_outside_is_reached_or_changed(client: psycopg.Connection, query: str):
    """No copies, databases, extensions, pragmas or settings of the server's."""
    assert _state(client, query) in {"42501", "25006", "0A000", "42704", "42601", "22023"}
    assert not [*Path("/tmp").glob("crosspane-refused*")]  # noqa: S108 - where it would be


def test_files_are_refused_to_prepared_statements(client: psycopg.Connection):
    """Also where a path is a parameter, in the extended protocol."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.execute("SELECT * FROM read_text(%s)", ["/etc/passwd"])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.execute("SELECT * FROM read_csv('/etc/passwd')", binary=True, prepare=True)


def test_a_wrong_password(served: Served):
    """Said alike whether there is such a role or not; that it is 28P01, Java and Node see."""
    for role in ("reader", "nobody_of_that_name"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            served.connect(role, password="wrong")  # noqa: S106 - no secret


@pytest.fixture(scope="module")
def only_tls(served: Served) -> Iterator[Served]:
    """The same server, where TLS is required."""
    config = msgspec.structs.replace(served.config, require_tls=True)
    server = Server(served.engine, config, "127.0.0.1:0")
    yield served._replace(port=server.address[1])
    server.close()


def test_plaintext_where_tls_is_required(only_tls: Served):
    """Refused before a password is asked for; with TLS, and its certificate checked, let in."""
    with pytest.raises(psycopg.OperationalError, match="TLS|SSL"):
        only_tls.connect(sslmode="disable")
    with only_tls.connect(
        sslmode="verify-full",
        sslrootcert=only_tls.certificate,
        host="localhost",
        hostaddr="127.0.0.1",
    ) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_certificate_of_another_authority(served: Served, tmp_path: Path):
    """The client's own check, which it can make."""
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        served.connect(sslmode="verify-ca", sslrootcert=stranger.cert)


def test_a_long_query_is_cut(served: Served):
    """The role's time is over: 57014, and the connection goes on."""
    with served.connect("brief") as connection:
        assert _state(connection, LONG) == "57014"


def test_too_many_rows_are_cut(served: Served):
    """The role's rows are out: 54000, after those."""
    assert _refused(served, "SELECT range FROM range(101)", "brief") == "54000"


def test_a_client_may_ask_for_less_time(client: psycopg.Connection):
    """statement_timeout is taken, as libpq's options and people set it."""
    client.execute("SET statement_timeout = '200ms'")
    try:
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute(LONG)
    finally:
        client.execute("RESET statement_timeout")


def test_cancel_from_another_connection(served: Served):
    """What runs ends with 57014 when its client says so; the connection goes on."""
    with served.connect() as connection:
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            connection.execute(LONG)
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
