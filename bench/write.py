"""
Enriched rows to the lake, beside the same rows to Parquet by Polars.

The difference is what a transaction with offsets and a catalog costs.
"""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from bench.measure import alternate, report
from collectors.log import Place
from pipeline import schema
from pipeline.lake import Commit, Lake

_ROWS = 200_000


def rows() -> pl.DataFrame:
    """Flow rows as the job commits them."""
    random = np.random.default_rng(1)
    columns: dict[str, object] = dict.fromkeys(schema.FLOWS.schema)
    time_us = 1_764_000_000_000_000 + random.integers(0, 60_000_000, _ROWS)
    for name in ("received_time", "start_time", "end_time"):
        columns[name] = time_us
    for side in ("src", "dst"):
        columns[f"{side}_ip_hi"] = 0
        columns[f"{side}_ip_lo"] = (0xFFFF << 32 | 10 << 24) + random.integers(0, 5_000, _ROWS)
        columns[f"{side}_endpoint_id"] = random.integers(0, 2**63, 100_000)[
            random.integers(0, 100_000, _ROWS)
        ]
        columns[f"{side}_prefix_id"] = 1
        columns[f"{side}_port"] = random.integers(0, 65_536, _ROWS)
    columns |= {"vantage_id": 1, "protocol": 6, "bytes": random.integers(0, 10**6, _ROWS)}
    columns |= {
        "packets": random.integers(0, 10**3, _ROWS),
        "sampling_factor": 1.0,
        "tcp_flags": 27,
    }
    frame = pl.DataFrame({"start_time": time_us}).select(
        [
            pl.lit(value).alias(name)
            if value is None or np.isscalar(value)
            else pl.Series(name, value)
            for name, value in columns.items()
        ]
    )
    resolved = pl.lit("resolved").cast(schema.RESOLUTION)
    return frame.with_columns(
        resolved.alias("src_resolution"), resolved.alias("dst_resolution")
    ).cast(schema.FLOWS.schema)


def main() -> None:
    """Print the comparison."""
    frame = rows()
    place = Place("crosspane.v1.flow.bench", 0)
    with tempfile.TemporaryDirectory() as folder, Lake(Path(folder) / "lake") as lake:
        lake.adopt(place)
        offset = 0

        def commit() -> None:
            nonlocal offset
            lake.commit(Commit({"flows": frame}, {place: (offset, offset + 1)}))
            offset += 1

        report(
            f"write: commits of {_ROWS:,} flow rows",
            alternate(
                {
                    "crosspane: DuckLake, rows and offset": (_ROWS, commit),
                    "Polars: write_parquet, no transaction": (
                        _ROWS,
                        lambda: frame.write_parquet(
                            Path(folder) / "peer.parquet", compression="snappy"
                        ),
                    ),
                }
            ),
        )


if __name__ == "__main__":
    main()
