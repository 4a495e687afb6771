"""Calls that an id tells: of each side one record at most, and no other has the id."""

from collections import defaultdict
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import schema
from pipeline.stitch.by_id import calls_by_id, others

TEXT = pl.Schema(
    {
        name: pl.String() if isinstance(dtype, pl.Enum) else dtype
        for name, dtype in schema.REQUESTS.schema.items()
    }
)
COLUMNS = {
    name: schema.REQUESTS.schema[name]
    for name in ("request_id", "authority", "method", "path", "log_type", "is_health_check")
} | {"reporter": pl.String()}
CALL = {"request_id": "a", "authority": "reviews", "method": "GET", "path": "/"}


def row(reporter: str | None, **values: Any) -> dict[str, Any]:
    """A record of one call, unless something else is said."""
    return {**CALL, "reporter": reporter, **values}


def requests(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([{name: one.get(name) for name in COLUMNS} for one in rows], schema=COLUMNS)


SOURCE, DESTINATION = row("source"), row("destination")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([DESTINATION, SOURCE], [(1, 0, False)]),
        ([SOURCE], [(0, None, False)]),
        ([SOURCE, row("gateway")], [(0, None, True)]),
        ([SOURCE, row("waypoint"), DESTINATION], [(0, 2, True)]),
        ([SOURCE, row("unknown"), row(None), DESTINATION], [(0, 3, False)]),
        ([DESTINATION], []),
        ([SOURCE, SOURCE, DESTINATION], []),
        ([SOURCE, DESTINATION, DESTINATION], []),
        (
            [SOURCE, row("destination", path="/b"), row("source", path="/b")],
            [(0, None, False), (2, 1, False)],
        ),
        ([SOURCE, row("destination", authority=None)], [(0, None, False)]),
        ([row("source", request_id=None), row("destination", request_id=None)], []),
        (
            [SOURCE, row("destination", log_type="start"), row("destination", log_type="end")],
            [(0, 2, False)],
        ),
        ([SOURCE, row("destination", is_health_check=True)], [(0, None, False)]),
        ([], []),
    ],
)
def test_a_call_is_one_record_of_a_client_and_one_of_a_server_or_none(
    rows: list[dict[str, Any]], expected: list[tuple[int, int | None, bool]]
):
    """Worked by hand: rows of client and server, and whether a gateway told of it, too."""
    calls = calls_by_id(requests(rows))
    assert calls.rows() == expected
    assert calls.schema == {"client": pl.UInt32, "server": pl.UInt32, "is_passed": pl.Boolean}


@given(
    st.lists(
        st.builds(
            row,
            st.sampled_from(["source", "destination", "gateway", "unknown"]),
            request_id=st.sampled_from(["a", "b", None]),
            path=st.sampled_from(["/", "/b"]),
        ),
        max_size=12,
    )
)
def test_records_of_a_call_are_told_by_counting_them(rows: list[dict[str, Any]]):
    """As a dictionary of lists says; ends that are of no such call are left, in their order."""
    told: defaultdict[tuple[Any, ...], defaultdict[str, list[int]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for number, one in enumerate(rows):
        if one["request_id"]:
            told[one["request_id"], one["path"]][one["reporter"]].append(number)
    expected = sorted(
        (*of["source"], *(of["destination"] or [None]), bool(of["gateway"]))
        for of in told.values()
        if len(of["source"]) == 1 and len(of["destination"]) <= 1
    )
    calls = calls_by_id(requests(rows))
    assert calls.rows() == expected
    known = {number for client, server, _ in expected for number in (client, server)}
    left = [
        number
        for number, one in enumerate(rows)
        if number not in known and one["reporter"] in {"source", "destination"}
    ]
    numbered = schema.complete(
        requests(rows).with_columns(bytes_sent=pl.int_range(pl.len(), dtype=pl.UInt64)),
        TEXT,
    )
    assert others(numbered, calls)["bytes_sent"].to_list() == left
