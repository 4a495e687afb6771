"""`crosspane.connect`: which lake it finds, what it says where there is none, and what it answers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import crosspane

_FIRST = datetime(2026, 11, 24, 3, 2, 50, 997000, UTC)  # of the captures, by nfdump: 03:02:50
_DENIED = "SELECT count(*) AS calls FROM v_calls WHERE status = $status"


@pytest.fixture(scope="module")
def pane(demo: tuple[Path, str]) -> Iterator[crosspane.Pane]:
    """The demo's lake, connected to."""
    with crosspane.connect(demo[0] / "lake") as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with nothing in it, and nothing in the environment."""
    monkeypatch.delenv("CROSSPANE_LAKE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lake_in(folder: Path) -> Path:
    """What is taken for a lake, until it is opened."""
    folder.mkdir(parents=True)
    (folder / "catalog.sqlite").touch()
    return folder


def test_a_query_a_view_and_its_attribute_give_the_same(pane: crosspane.Pane):
    """Six gateways' addresses are seen from three networks, however they are asked for."""
    asked = "SELECT * FROM v_gateways ORDER BY ALL"
    assert pane.sql(asked).fetchall() == pane.v_gateways.order("ALL").fetchall()
    assert pane.polars("v_gateways").height == pane.arrow("v_gateways").num_rows == 6


def test_answers_come_as_duckdb_polars_and_arrow(pane: crosspane.Pane):
    """28 calls were denied, by the clients' own count."""
    assert isinstance(pane.sql(_DENIED, status=403), duckdb.DuckDBPyRelation)
    assert pane.polars(_DENIED, status=403).equals(pl.DataFrame({"calls": [28]}))
    table = pane.arrow(_DENIED, status=403)
    assert isinstance(table, pa.Table)
    assert table.to_pylist() == [{"calls": 28}]


def test_the_span_is_that_of_the_recording(pane: crosspane.Pane):
    """From the first flow to the last, in UTC; a fact is never outside."""
    span = pane.span()
    assert span.first == _FIRST
    assert span.last is not None
    assert timedelta(seconds=79) < span.last - span.first < timedelta(seconds=82)
    outside = "SELECT count(*) FROM v_calls WHERE start_time NOT BETWEEN $first AND $last"
    assert pane.sql(outside, **span._asdict()).fetchall() == [(0,)]


def test_views_are_listed_and_completed(pane: crosspane.Pane):
    """Each with its question; a notebook shows a table of them."""
    assert pane.views["v_edges"] == "Who called whom, minute by minute, and how well did it go?"
    assert {"v_edges", "v_flows", "polars"} <= set(dir(pane))
    shown = pane._repr_html_()
    assert shown.count("<tr>") == len(pane.views) + len(pane.functions) > 40
    assert "2026-11-24 03:02:50 to 2026-11-24 03:04:11 UTC" in shown
    assert repr(pane) == f"Pane('{pane.lake}'): 2026-11-24 03:02:50 to 2026-11-24 03:04:11 UTC"
    assert str(crosspane.Span(None, None)) == "no data yet"


def test_a_function_is_of_all_there_is_unless_told(pane: crosspane.Pane):
    """Calls of the whole recording; of a span before it, none."""
    calls = pane.topology_edges("cluster").filter("kind = 'call'").sum("requests")
    assert calls.fetchall() == [(1948,)]
    before = pane.topology_edges("cluster", to_time="2026-11-24T03:00Z", from_time="2026-11-24")
    assert before.fetchall() == []
    assert "topology_edges(level, from_time, to_time)" in pane.functions
    assert "topology_edges" in dir(pane)


@pytest.mark.parametrize(
    ("arguments", "named", "wrong"),
    [
        ((), {}, "topology_edges(level, from_time, to_time): level is missing"),
        (("cluster",), {"size": 1}, "not size"),
        (("cluster", 1, 2, 3), {}, "not so many values"),
        (("cluster", "now"), {}, "from_time: Invalid isoformat string: 'now'; for instance"),
    ],
)
def test_a_function_says_how_it_is_called(
    pane: crosspane.Pane, arguments: tuple[object, ...], named: dict[str, object], wrong: str
):
    """What of the call does not fit is named."""
    with pytest.raises(crosspane.UsageError) as raised:
        pane.topology_edges(*arguments, **named)
    assert wrong in str(raised.value)


def test_a_view_is_explained(pane: crosspane.Pane):
    """Columns in order, with type and meaning."""
    about = pane.about("v_response_flags")
    assert about.columns == ["column", "type", "meaning"]
    assert about.row(0) == ("flag", "VARCHAR", "short form, as in `v_requests.response_flags`")


def test_a_name_that_is_nearly_one_is_helped(pane: crosspane.Pane):
    """As an attribute and as a view to explain; what editors probe for gives no advice."""
    with pytest.raises(AttributeError, match=r"^no view v_edgez: v_edges\?$"):
        _ = pane.v_edgez
    with pytest.raises(crosspane.UsageError, match=r"^no view nothing; `views` lists them$"):
        pane.about("nothing")
    assert not hasattr(pane, "_repr_png_")


def test_nothing_can_be_changed(pane: crosspane.Pane):
    """The lake is attached to be read."""
    for statement in ("CREATE TABLE x (i INT)", "DELETE FROM flows", "DROP VIEW v_edges"):
        with pytest.raises(duckdb.Error, match="read-only"):
            pane.sql(statement)


def test_a_lake_is_shown_as_it_was(pane: crosspane.Pane):
    """At its last snapshot all is there; a day before its first there is no lake."""
    first, last = pane.connection.execute(
        "SELECT min(snapshot_time), max(snapshot_time) FROM ducklake_snapshots('lake')"
    ).fetchone()
    with crosspane.connect(pane.lake, at=last) as then:
        assert then.polars("v_gateways").height == 6
    with pytest.raises(crosspane.LakeError, match="cannot open the lake"):
        crosspane.connect(pane.lake, at=first - timedelta(days=1))


@pytest.mark.parametrize("at", ["2026-11-24T03:04", datetime(2026, 11, 24, 3, 4)])  # noqa: DTZ001
def test_a_time_without_a_zone_is_utc(at: str | datetime):
    """Text or datetime."""
    assert crosspane._time("at", at) == datetime(2026, 11, 24, 3, 4, tzinfo=UTC)
    east = datetime(2026, 11, 24, 5, 4, tzinfo=timezone(timedelta(hours=2)))
    assert crosspane._time("at", east) == east


def test_what_is_no_time_is_said(folder: Path):
    """With one that is."""
    with pytest.raises(crosspane.UsageError, match="2026-11-24T03:04Z"):
        crosspane.connect(lake_in(folder / "lake"), at="yesterday")


def test_the_lake_found_is_the_nearest_above(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """That of `up` before the demo's, in this folder before those above; a variable before both."""
    demo = lake_in(folder / "crosspane-data/demo/lake")
    assert crosspane._find(None) == demo
    up = lake_in(folder / "crosspane-data/lake")
    below = folder / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    assert crosspane._find(None) == up
    own = lake_in(below / "crosspane-data/demo/lake")
    assert crosspane._find(None) == own
    named = lake_in(folder / "elsewhere")
    monkeypatch.setenv("CROSSPANE_LAKE", str(named))
    assert crosspane._find(None) == named
    assert crosspane._find(demo) == demo


def test_where_no_lake_is_one_is_told_how_to_make_it(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Which folders were looked in, and the commands; a name that is wrong is not passed over."""
    with pytest.raises(crosspane.LakeError, match="`crosspane demo`") as raised:
        crosspane.connect()
    assert str(folder) in str(raised.value)
    lake_in(folder / "crosspane-data/lake")
    monkeypatch.setenv("CROSSPANE_LAKE", "gone")
    with pytest.raises(crosspane.LakeError, match=r"^no lake at gone \(CROSSPANE_LAKE\)"):
        crosspane.connect()
    with pytest.raises(crosspane.LakeError, match=r"^no lake at there:"):
        crosspane.connect("there")
