"""psycopg 3: results as text and as bytes, parameters as both, cursors, transactions, its types."""

import datetime as dt
from decimal import Decimal

import psycopg
import pytest
from psycopg import pq
from psycopg.rows import dict_row
from psycopg.types import TypeInfo
from serving import TYPES, VALUES, Served


@pytest.fixture(scope="module")
def client(served: Served):
    """One connection for this module, which commits each statement."""
    with served.connect() as connection:
        yield connection


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_every_type_arrives(client: psycopg.Connection, binary: bool):
    """A value of each type, and a null of each, as Python's own."""
    with client.cursor(binary=binary, row_factory=dict_row) as cursor:
        first, nulls = cursor.execute("SELECT * FROM v_types ORDER BY number")
    assert first == VALUES
    assert nulls == dict.fromkeys(one.name for one in TYPES)


PARAMETERS = {
    "int": (7, "SELECT %s + 1", 8),
    "a number beyond 64 bits": (2**70, "SELECT %s::HUGEINT", Decimal(2**70)),
    "str": ("O'Brien \\ ☃", "SELECT %s", "O'Brien \\ ☃"),
    "str beside a column": ("Zürich%", "SELECT number FROM v_types WHERE name LIKE %s", 1),
    "float": (0.1, "SELECT %s", 0.1),
    "bool": (False, "SELECT NOT %s", True),
    "Decimal": (Decimal("1.50"), "SELECT number FROM v_types WHERE confidence = %s", 1),
    "UUID": (VALUES["id"], "SELECT number FROM v_types WHERE id = %s", 1),
    "bytes": (b"\x00\xff\\a", "SELECT number FROM v_types WHERE raw = %s", 1),
    "None": (None, "SELECT %s::INT IS NULL", True),
    "date": (dt.date(2026, 11, 20), "SELECT number FROM v_types WHERE day = %s", 1),
    "time": (VALUES["clock"], "SELECT number FROM v_types WHERE clock = %s", 1),
    "datetime": (
        dt.datetime(2026, 11, 20, 1, 2, 3, 456_789, dt.UTC),
        "SELECT number FROM v_types WHERE seen_time <= %s",
        1,
    ),
    "timedelta": (
        dt.timedelta(hours=1),
        "SELECT seen_time - %s FROM v_types WHERE number = 1",
        dt.datetime(2026, 11, 20, 0, 2, 3, 456_789, dt.UTC),
    ),
    "list of int": ([1, 2], "SELECT number FROM v_types WHERE number = ANY(%s)", 1),
    "list of str": (["x", "Zürich ☃ 'quoted' \\ \"", None], "SELECT number FROM v_types WHERE name = ANY(%s)", 1),
    "empty list": ([], "SELECT count(*) FROM v_types WHERE name = ANY(%s::TEXT[])", 0),
}  # fmt: skip


@pytest.mark.parametrize("form", ["t", "b"], ids=["text", "binary"])
@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_of_every_kind(client: psycopg.Connection, case: str, form: str):
    """Sent as text and as bytes, each is compared as what it is."""
    value, query, expected = PARAMETERS[case]
    assert client.execute(query.replace("%s", f"%{form}"), [value]).fetchone() == (expected,)


def test_a_prepared_statement_is_asked_again(client: psycopg.Connection):
    """Parsed once, under a name, and bound with other values."""
    asked = [
        client.execute("SELECT %s::INT * 2", [number], prepare=True).fetchone()
        for number in (1, 2, 3)
    ]
    assert asked == [(2,), (4,), (6,)]


def test_a_portal_gives_so_many_rows_at_a_time(served: Served):
    """A cursor of the server's hands out what is fetched, and goes on where it was."""
    with psycopg.connect(served.dsn()) as connection, connection.cursor("some") as cursor:
        cursor.itersize = 1_000
        cursor.execute("SELECT range FROM range(2_500)")
        assert [len(cursor.fetchmany(1_000)) for _ in range(4)] == [1_000, 1_000, 500, 0]


def test_rows_come_one_by_one(client: psycopg.Connection):
    """Streaming results are the same rows."""
    with client.cursor() as cursor:
        rows = cursor.stream("SELECT range FROM range(20_000)")
        assert sum(number for (number,) in rows) == 199_990_000


def test_a_failed_statement_fails_its_transaction(served: Served):
    """Nothing is answered until the end of it, as PostgreSQL has it; then all is as before."""
    with psycopg.connect(served.dsn()) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nothing")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_pipelines(served: Served):
    """Statements are sent without waiting for the one before; one that fails ends the batch."""
    with served.connect() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::INT", [number]) for number in range(5)]
        assert [cursor.fetchone() for cursor in cursors] == [(0,), (1,), (2,), (3,), (4,)]
        with pytest.raises(psycopg.errors.UndefinedColumn), connection.pipeline():
            connection.execute("SELECT nothing FROM v_types")
            connection.execute("SELECT 1")
        assert connection.execute("SELECT 2").fetchone() == (2,)


def test_types_are_found_by_name(client: psycopg.Connection):
    """What psycopg asks to adapt a type by its name."""
    found = TypeInfo.fetch(client, "timestamptz")
    assert (found.name, found.oid, found.array_oid, found.regtype) == (
        *("timestamptz", 1184, 1185),
        "timestamp with time zone",
    )
    assert TypeInfo.fetch(client, "hstore") is None


def test_several_statements_of_one_text(client: psycopg.Connection):
    """Each has its result; a setting before a query is taken, as Grafana's panels use it."""
    cursor = client.execute("SET search_path TO public; SELECT 1; SELECT 'two', 2")
    assert [cursor.statusmessage, cursor.nextset(), cursor.fetchall()] == ["SET", True, [(1,)]]
    assert [cursor.nextset(), cursor.fetchall(), cursor.nextset()] == [True, [("two", 2)], None]


def test_what_the_server_says_of_itself(client: psycopg.Connection):
    """Parameters that libpq and drivers decide by."""
    said = client.pgconn.parameter_status
    names = (
        *(b"server_encoding", b"client_encoding", b"DateStyle", b"TimeZone", b"IntervalStyle"),
        *(b"integer_datetimes", b"standard_conforming_strings", b"is_superuser"),
    )
    assert [said(name) for name in names] == [
        *(b"UTF8", b"UTF8", b"ISO, MDY", b"UTC", b"postgres"),
        *(b"on", b"on", b"off"),
    ]
    assert client.info.server_version == 150_000
    assert client.execute("SHOW server_version").fetchone() == ("15.0",)


def test_an_error_says_where(client: psycopg.Connection):
    """Severity, state and message, which drivers and people read."""
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        client.execute("SELECT nothing FROM v_types")
    found = caught.value.diag
    assert (found.severity, found.severity_nonlocalized, found.sqlstate) == (
        "ERROR",
        "ERROR",
        "42703",
    )
    assert 'column "nothing" not found' in str(found.message_primary)


def test_binary_and_text_columns_of_one_result(client: psycopg.Connection):
    """A client may ask for each column in a form of its own."""
    result = client.pgconn.exec_params(b"SELECT 1::INT, 'x'", None, result_format=pq.Format.BINARY)
    assert (result.get_value(0, 0), result.fformat(0)) == (b"\x00\x00\x00\x01", 1)
