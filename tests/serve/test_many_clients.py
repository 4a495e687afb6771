"""Many clients at once: all are answered, and one too many is told so."""

import asyncio
import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import asyncpg
import psycopg
from serving import PASSWORD, Served

CLIENTS = 64


def test_64_clients_at_once_are_all_answered(served: Served):
    """Each has a connection of its own and asks while all others do; none is sent another's rows."""
    together = threading.Barrier(CLIENTS, timeout=60)

    def asks(number: int) -> list[tuple[int, int, str]]:
        with served.connect() as connection:
            together.wait()
            return [
                connection.execute(
                    "SELECT %s::INT, count(*), max(name) FROM v_types, range(1000)", [number]
                ).fetchone()
                for _ in range(2)
            ]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [*pool.map(asks, range(CLIENTS))]
    name = "Zürich ☃ 'quoted' \\ \""
    assert answers == [[(number, 2_000, name)] * 2 for number in range(CLIENTS)]


def test_the_65th_is_told_that_there_are_too_many(served: Served):
    """53300 at the door; as soon as one goes, another may come."""
    with ExitStack() as stack:
        clients = [stack.enter_context(served.connect()) for _ in range(CLIENTS)]
        assert _refusal(served) == "53300"
        assert [one.execute("SELECT 1").fetchone() for one in clients[:3]] == [(1,)] * 3
        clients[0].close()
        assert _let_in(served) == (1,)


def _refusal(served: Served) -> str | None:
    """SQLSTATE that one more is told, by a client that knows it of a connection that failed."""
    told = None
    try:
        asyncio.run(
            asyncpg.connect(
                host=served.host,
                port=served.port,
                user="reader",
                password=PASSWORD,
                database="crosspane",
                timeout=30,
            )
        )
    except asyncpg.PostgresError as error:
        told = error.sqlstate
    with warnings.catch_warnings():  # it leaves its socket to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return told


def _let_in(served: Served) -> tuple[int, ...] | None:
    """Answer to one that comes until it is let in: that another went is known a moment later."""
    for _ in range(100):
        try:
            with served.connect() as connection:
                return connection.execute("SELECT 1").fetchone()
        except psycopg.OperationalError:
            threading.Event().wait(0.05)
    return None
