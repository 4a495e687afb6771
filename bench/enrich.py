"""
Both ends of flow rows named, beside a Python dictionary and a loop.

20 clusters with the same 5,000 addresses, ten lives each: a million endpoints.
"""

import tempfile
from bisect import bisect_right
from pathlib import Path

import numpy as np
import polars as pl

from bench.measure import alternate, report
from bench.traffic import CLUSTERS, EXPORT_S, PODS, make_inventory
from pipeline import schema
from pipeline.enrich import Identities, enrich_flows
from pipeline.inventory.file import Inventory

_ROWS = 200_000
_PEER_ROWS = 20_000
_GENERATIONS = 10


def flows(count: int) -> pl.DataFrame:
    """Rows between random pods of random networks, of random days."""
    random = np.random.default_rng(2)
    base = (0xFFFF << 32) | (10 << 24)
    time_us = (EXPORT_S - random.integers(0, 86_400 * 250, count)) * 1_000_000
    time = pl.Series("t", time_us).cast(schema.TIME)
    return pl.DataFrame(
        {
            "network_code": pl.Series(random.integers(0, CLUSTERS, count), dtype=pl.Int32),
            "src_ip_hi": pl.Series(np.zeros(count), dtype=pl.UInt64),
            "src_ip_lo": pl.Series(base + random.integers(0, PODS, count), dtype=pl.UInt64),
            "dst_ip_hi": pl.Series(np.zeros(count), dtype=pl.UInt64),
            "dst_ip_lo": pl.Series(base + random.integers(0, PODS, count), dtype=pl.UInt64),
            "start_time": time,
            "end_time": time,
        }
    )


def main() -> None:
    """Print the comparison."""
    with tempfile.TemporaryDirectory() as folder:
        inventory = make_inventory(Path(folder), _GENERATIONS)
    identities = Identities.of(inventory)
    many, few = flows(_ROWS), flows(_PEER_ROWS)
    lives = _dictionary(inventory)
    assert enrich_flows(few, identities)["src_endpoint_id"].to_list() == _loop(few, lives, "src")  # noqa: S101
    report(
        f"enrich: both ends, {inventory.endpoints.height:,} endpoints, {CLUSTERS} networks",
        alternate(
            {
                "crosspane": (_ROWS, lambda: enrich_flows(many, identities)),
                "dictionary and bisect, a loop, no prefixes": (
                    _PEER_ROWS,
                    lambda: [_loop(few, lives, side) for side in ("src", "dst")],
                ),
            }
        ),
    )


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
        ends.append(end)
        numbers.append(number)
    return lives


def _loop(frame: pl.DataFrame, lives: _Lives, side: str) -> list[int | None]:
    found: list[int | None] = []
    rows = frame.select("network_code", f"{side}_ip_lo", pl.col("start_time").to_physical())
    for code, low, time in rows.iter_rows():
        begins, ends, numbers = lives.get((code, low), ([], [], []))
        position = bisect_right(begins, time) - 1
        found.append(numbers[position] if position >= 0 and time < ends[position] else None)
    return found


if __name__ == "__main__":
    main()
