"""asyncpg: everything is prepared, and every value is bytes."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import serving
from serving import LONG, PASSWORD, TYPES, Served

VALUES = serving.VALUES | {
    "labels": '{"a": [1, null]}',
    "durations": '[{"bucket":3,"calls":2}]',
    "outcomes": '{"ok":7}',
}
"""JSON is text to it."""

Ask = Callable[[asyncpg.Connection], Awaitable[Any]]


@pytest.fixture
def ask(served: Served) -> Callable[[Ask], Any]:
    """Run a coroutine with a connection."""

    async def connected(asked: Ask) -> Any:
        connection = await asyncpg.connect(
            host=served.host, port=served.port, user="reader", password=PASSWORD,
            database="crosspane", timeout=30, command_timeout=10,
        )  # fmt: skip
        try:
            return await asked(connection)
        finally:
            await connection.close()

    return lambda asked: asyncio.run(connected(asked))


def test_every_type_arrives(ask: Callable[[Ask], Any]):
    """A value of each type, and a null of each."""
    first, nulls = ask(lambda one: one.fetch("SELECT * FROM v_types ORDER BY number"))
    assert dict(first) == VALUES
    assert dict(nulls) == dict.fromkeys(one.name for one in TYPES)


PARAMETERS = {
    "text": ("SELECT number FROM v_types WHERE name = $1", [VALUES["name"]], 1),
    "numbers beside columns": (
        "SELECT number FROM v_types WHERE status = $1 AND share > $2 AND attempts = $3 AND yes = $4",
        [65_535, 0.05, 4_294_967_295, True],
        1,
    ),
    "decimals": (
        "SELECT number FROM v_types WHERE bytes = $1 AND confidence = $2",
        [VALUES["bytes"], Decimal("1.5")],
        1,
    ),
    "times": (
        "SELECT number FROM v_types WHERE seen_time BETWEEN $1 AND $2 AND day = $3",
        [
            dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
            dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
            VALUES["day"],
        ],
        1,
    ),
    "an id and bytes": (
        "SELECT number FROM v_types WHERE id = $1 AND raw = $2",
        [VALUES["id"], VALUES["raw"]],
        1,
    ),
    "null": ("SELECT $1::INT IS NULL", [None], True),
    "casts say the type": ("SELECT $1::INT + $2::DOUBLE", [1, 0.5], 1.5),
    "a list": ("SELECT count(*) FROM v_types WHERE name = ANY($1::TEXT[])", [["x", None]], 0),
    "a list of numbers": ("SELECT number FROM v_types WHERE number = ANY($1::BIGINT[])", [[1]], 1),
    "LIMIT": ("SELECT number FROM v_types ORDER BY number LIMIT $1", [1], 1),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_are_what_they_are_compared_with(ask: Callable[[Ask], Any], case: str):
    """A value is encoded as the type the server says; asyncpg refuses another of Python."""
    query, values, expected = PARAMETERS[case]
    assert ask(lambda one: one.fetchval(query, *values)) == expected


def test_prepared_statements_and_cursors(ask: Callable[[Ask], Any]):
    """One statement, bound often; a portal read in pieces, in a transaction."""

    async def asked(connection: asyncpg.Connection) -> Any:
        prepared = await connection.prepare("SELECT range * $1::BIGINT AS n FROM range(7)")
        kinds = [one.name for one in prepared.get_parameters()]
        sums = [sum(row["n"] for row in await prepared.fetch(factor)) for factor in (1, 10)]
        async with connection.transaction(readonly=True):
            cursor = await prepared.cursor(2)
            pieces = [[row["n"] for row in await cursor.fetch(3)] for _ in range(4)]
        return kinds, [one.name for one in prepared.get_attributes()], sums, pieces

    assert ask(asked) == (
        ["int8"],
        ["n"],
        [21, 210],
        [[0, 2, 4], [6, 8, 10], [12], []],
    )


def test_a_pool_gives_connections_back_as_they_were(served: Served):
    """What asyncpg says before a connection is another's is understood."""

    async def pooled() -> list[int]:
        async with asyncpg.create_pool(
            host=served.host, port=served.port, user="reader", password=PASSWORD,
            database="crosspane", min_size=1, max_size=4,
        ) as pool:  # fmt: skip
            return await asyncio.gather(*(pool.fetchval("SELECT $1::INT", n) for n in range(12)))

    assert asyncio.run(pooled()) == list(range(12))


def test_an_unknown_type_is_looked_up(ask: Callable[[Ask], Any]):
    """What asyncpg asks of pg_type, in SQL that is recursive: elements of arrays come with them."""

    async def asked(connection: asyncpg.Connection) -> list[tuple[int, str, int | None]]:
        rows, _ = await connection._introspect_types([1009, 16], 30)
        return sorted({(row["oid"], row["name"], row["elemtype"]) for row in rows})

    assert ask(asked) == [(16, "bool", 0), (25, "text", 0), (1009, "_text", 25)]


def test_a_statement_that_is_given_up_is_cancelled(ask: Callable[[Ask], Any]):
    """A client's own time limit ends the statement here, and the connection goes on."""

    async def asked(connection: asyncpg.Connection) -> Any:
        with pytest.raises(TimeoutError):
            await connection.fetch(LONG, timeout=0.2)
        return await connection.fetchval("SELECT 1")

    assert ask(asked) == 1
