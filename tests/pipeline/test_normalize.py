"""One meaning of time for every flow, whatever its exporter's clock says."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline import schema
from pipeline.normalize import normalize_flows, normalize_requests

RECEIVED = 1_700_000_000_000_000_000  # 2023-11-14T22:13:20Z
SECOND = 1_000_000_000


def flow(start_ns: int | None, end_ns: int | None) -> tuple[datetime, datetime]:
    values = {"received_ns": RECEIVED, "start_ns": start_ns, "end_ns": end_ns, "bytes": 10}
    row = normalize_flows(pl.DataFrame([values], schema=schema.DECODED_FLOWS)).row(0, named=True)
    assert row["received_time"] == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert row["bytes"] == 10
    return row["start_time"], row["end_time"]


def at(hour: int, minute: int, second: int) -> datetime:
    return datetime(2023, 11, 14, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "expected"),
    [
        (RECEIVED - 20 * SECOND, RECEIVED - 5 * SECOND, (at(22, 13, 0), at(22, 13, 15))),
        (None, None, (at(22, 13, 20), at(22, 13, 20))),
        (RECEIVED - 20 * SECOND, None, (at(22, 13, 0), at(22, 13, 0))),
        (None, RECEIVED - 5 * SECOND, (at(22, 13, 15), at(22, 13, 15))),
        (RECEIVED, RECEIVED - 5 * SECOND, (at(22, 13, 15), at(22, 13, 15))),
        (0, 60 * SECOND, (at(22, 12, 20), at(22, 13, 20))),
        (RECEIVED + 90_000 * SECOND, RECEIVED + 90_001 * SECOND, (at(22, 13, 19), at(22, 13, 20))),
    ],
    ids=[
        "usual",
        "no times",
        "start only",
        "end only",
        "ends before start",
        "clock at 1970",
        "clock ahead",
    ],
)
def test_times_of_a_flow(
    start_ns: int | None, end_ns: int | None, expected: tuple[datetime, datetime]
):
    """A time that is missing, reversed or unbelievable becomes one that can be compared."""
    assert flow(start_ns, end_ns) == expected


def test_a_flow_keeps_its_order_and_rows():
    """Rows go in and come out in the same number and order."""
    frame = pl.DataFrame(
        {
            "received_ns": [RECEIVED, RECEIVED + SECOND],
            "start_ns": [None, None],
            "end_ns": [None, None],
            "bytes": [1, 2],
        }
    ).cast({"start_ns": pl.Int64, "end_ns": pl.Int64})
    assert normalize_flows(frame)["bytes"].to_list() == [1, 2]


def test_a_request_keeps_its_time_however_old():
    """Log files are read late: a proxy's clock is not second-guessed."""
    values = {"received_ns": RECEIVED, "start_ns": 1_600_000_000_123_456_789}
    row = normalize_requests(pl.DataFrame([values], schema=schema.DECODED_REQUESTS)).row(
        0, named=True
    )
    assert row["start_time"] == datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC)
