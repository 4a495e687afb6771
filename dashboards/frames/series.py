"""
Time series: text becomes labels, a long table becomes a wide one, gaps are filled.

Source: grafana-postgresql-datasource, `sqleng/sql_engine.go`; grafana-plugin-sdk-go,
`data/time_series.go` (`LongToWide`), `data/sqlutil/resample.go`.
Before: frame.py. After: panels.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.expand import Fill
from dashboards.frames.frame import Field, FrameError

__all__ = ["CELLS_MAX", "resample", "series"]

CELLS_MAX: Final = 2_000_000
"""Times by series of one answer: no panel shows more, and memory ends."""


def series(fields: Sequence[Field], fill: Fill | None) -> list[Field]:
    """
    Make a wide time series of fields; without text columns it is one.

    Raises
    ------
    FrameError
        No time, a null time, times that go back, a value that is no number.
    """
    if not any(field.name == "time" for field in fields):
        raise FrameError(
            "time column is missing; make sure your data includes a time column for time series"
            " format or switch to a table format that doesn't require it"
        )
    named = [
        replace(field, name="Time")
        if field.name == "time"
        else field
        if field.kind == "string" or field.name == "metric"
        else _number(field)
        for field in fields
    ]
    time = next(field for field in named if field.kind == "time")
    factors = [field for field in named if field.kind == "string"]
    values = [field for field in named if field.kind == "number"]
    if not values or not factors:
        return named
    wide = _wide(time, factors, values, fill)
    if len(fields) == 3 and factors[0].name == "metric":  # noqa: PLR2004 - time, metric, value
        wide = [
            Field(field.labels["metric"], field.kind, field.values) if field.labels else field
            for field in wide
        ]
    return wide


def _number(field: Field) -> Field:
    if field.kind == "other":
        raise FrameError(f"convert value to float failed: {field.name} is no number")
    values = field.values
    if field.kind == "time":
        values = values.cast(pa.int64())
    return Field(field.name, "number", values.cast(pa.float64(), safe=False))


def _wide(
    time: Field, factors: Sequence[Field], values: Sequence[Field], fill: Fill | None
) -> list[Field]:
    """Long to wide: one row a time, one field for each value and combination of labels."""
    if time.values.null_count:
        raise FrameError(
            "unable to process the data to wide series because input has null time values, make"
            " sure all time values are not null"
        )
    stamps = time.values.cast(pa.int64()).to_numpy()
    steps = np.diff(stamps)
    if (steps < 0).any():
        raise FrameError(
            "unable to process the data because it is not sorted in ascending order by time,"
            " please updated your query to sort the data by time if possible"
        )
    rows = np.concatenate(([0], np.cumsum(steps > 0)))
    times = stamps[np.concatenate(([True], steps > 0))]
    series, names = _combinations(factors)
    if times.size * len(names) * len(values) > CELLS_MAX:
        raise FrameError(
            f"{times.size} times and {len(names)} series of {len(values)} values are more than"
            f" {CELLS_MAX} cells: add filters or aggregation to the query"
        )
    made = [Field(time.name, "time", pa.array(times, pa.timestamp("ms", "UTC")))]
    for value in sorted(values, key=lambda field: field.name):
        cells, known = _cells(value, rows, series, (times.size, len(names)), fill)
        made += [
            Field(
                value.name,
                "number",
                pa.array(cells[:, column], mask=~known[:, column]),
                labels,
            )
            for column, labels in enumerate(names)
        ]
    return made


def _combinations(factors: Sequence[Field]) -> tuple[np.ndarray, list[dict[str, str]]]:
    """
    Series of each row, and the labels of each series, sorted by them.

    A null label is an empty text, as in Grafana.
    """
    texts = [pc.fill_null(field.values.cast(pa.string()), "") for field in factors]
    names = [field.name for field in factors]
    keys = [f"k{index}" for index in range(len(texts))]
    rows = pa.table([*texts, pa.array(np.arange(len(texts[0])))], names=[*keys, "row"])
    found = rows.group_by(keys).aggregate([]).sort_by([(key, "ascending") for key in keys])
    found = found.append_column("series", pa.array(np.arange(found.num_rows)))
    joined = rows.join(found, keys=keys).sort_by("row")
    labels = [
        dict(zip(names, combination, strict=True))
        for combination in zip(*(found[key].to_pylist() for key in keys), strict=True)
    ]
    return joined["series"].to_numpy(), labels


def _cells(
    value: Field, rows: np.ndarray, series: np.ndarray, shape: tuple[int, int], fill: Fill | None
) -> tuple[np.ndarray, np.ndarray]:
    """Values by time and series, and where there is one; the last row of a cell wins."""
    cells, known, told = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    cells[rows, series] = pc.fill_null(value.values, 0).to_numpy(zero_copy_only=False)
    known[rows, series] = pc.is_valid(value.values).to_numpy(zero_copy_only=False)
    told[rows, series] = True
    if fill and fill.mode == "value":
        cells[~told], known[~told] = fill.value, True
    elif fill and fill.mode == "previous":
        last = np.maximum.accumulate(np.where(told, np.arange(shape[0])[:, None], -1), axis=0)
        before = np.maximum(last, 0)
        cells = np.take_along_axis(cells, before, axis=0)
        known = np.take_along_axis(known, before, axis=0) & (last >= 0)
    return cells, known


def resample(
    fields: Sequence[Field], fill: Fill, from_time: datetime, to_time: datetime
) -> list[Field]:
    """
    One row an interval, from the time range's start rounded down, to its end.

    Each takes the last row of the interval before it; without one, what `fill` says.
    """
    step = fill.interval_ms
    seconds = step // 1000
    if not seconds:
        raise FrameError("an interval below a second can not be filled")
    first = int(from_time.timestamp()) // seconds * seconds * 1000
    last = int(to_time.timestamp() * 1000)
    if (last - first) // step * len(fields) > CELLS_MAX:
        raise FrameError("Failed to resample dataframe: too many intervals")
    grid = np.arange(first, last + 1, step)
    time = next(field for field in fields if field.kind == "time")
    if time.values.null_count:
        raise FrameError("Failed to resample dataframe: time point is nil")
    stamps = time.values.cast(pa.int64()).to_numpy()
    at = np.searchsorted(stamps, grid, side="right") - 1
    found = (at >= 0) & (stamps[at] > grid - step)
    made = []
    for field in fields:
        if field is time:
            made.append(replace(field, values=pa.array(grid, pa.timestamp("ms", "UTC"))))
            continue
        kept = found if fill.mode != "previous" or field.kind != "number" else at >= 0
        taken = field.values.take(pa.array(np.where(kept, at, 0), mask=~kept))
        if fill.mode == "value" and field.kind == "number":
            taken = pc.if_else(pa.array(found), taken, fill.value)
        made.append(replace(field, values=taken))
    return made
