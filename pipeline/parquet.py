"""
Rows of a stretch of time, as Polars reads them from the lake's files.

DuckDB hands rows over as Arrow's, which Polars copies: that takes three times as long as to read
the files. So DuckDB tells which files have rows of the time, and how many. It is asked for those
that are in the catalog itself, and for all of them if a file has fewer than were written to it.

Before: lake.py, memory.py. After: stitch/stage.py.
"""

from collections.abc import Collection
from datetime import datetime

import polars as pl

from pipeline.lake import Lake
from pipeline.memory import TIMES
from pipeline.schema import Table


def read_span(
    lake: Lake, table: Table, names: Collection[str], since: datetime, until: datetime
) -> pl.DataFrame:
    """
    Columns ``names`` of rows of a table of facts that are of [since, until), in several pieces.

    Enumerations are text.
    """
    time = TIMES[table.name]
    first, last = (f"TIMESTAMPTZ '{moment.isoformat()}'" for moment in (since, until))
    span = f"{time} >= {first} AND {time} < {last}"
    counts = dict(
        lake.connection.execute(
            f"SELECT filename, count(*) FROM {table.name} WHERE {span} GROUP BY ALL"
        ).fetchall()
    )
    files = [name for name in counts if name.endswith(".parquet")]
    in_span = pl.col(time).is_between(since, until, closed="left")
    parts = [_of_files(files, table).filter(in_span).select(names).collect()]
    if parts[0].height != sum(counts[name] for name in files):
        parts, files = [], []
    if counts.keys() - set(files):
        quoted = ["'" + name.replace("'", "''") + "'" for name in files]
        others = f"{span} AND NOT list_contains([{', '.join(quoted)}]::VARCHAR[], filename)"
        parts.append(lake.read(f"SELECT {', '.join(names)} FROM {table.name} WHERE {others}"))
    return pl.concat(parts)


def _of_files(files: list[str], table: Table) -> pl.LazyFrame:
    shape = pl.Schema(
        {
            name: pl.String() if isinstance(dtype, pl.Enum) else dtype
            for name, dtype in table.schema.items()
        }
    )
    if not files:
        return shape.to_frame().lazy()
    return pl.scan_parquet(
        files, glob=False, schema=shape, missing_columns="insert", extra_columns="ignore"
    )
