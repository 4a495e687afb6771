"""
Rows of a stretch of time, as Polars reads them from the lake's files.

DuckDB hands rows over as Arrow's, which Polars copies: that takes three times as long as to read
the files. So DuckDB tells which files have rows of the time, and how many. It is asked for those
that are in the catalog itself, and for all of them if a file has fewer than were written to it.

Much of what a source may tell it never does: columns with no value are not read, and take no
memory until somebody adds to them.

Before: lake.py, memory.py. After: recorded.py.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import polars as pl
import pyarrow.parquet as pq

from pipeline.lake import Lake
from pipeline.memory import TIMES
from pipeline.schema import Table
from pipeline.schema.literals import literal, within


def read_span(
    lake: Lake, table: Table, names: Collection[str], since: datetime, until: datetime
) -> pl.DataFrame:
    """
    Columns ``names`` of rows of a table of facts that are of [since, until), in several pieces.

    Enumerations are text.
    """
    time = TIMES[table.name]
    span = within(time, since, until)
    counts = dict(
        lake.connection.execute(
            f"SELECT filename, count(*) FROM {table.name} WHERE {span} GROUP BY ALL"
        ).fetchall()
    )
    files = [name for name in counts if name.endswith(".parquet")]
    in_span = pl.col(time).is_between(since, until, closed="left")
    parts = [_of_files(files, table, names).filter(in_span).select(names).collect()]
    if parts[0].height != sum(counts[name] for name in files):
        parts, files = [], []
    if counts.keys() - set(files):
        read = ", ".join(map(literal, files))
        others = f"{span} AND NOT list_contains([{read}]::VARCHAR[], filename)"
        parts.append(lake.read(f"SELECT {', '.join(names)} FROM {table.name} WHERE {others}"))
    return pl.concat(parts)


def together(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Rows of frames with the same columns, in one piece; there is no copy of what has no value."""
    columns = parts[0].schema
    parts = [part for part in parts if part.height] or [*parts]
    empty = [name for name in columns if all(_is_empty(part[name]) for part in parts)]
    whole = pl.concat([part.drop(empty) for part in parts])
    nothing = [pl.lit(None, columns[name]).alias(name) for name in empty]
    return whole.rechunk().with_columns(nothing).select(columns.names())


def _is_empty(column: pl.Series) -> bool:
    return column.null_count() == len(column)


def _of_files(files: list[str], table: Table, names: Collection[str]) -> pl.LazyFrame:
    shape = pl.Schema(
        {
            name: pl.String() if isinstance(dtype, pl.Enum) else dtype
            for name, dtype in table.schema.items()
        }
    )
    if not files:
        return shape.to_frame().lazy()
    flat = {name for name in names if not shape[name].is_nested()}
    empty = flat.difference(*(_told(pq.read_metadata(file)) for file in files))
    read = pl.scan_parquet(
        files, glob=False, schema=shape, missing_columns="insert", extra_columns="ignore"
    )
    return read.with_columns(pl.lit(None, shape[name]).alias(name) for name in empty)


def _told(file: pq.FileMetaData) -> set[str]:
    """Columns of a file that may have values."""
    groups = (file.row_group(nth) for nth in range(file.num_row_groups))
    columns = (group.column(nth) for group in groups for nth in range(group.num_columns))
    return {
        column.path_in_schema
        for column in columns
        if not column.statistics or column.statistics.null_count != column.num_values
    }
