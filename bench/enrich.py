"""
Both ends of flow rows named, beside a DuckDB ASOF join and a Python dictionary.

20 clusters with the same 5,000 addresses, ten lives each: 100,000 live pods, a
million endpoints; 20,000 prefixes, which nest. Rows are of now, and, apart, of
all times that the inventory knows.
"""

import resource
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import polars as pl

from bench.measure import alternate, report
from bench.traffic import CLUSTERS, EXPORT_S, PODS, make_inventory, network_of
from pipeline import schema
from pipeline.enrich import Identities, enrich_flows
from pipeline.inventory.file import Inventory

_ROWS = 200_000
_PEER_ROWS = 20_000
_GENERATIONS = 10
_PREFIXES = 1_000
"""Of each cluster: node ranges of /29 within one of /16."""
_TOUCHED = 5_000
_NEVER = 1 << 62
_ADDRESS = ["network", "endpoint_ip_hi", "endpoint_ip_lo"]

_Made = TypeVar("_Made")


def flows(count: int, days: float) -> pl.DataFrame:
    """Rows between random pods of random networks, of the last days."""
    random = np.random.default_rng(2)
    base = (0xFFFF << 32) | (10 << 24)
    time_us = EXPORT_S * 1_000_000 - random.integers(0, int(86_400e6 * days), count)
    time = pl.Series("t", time_us).cast(schema.TIME)
    zero = pl.Series(np.zeros(count), dtype=pl.UInt64)
    nothing = pl.Series([None] * count, dtype=pl.UInt64)
    lows = [pl.Series(base + random.integers(0, PODS, count), dtype=pl.UInt64) for _ in "sd"]
    return pl.DataFrame(
        {
            "network_code": pl.Series(random.integers(0, CLUSTERS, count), dtype=pl.Int32),
            "src_ip_hi": zero,
            "src_ip_lo": lows[0],
            "dst_ip_hi": zero,
            "dst_ip_lo": lows[1],
            **{
                f"post_nat_{side}_ip_{half}": nothing
                for side in ("src", "dst")
                for half in ("hi", "lo")
            },
            "start_time": time,
            "end_time": time,
        }
    )


def prefixes() -> pl.DataFrame:
    """In each network, 10.0.0.0/16 and 999 ranges of eight addresses in it."""
    base = 0xFFFF_0A00_0000
    rows = [
        (
            cluster * _PREFIXES + number,
            network_of(cluster),
            0,
            base + (number - 1) * 8 if number else base,
            125 if number else 112,
            "node" if number else "pod",
            f"range {number}",
        )
        for cluster in range(CLUSTERS)
        for number in range(_PREFIXES)
    ]
    names = ["prefix_id", "network", "prefix_ip_hi", "prefix_ip_lo", "prefix_length", "kind"]
    types = {name: schema.PREFIXES.schema[name] for name in [*names, "name"]}
    frame = pl.DataFrame(rows, schema=types, orient="row")
    return schema.complete(frame, schema.PREFIXES.schema)


def main() -> None:
    """Print the comparison."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_inventory(Path(folder), _GENERATIONS)
    tables = made.tables | {"prefixes": prefixes()}
    over = pl.col("valid_to") <= pl.from_epoch(pl.lit(EXPORT_S)).dt.replace_time_zone("UTC")
    tables["endpoints"] = made.endpoints.with_columns(pl.when(over).then("valid_to"))
    inventory = Inventory(**tables, members=made.members)
    identities = _timed("index built", lambda: Identities.of(inventory))
    changed = _change(inventory, identities)
    now, ever, few = flows(_ROWS, 1), flows(_ROWS, 250), flows(_PEER_ROWS, 250)
    lives = _dictionary(inventory)
    connection = _duckdb(inventory)
    expected = _loop(few, lives, "src")
    assert enrich_flows(few, identities)["src_endpoint_id"].to_list() == expected  # noqa: S101
    assert enrich_flows(few, changed)["src_endpoint_id"].to_list() == expected  # noqa: S101
    assert _asof(connection, few, "src").to_list() == expected  # noqa: S101
    report(
        f"enrich: both ends, {inventory.endpoints.height:,} endpoints, {CLUSTERS} networks,"
        f" {inventory.prefixes.height:,} prefixes",
        alternate(
            {
                "crosspane, rows of a day": (_ROWS, lambda: enrich_flows(now, identities)),
                "crosspane, of 250 days": (_ROWS, lambda: enrich_flows(ever, identities)),
                "crosspane, with an overlay": (_ROWS, lambda: enrich_flows(now, changed)),
                "DuckDB ASOF, no prefixes, no ambiguity": (
                    _ROWS,
                    lambda: [_asof(connection, ever, side) for side in ("src", "dst")],
                ),
                "dictionary and bisect, likewise": (
                    _PEER_ROWS,
                    lambda: [_loop(few, lives, side) for side in ("src", "dst")],
                ),
            }
        ),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of all of this, the peers too: {peak:,.0f} MiB\n")


def _timed(what: str, make: Callable[[], _Made]) -> _Made:
    begin = time.perf_counter(), time.process_time()
    made = make()
    wall, cpu = time.perf_counter() - begin[0], time.process_time() - begin[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {what}: {wall:.2f} s, {cpu:.2f} CPU-s; peak memory so far {peak:,.0f} MiB")
    return made


def _change(inventory: Inventory, identities: Identities) -> Identities:
    """5,000 addresses of which a row was touched, then as many again, on top of the first."""
    addresses = inventory.endpoints.select(_ADDRESS).unique(maintain_order=True)
    for number in (0, 1):
        touched = addresses.slice(number * _TOUCHED, _TOUCHED)
        rows = inventory.endpoints.join(touched, on=_ADDRESS, how="semi")
        identities = _timed(
            f"{_TOUCHED:,} addresses changed, {rows.height:,} rows",
            lambda touched=touched, rows=rows, before=identities: before.changed(touched, rows),  # type: ignore[misc]
        )
    return identities


def _duckdb(inventory: Inventory) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET asof_loop_join_threshold = 0")
    codes = inventory.network_codes
    lives = inventory.endpoints.select(
        pl.col("network").replace_strict(codes, return_dtype=pl.Int32).alias("network_code"),
        "endpoint_ip_hi",
        "endpoint_ip_lo",
        "valid_from",
        "valid_to",
        "endpoint_id",
    )
    connection.register("frame", lives)
    connection.execute("CREATE TABLE lives AS FROM frame")
    return connection


def _asof(connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame, side: str) -> pl.Series:
    names = {"network_code": "network_code", f"{side}_ip_lo": "ip_lo", "start_time": "time"}
    connection.register("rows", frame.select(pl.col(name).alias(to) for name, to in names.items()))
    found = connection.execute(
        """SELECT CASE WHEN time < coalesce(valid_to, 'infinity') THEN endpoint_id END AS id
        FROM (SELECT *, row_number() OVER () AS row FROM rows) r
        ASOF LEFT JOIN lives e ON r.network_code = e.network_code
            AND ip_lo = endpoint_ip_lo AND time >= valid_from ORDER BY row"""
    ).pl()
    return found["id"]


_Lives = dict[tuple[int, int], tuple[list[int], list[int], list[int]]]


def _dictionary(inventory: Inventory) -> _Lives:
    lives: _Lives = {}
    codes = inventory.network_codes
    rows = inventory.endpoints.sort("valid_from").select(
        "network", "endpoint_ip_lo", pl.col("valid_from", "valid_to").to_physical(), "endpoint_id"
    )
    for network, low, begin, end, number in rows.iter_rows():
        begins, ends, numbers = lives.setdefault((codes[network], low), ([], [], []))
        begins.append(begin)
        ends.append(_NEVER if end is None else end)
        numbers.append(number)
    return lives


def _loop(frame: pl.DataFrame, lives: _Lives, side: str) -> list[int | None]:
    found: list[int | None] = []
    rows = frame.select("network_code", f"{side}_ip_lo", pl.col("start_time").to_physical())
    for code, low, time_us in rows.iter_rows():
        begins, ends, numbers = lives.get((code, low), ([], [], []))
        position = bisect_right(begins, time_us) - 1
        found.append(numbers[position] if position >= 0 and time_us < ends[position] else None)
    return found


if __name__ == "__main__":
    main()
