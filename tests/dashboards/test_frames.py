"""Answers become Grafana's frames, or the error Grafana would show."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.expand import Fill
from dashboards.frames import Frame, FrameError, check_places, frame_of, node_graph

MINUTE = 60_000
T0 = 1_795_132_800_000
"""2026-11-20T00:00:00Z in milliseconds."""


def times(*minutes: int | None) -> pa.Array:
    """Minutes after T0."""
    return pa.array(
        [None if m is None else T0 + m * MINUTE for m in minutes], pa.timestamp("ms", "UTC")
    )


def series_of(columns: dict[str, object], **how: object) -> Frame:
    """A time series of columns."""
    return frame_of(pa.table(columns), time_series=True, **how)


def shown(frame: Frame) -> list[tuple[str, dict[str, str] | None, list[object]]]:
    """Name, labels and values of each field; times in minutes after T0."""
    return [
        (
            field.name,
            field.labels,
            [(value - T0) // MINUTE for value in values] if field.kind == "time" else values,
        )
        for field, values in zip(frame.fields, frame.json()["data"]["values"], strict=True)
    ]


def test_long_becomes_wide_with_labels():
    """One field for each value and pair of labels, sorted by both; a null label is empty text."""
    frame = series_of(
        {
            "time": times(0, 0, 1, 3),
            "to": ["b", "a", "b", None],
            "from": ["y", "x", "y", "x"],
            "calls": [1, 2, 3, 4],
            "bytes": [10.5, None, 30.5, 40.5],
        }
    )
    assert shown(frame) == [
        ("Time", None, [0, 1, 3]),
        ("bytes", {"to": "", "from": "x"}, [None, None, 40.5]),
        ("bytes", {"to": "a", "from": "x"}, [None, None, None]),
        ("bytes", {"to": "b", "from": "y"}, [10.5, 30.5, None]),
        ("calls", {"to": "", "from": "x"}, [None, None, 4.0]),
        ("calls", {"to": "a", "from": "x"}, [2.0, None, None]),
        ("calls", {"to": "b", "from": "y"}, [1.0, 3.0, None]),
    ]


def test_of_two_rows_of_one_series_and_time_the_last_counts():
    """As Grafana writes the cell twice."""
    frame = series_of({"time": times(0, 0), "s": ["a", "a"], "n": [1, 2]})
    assert shown(frame)[1] == ("n", {"s": "a"}, [2.0])


def test_a_column_metric_names_the_series():
    """Of three columns, `metric` is the name and no label; of more, a label."""
    three = series_of({"time": times(0, 0), "metric": ["b", "a"], "value": [1, 2]})
    assert shown(three)[1:] == [("a", None, [2.0]), ("b", None, [1.0])]
    four = series_of({"time": times(0), "metric": ["a"], "n": [1], "m": [2]})
    assert shown(four)[1:] == [("m", {"metric": "a"}, [2.0]), ("n", {"metric": "a"}, [1.0])]


def test_without_text_a_series_is_wide_already_and_stays_in_order():
    """Truth is a number in a time series; columns are not sorted."""
    frame = series_of({"time": times(0, 1), "b": [True, False], "a": [Decimal("1.5"), None]})
    assert shown(frame) == [
        ("Time", None, [0, 1]), ("b", None, [1.0, 0.0]), ("a", None, [1.5, None]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"at": times(0), "n": [1]}, "time column is missing"),
        ({"Time": times(0), "n": [1]}, "time column is missing"),
        ({"time": ["today"], "n": [1]}, "converting time columns failed"),
        ({"time": times(1, 0), "s": ["a", "a"], "n": [1, 2]}, "not sorted in ascending order"),
        ({"time": times(0, None), "s": ["a", "a"], "n": [1, 2]}, "null time values"),
        ({"time": times(0), "n": [{"a": 1}]}, "convert value to float failed"),
        (
            {
                "time": times(*range(2_000)),
                "s": [str(n) for n in range(2_000)],
                "n": list(range(2_000)),
            },
            "more than 2000000 cells",
        ),
    ],
)
def test_what_grafana_refuses_is_refused(columns: dict[str, object], message: str):
    """In its words."""
    with pytest.raises(FrameError, match=message):
        series_of(columns)


def test_no_rows_are_no_fields():
    """Which is why an edges query without rows counts as nodes."""
    empty = pa.table({"time": times(), "n": pa.array([], pa.int64())})
    assert frame_of(empty, time_series=True).fields == ()
    assert frame_of(empty, time_series=False).json()["data"]["values"] == []


GAPS = {"time": times(1, 2, 5), "s": ["a", "b", "a"], "n": [1, 2, 3]}


@pytest.mark.parametrize(
    ("fill", "a", "b"),
    [
        (Fill("null", MINUTE), [None, 1, None, None, None, 3, None], [None, None, 2, None, None, None, None]),
        (Fill("value", MINUTE, 7.0), [7, 1, 7, 7, 7, 3, 7], [7, 7, 2, 7, 7, 7, 7]),
        (Fill("previous", MINUTE), [None, 1, 1, 1, 1, 3, 3], [None, None, 2, 2, 2, 2, 2]),
    ],
)  # fmt: skip
def test_gaps_are_filled(fill: Fill, a: list[float | None], b: list[float | None]):
    """Between series of one time, and over the whole range, from its start rounded down."""
    frame = series_of(
        GAPS,
        fill=fill,
        from_time=datetime(2026, 11, 20, 0, 0, 30, tzinfo=UTC),
        to_time=datetime(2026, 11, 20, 0, 6, 30, tzinfo=UTC),
    )
    assert shown(frame) == [
        ("Time", None, [0, 1, 2, 3, 4, 5, 6]), ("n", {"s": "a"}, a), ("n", {"s": "b"}, b),
    ]  # fmt: skip


def test_a_filled_interval_takes_the_last_row_before_its_end():
    """Rows between two points count for the later one."""
    frame = series_of(
        {"time": times(1, 2, 3), "n": [1, 2, 3]},
        fill=Fill("null", 2 * MINUTE),
        from_time=datetime(2026, 11, 20, tzinfo=UTC),
        to_time=datetime(2026, 11, 20, 0, 6, tzinfo=UTC),
    )
    assert shown(frame) == [("Time", None, [0, 2, 4, 6]), ("n", None, [None, 2.0, 3.0, None])]


@pytest.mark.parametrize("fill", [Fill("null", 500), Fill("null", 1000)])
def test_filling_is_bounded(fill: Fill):
    """An interval below a second, and a year of seconds."""
    with pytest.raises(FrameError):
        series_of(
            GAPS,
            fill=fill,
            from_time=datetime(2026, 1, 1, tzinfo=UTC),
            to_time=datetime(2027, 1, 1, tzinfo=UTC),
        )


def test_a_table_keeps_kinds():
    """Of every type the lake has; lists are written as PostgreSQL writes arrays."""
    answer = duckdb.sql("""
        SELECT TIMESTAMPTZ '2026-11-20 00:00:00.0019999+00' AS time, DATE '2026-11-20' AS TimeEnd,
               TIMESTAMP_NS '2026-11-20 00:00:00' AS at, 1::HUGEINT AS huge, 1.50::DECIMAL(9, 2) AS price,
               'nan'::DOUBLE AS nan, true AS yes, 'a'::ENUM ('a', 'b') AS level, ['x', NULL, 'y'] AS names,
               []::VARCHAR[] AS none, NULL::INTEGER[] AS no_list, [1, 2] AS numbers, {'a': 1} AS pair,
               UUID '00000000-0000-0000-0000-000000000001' AS id, INTERVAL 1 DAY AS span,
               TIME '01:02:03' AS clock, NULL AS nothing, 'b'::BLOB AS bytes""")
    frame = frame_of(answer.to_arrow_table(), time_series=False)
    values = dict(
        zip((field.name for field in frame.fields), frame.json()["data"]["values"], strict=True)
    )
    kinds = {field.name: field.kind for field in frame.fields}
    assert {name for name, kind in kinds.items() if kind == "time"} == {"time", "TimeEnd", "at"}
    assert {name for name, kind in kinds.items() if kind == "number"} == {
        "huge", "price", "nan", "nothing",
    }  # fmt: skip
    assert kinds["yes"] == "boolean"
    assert kinds["pair"] == "other"
    assert values["time"] == [T0 + 1]
    assert values["TimeEnd"] == values["at"] == [T0]
    assert values["huge"] == [1.0]
    assert values["price"] == [1.5]
    assert values["nan"] == values["nothing"] == values["no_list"] == [None]
    assert values["names"] == ["{x,NULL,y}"]
    assert values["none"] == ["{}"]
    assert values["numbers"] == ["{1,2}"]
    assert values["id"] == [str(UUID(int=1))]
    assert values["clock"] == ["01:02:03"]
    json.dumps(frame.json(), allow_nan=False)


def test_a_list_reads_back():
    """As PostgreSQL quotes what would not."""
    lists = pa.array([["a b", "c,d", 'e"f', "g\\h", "", "null", "x"], [], None, ["y"]])
    frame = frame_of(pa.table({"l": lists}), time_series=False)
    assert frame.json()["data"]["values"][0] == [
        '{"a b","c,d","e\\"f","g\\\\h","","null",x}', "{}", None, "{y}",
    ]  # fmt: skip
    nested = frame_of(pa.table({"l": [[["a", "b c"], []]]}), time_series=False)
    assert nested.json()["data"]["values"][0] == ['{{a,"b c"},{}}']


@pytest.mark.parametrize(
    ("number", "ms"),
    [(1_795_132_800, T0), (T0, T0), (1_795_132_800_000_000_000, T0), (1_795_132_800.5, T0 + 500)],
)
def test_a_number_in_the_column_time_is_a_time(number: float, ms: int):
    """Seconds, milliseconds or nanoseconds, by how large it is."""
    frame = series_of({"time": [number], "n": [1]})
    assert frame.json()["data"]["values"][0] == [ms]


def test_an_infinite_time_is_refused():
    """Grafana's driver can not read it, so a query must not answer it."""
    answer = duckdb.sql("SELECT TIMESTAMPTZ 'infinity' AS until")
    with pytest.raises(FrameError, match="until: a time is infinite"):
        frame_of(answer.to_arrow_table(), time_series=False)


def table(name: str, **columns: object) -> Frame:
    """A table, as a node graph asks."""
    return frame_of(pa.table(columns), ref_id=name, time_series=False)


NODES = table("nodes", id=["a", "b"], title=["A", "B"])
EDGES = table("edges", id=["a b"], source=["a"], target=["b"])


def test_a_node_graph_has_nodes_and_edges():
    """Told apart by the field `source`; the first of each counts."""
    assert node_graph([NODES, EDGES]) == (NODES, EDGES)
    assert node_graph([EDGES, NODES]) == (NODES, EDGES)
    assert node_graph([NODES, Frame("edges", ())]) == (NODES, None)
    assert node_graph([Frame("nodes", ()), Frame("edges", ())]) == (Frame("nodes", ()), None)
    assert node_graph([Frame("edges", ()), NODES])[0].ref_id == "edges"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([NODES, table("edges", id=["x"], source=["a"], target=["c"])], "no node: c"),
        ([NODES, table("edges", id=["x"], source=["a"])], "edges: no field target"),
        ([NODES, table("edges", source=["a"], target=["b"])], "edges: no field id"),
        ([table("nodes", title=["A"])], "nodes: no field id"),
        ([table("nodes", id=["a", None])], "nodes: id is null"),
        ([table("nodes", id=["a", "a"])], "same id"),
        ([table("nodes", id=["a", "b"], fixedX=[1.0, None])], "fixedx is set for some"),
        ([Frame("nodes", ()), EDGES], "edges and no nodes"),
    ],
)
def test_what_breaks_a_node_graph_is_refused(frames: list[Frame], message: str):
    """Grafana shows an error, or nothing at all."""
    with pytest.raises(FrameError, match=message):
        node_graph(frames)


def test_places_are_on_the_globe():
    """A marker needs two numbers."""
    check_places(table("nodes", latitude=[52.5, -90.0], longitude=[13.4, 180.0]))
    check_places(Frame("nodes", ()))
    for columns in (
        {"latitude": [52.5]},
        {"latitude": ["52"], "longitude": [13]},
        {"latitude": [52.5, None], "longitude": [13.4, 0.0]},
        {"latitude": [152.5], "longitude": [13.4]},
    ):
        with pytest.raises(FrameError):
            check_places(table("nodes", **columns))


CELL = st.one_of(st.none(), st.text(max_size=3), st.integers(-5, 5), st.booleans(), st.dates(min_value=date(1970, 1, 1)))  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["time", "timeend", "metric", "a", "b"]),
        st.lists(CELL, min_size=2, max_size=2),
        min_size=1,
    ),
    st.booleans(),
)
def test_any_table_is_a_frame_or_an_error(columns: dict[str, list[object]], time_series: bool):
    """Nothing an answer holds raises anything else; what comes out is JSON."""
    try:
        made = pa.table({name: pa.array(values) for name, values in columns.items()})
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return
    try:
        frame = frame_of(made, time_series=time_series)
    except FrameError:
        return
    json.dumps(frame.json(), allow_nan=False)
