"""Rows of a span are those that DuckDB tells, wherever the lake has them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline import schema
from pipeline.lake import Commit, Lake
from pipeline.parquet import read_span, together

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SHAPE = pl.Schema({"a": pl.Int64(), "b": pl.String(), "c": pl.List(pl.String)})
NAMES = ("bytes_sent", "reporter", "response_flags", "src_candidate_ids", "path")


def requests(first: int, last: int) -> pl.DataFrame:
    """One each second after `BEGIN`, numbered by its octets."""
    numbers = range(first, last)
    rows = {
        "start_time": [BEGIN + timedelta(seconds=number) for number in numbers],
        "received_time": [BEGIN] * len(numbers),
        "vantage_id": [1] * len(numbers),
        "bytes_sent": [*numbers],
        "reporter": ["source"] * len(numbers),
        "response_flags": [["UF", "URX"]] * len(numbers),
        "src_candidate_ids": [[1, 1 << 63]] * len(numbers),
    }
    return schema.complete(pl.DataFrame(rows), schema.REQUESTS.schema)


def rows_of(lake: Lake, since: datetime = BEGIN, until: datetime = BEGIN + MINUTE) -> pl.DataFrame:
    return read_span(lake, schema.REQUESTS, NAMES, since, until)


def told(lake: Lake, since: datetime = BEGIN, until: datetime = BEGIN + MINUTE) -> list[int]:
    """Numbers of the rows of a span."""
    return sorted(rows_of(lake, since, until)["bytes_sent"])


def test_of_files_that_are_whole_duckdb_hands_no_row_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Borders: the first moment of a span is in it, its last is not."""
    with Lake(tmp_path) as lake:
        for first in (0, 90, 180):
            lake.commit(Commit({"requests": requests(first, first + 90)}))
        monkeypatch.setattr(lake, "read", None)
        assert told(lake) == [*range(60)]
        assert told(lake, BEGIN + MINUTE, BEGIN + 2 * MINUTE) == [*range(60, 120)]
        assert told(lake, BEGIN + 5 * MINUTE, BEGIN + 6 * MINUTE) == []
        first = rows_of(lake, BEGIN, BEGIN + timedelta(seconds=1))
        assert first.rows() == [(0, "source", ["UF", "URX"], [1, 1 << 63], None)]
        assert first.schema == {
            "bytes_sent": pl.UInt64(),
            "reporter": pl.String(),
            "response_flags": pl.List(pl.String),
            "src_candidate_ids": pl.List(pl.UInt64),
            "path": pl.String(),
        }


def test_rows_in_the_catalog_and_deleted_ones_count_as_duckdb_counts_them(tmp_path: Path):
    """Few rows are in no file; of rows deleted since, none is told, few or many; in any folder."""
    with Lake(tmp_path / "it's a [lake]*") as lake:
        lake.commit(Commit({"requests": requests(0, 55)}))
        lake.commit(Commit({"requests": requests(55, 58)}))
        assert told(lake) == [*range(58)]
        lake.connection.execute("DELETE FROM requests WHERE bytes_sent IN (0, 57)")
        assert told(lake) == [*range(1, 57)]
        lake.connection.execute("UPDATE requests SET bytes_sent = 90 WHERE bytes_sent = 1")
        assert told(lake) == [*range(2, 57), 90]
        lake.connection.execute("DELETE FROM requests WHERE bytes_sent < 55")
        assert told(lake) == [55, 56, 90]


def test_a_file_of_before_a_column_has_none_of_it(tmp_path: Path):
    """A lake of an older crosspane: its files have fewer columns, and all are told."""
    with Lake(tmp_path) as lake:
        lake.connection.execute("ALTER TABLE requests DROP COLUMN path")
        lake.connection.execute(
            "INSERT INTO requests BY NAME SELECT '2026-01-01 12:00:00Z'::TIMESTAMPTZ AS start_time,"
            " range AS bytes_sent, 'source' AS reporter FROM range(60)"
        )
        lake.connection.execute("ALTER TABLE requests ADD COLUMN path VARCHAR")
        later = requests(1, 60).with_columns(path=pl.lit("/later"))
        lake.commit(Commit({"requests": later}))
        rows = rows_of(lake)
        assert dict(rows["path"].value_counts().iter_rows()) == {None: 60, "/later": 59}


def test_a_column_that_no_file_tells_is_not_read(tmp_path: Path):
    """One file in which one row tells is enough, whatever time it is of."""
    with Lake(tmp_path) as lake:
        lake.commit(Commit({"requests": requests(0, 60)}))
        later = requests(30, 90).with_columns(
            path=pl.when(pl.col("bytes_sent") == 89).then(pl.lit("/later"))
        )
        lake.commit(Commit({"requests": later}))
        assert rows_of(lake)["path"].null_count() == 90
        rows = rows_of(lake, until=BEGIN + 2 * MINUTE)
        assert rows.filter(pl.col("path").is_not_null()).rows() == [
            (89, "source", ["UF", "URX"], [1, 1 << 63], "/later")
        ]


def test_frames_are_one_piece_with_all_their_columns_in_order():
    """Of a column, the one frame has no value and the other has; of another, neither."""
    first = pl.DataFrame({"a": [1, 2], "b": [None, None], "c": [None, None]}, SHAPE)
    second = pl.DataFrame({"a": [3], "b": ["x"], "c": [None]}, SHAPE)
    whole = together([first, second, first.clear()])
    assert whole.rows() == [(1, None, None), (2, None, None), (3, "x", None)]
    assert whole.schema == SHAPE
    assert whole.n_chunks() == 1
    assert together([first.clear(), second.clear()]).schema == SHAPE
    assert together([first[:1], first[1:]]).rows() == first.rows()
