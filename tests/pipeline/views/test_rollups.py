"""Sums and histograms of edges: merged in any way they are the same, and quantiles are near."""

import itertools
from collections.abc import Generator, Sequence
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import views
from pipeline.decode.response_flags import FLAGS
from pipeline.schema.rollups import EDGE_KEY, EDGES
from pipeline.views.blame import BLAME, BROKE_OFF
from pipeline.views.rollups import merged, rolled_up

NOW = "TIMESTAMPTZ '2026-11-24 03:00:00Z'"
CALL = st.tuples(
    st.sampled_from(["a", "b", None]),  # client_entity, of which an edge is one
    st.sampled_from([None, 200, 404, 503]),  # status
    st.sampled_from([None, 0, 1, 3]),  # attempts
    st.sampled_from([None, 0, 7, 2**40]),  # bytes_sent
    st.sampled_from(["request_id", "service", None]),  # match_method
    st.sampled_from([0.0, 0.8, 1.0]),  # confidence
    st.none() | st.floats(0, 1e6),  # duration_ms
    st.none() | st.floats(0, 1e6),  # server_duration_ms
)
TYPES = (
    "client_entity VARCHAR, status USMALLINT, attempts UINTEGER, bytes_sent UBIGINT,"
    " match_method VARCHAR, confidence DECIMAL(2, 1), duration_ms DOUBLE, server_duration_ms DOUBLE"
)
NAMES = ", ".join(part.split()[0] for part in TYPES.replace("(2, 1)", "").split(", "))
SAME = {"server_entity": "'s'", "service": "'s'", "path_model": "'flat'", "protocol": "'HTTP/2'"}
REST = f"""{", ".join(f"{SAME.get(c.name, 'NULL')} AS {c.name}" for c in EDGE_KEY[1:])},
    {NOW} AS start_time, status >= 500 AS error, status = 403 AS denied, true AS identified,
    1 AS requests, 1::UBIGINT AS bytes_received, NULL AS tls, []::VARCHAR[] AS client_flags, true AS server_seen"""


@pytest.fixture(scope="module")
def engine() -> Generator[duckdb.DuckDBPyConnection]:
    """Macros, and no tables."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for macro in views.MACROS:
            connection.execute(macro)
        yield connection


def make(engine: duckdb.DuckDBPyConnection, name: str, query: str) -> str:
    engine.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
    return name


def edges(engine: duckdb.DuckDBPyConnection, name: str, calls: Sequence[tuple[Any, ...]]) -> str:
    """Name of a table with the edges of these calls."""
    engine.execute(f"CREATE OR REPLACE TEMP TABLE calls ({TYPES})")
    if calls:
        engine.executemany(f"INSERT INTO calls VALUES ({', '.join('?' * 8)})", calls)
    return make(engine, name, rolled_up(EDGES, NOW, f"SELECT *, {REST} FROM calls"))


def merge(engine: duckdb.DuckDBPyConnection, name: str, parts: Sequence[str]) -> str:
    rows = " UNION ALL ".join(f"FROM {part}" for part in parts)
    return make(engine, name, merged(EDGES, NOW, rows))


@settings(max_examples=25, deadline=None)
@given(calls=st.lists(CALL, max_size=30), cuts=st.lists(st.integers(0, 30), min_size=2, max_size=2))
def test_merged_in_any_grouping_and_order_it_is_the_same(
    engine: duckdb.DuckDBPyConnection, calls: list[tuple[Any, ...]], cuts: list[int]
):
    """(a + b) + c, c + (b + a) and all at once: every column, to the last bit."""
    low, high = sorted(cuts)
    whole = engine.execute(f"FROM {edges(engine, 'whole', calls)} ORDER BY ALL").fetchall()
    for name, part in (("a", calls[:low]), ("b", calls[low:high]), ("c", calls[high:])):
        edges(engine, name, part)
    left = merge(engine, "left_first", (merge(engine, "ab", ("a", "b")), "c"))
    right = merge(engine, "right_first", ("c", merge(engine, "ba", ("b", "a"))))
    assert engine.execute(f"FROM {left} ORDER BY ALL").fetchall() == whole
    assert engine.execute(f"FROM {right} ORDER BY ALL").fetchall() == whole
    assert len(whole) == len({call[0] for call in calls})
    assert sum(row[len(EDGE_KEY) + 1] for row in whole) == len(calls)


SHARES = (0, 0.01, 0.5, 0.95, 0.999, 1)
SAMPLES = {
    "log-normal": lambda dice: dice.lognormal(2, 2, 5_000),
    "Pareto, without a mean": lambda dice: dice.pareto(0.7, 5_000) + 1e-3,
    "uniform": lambda dice: dice.uniform(0, 100, 5_000),
    "nanoseconds": lambda dice: dice.integers(0, 2_000, 5_000) * 1e-6,
    "whole milliseconds, most of them none": lambda dice: dice.poisson(0.4, 5_000).astype(float),
    "two far apart": lambda dice: np.concatenate([dice.normal(2, 0.1, 99), dice.normal(9e9, 1, 2)]),
    "one": lambda _: np.array([0.123456]),
    "as long as any": lambda _: np.array([1e-6, 2e-6, 1e11, 1e11]),
    "ends of buckets": lambda _: 1.06 ** np.arange(-200, 200),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_quantiles_are_3_percent_off_at_most(engine: duckdb.DuckDBPyConnection, sample: str):
    """Beside NumPy's of all values: merged of three parts, at the ends and between."""
    values = SAMPLES[sample](np.random.default_rng(7))
    for number, part in enumerate(np.array_split(values, 3)):
        engine.register("part", {"ms": part})
        calls = """SELECT ms AS duration_ms, NULL::DOUBLE AS server_duration_ms, 'a' AS client_entity,
            200 AS status, 1 AS attempts, 0 AS bytes_sent, NULL AS match_method, 0 AS confidence"""
        query = f"SELECT *, {REST} FROM ({calls} FROM part)"
        make(engine, f"part_{number}", rolled_up(EDGES, NOW, query))
        engine.unregister("part")
    asked = ", ".join(f"histogram_quantile(durations, {share})" for share in SHARES)
    parts = " UNION ALL ".join(f"FROM part_{number}" for number in range(3))
    whole = f"SELECT histogram_merge(durations) AS durations FROM ({parts})"
    told = engine.execute(f"SELECT {asked} FROM ({whole})").fetchone()
    assert told is not None
    exact = np.quantile(values, SHARES)
    assert np.all(np.abs(np.array(told) - exact) <= 0.03 * exact), (told, exact)


def test_a_bucket_worked_by_hand(engine: duckdb.DuckDBPyConnection):
    """Of one second: 1.06^118 = 968.5 < 1000 <= 1.06^119 = 1026.6, told as 2/2.06 of that."""
    asked = "SELECT duration_bucket(1000), round(bucket_ms(119::SMALLINT), 1), duration_bucket(1), bucket_ms(-32768)"
    assert engine.execute(asked).fetchall() == [(119, 996.7, 0, 0.0)]


def test_a_histogram_of_nothing_has_no_quantile(engine: duckdb.DuckDBPyConnection):
    """Neither has one that is not there, nor the merge of none."""
    empty = "[]::STRUCT(bucket SMALLINT, calls UBIGINT)[]"
    asked = f"SELECT histogram_quantile({empty}, 0.5), histogram_quantile(NULL::STRUCT(bucket SMALLINT, calls UBIGINT)[], 0.5)"
    assert engine.execute(asked).fetchall() == [(None, None)]
    none = (
        f"SELECT histogram_quantile(histogram_merge(d), 0.5) FROM (SELECT {empty} AS d WHERE false)"
    )
    assert engine.execute(none).fetchall() == [(None,)]


def test_a_client_that_broke_off_is_the_one_that_is_blamed(engine: duckdb.DuckDBPyConnection):
    """Errors are counted without `BLAME`; that agrees, whatever two flags each proxy tells."""
    one_a_side = sorted({flag.blame: flag.short for flag in FLAGS}.values())
    pairs = [list(pair) for pair in itertools.combinations(one_a_side, 2)]
    told = [[], *([flag] for flag in one_a_side), *pairs]
    engine.execute("CREATE OR REPLACE TEMP TABLE proxies (flags VARCHAR[])")
    engine.executemany("INSERT INTO proxies VALUES (?)", [(flags,) for flags in told])
    calls = """SELECT c.flags AS client_flags, CASE WHEN server_seen THEN s.flags ELSE [] END AS server_flags,
        server_seen, gateway, gateway AS path_gateway, true AS gateway_works,
        false AS gateway_unaware, true AS failed,
        false AS denied, NULL::VARCHAR AS upstream_failure
        FROM (FROM proxies UNION ALL SELECT NULL) c, proxies s,
            (VALUES (true), (false)) a(server_seen), (VALUES ('g'), (NULL)) b(gateway)"""
    has = "list_has_any(coalesce(client_flags, []) || server_flags, ?)"
    rows = engine.execute(
        f"""SELECT {BROKE_OFF}, coalesce(blame = 'client' AND {has}, false), count(*)
            FROM (SELECT *, {BLAME} AS blame FROM ({calls})) GROUP BY ALL ORDER BY ALL""",
        [[flag.short for flag in FLAGS if flag.blame == "client"]],
    ).fetchall()
    assert [row[:2] for row in rows] == [(False, False), (True, True)]
    assert min(row[2] for row in rows) > 100
