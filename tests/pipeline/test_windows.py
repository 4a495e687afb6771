"""Minutes that are over are worked out once, and again for what comes late; across restarts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline import schema
from pipeline import windows as minutes
from pipeline.lake import Commit, Lake
from pipeline.memory import asked
from pipeline.windows import Stage, Window, Windows

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
GRACE, LATE = timedelta(seconds=30), timedelta(hours=1)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def flows(*seconds: float) -> dict[str, pl.DataFrame]:
    """Flows that begin so many seconds after noon."""
    times = pl.DataFrame({"start_time": [at(second) for second in seconds]})
    return {"flows": schema.complete(times, schema.FLOWS.schema)}


def counting(lake: Lake, window: Window) -> Commit:
    """A stage: how many flows the minute has, as rows of a table that is there anyway."""
    inside = f"start_time >= '{window.start}' AND start_time < '{window.end}'"
    (count,) = lake.read(f"SELECT count(*) FROM flows WHERE {inside}").row(0)
    row = {"minute": window.start, "reason": "counted", "payloads": count}
    rows = schema.complete(pl.DataFrame([row]), schema.AGENT_DROPS.schema)
    return Commit({"agent_drops": rows}, cleared={"agent_drops": f"minute = '{window.start}'"})


def counts(lake: Lake) -> list[tuple[float, int]]:
    query = "SELECT minute, payloads FROM agent_drops ORDER BY minute"
    return [((minute - NOON).total_seconds(), count) for minute, count in lake.read(query).rows()]


def commit(lake: Lake, windows: Windows, frames: dict[str, pl.DataFrame], newest: float) -> None:
    """Rows, with the minutes they make stale."""
    marked = windows.mark(frames, at(newest))
    rows = {**frames, schema.WINDOWS.name: marked}
    lake.commit(Commit(rows, replaced={schema.WINDOWS.name: "window_start"}))


def windows_of(lake: Lake, *stages: Stage) -> Windows:
    return Windows(lake, GRACE, LATE, stages or (counting,))


def test_a_minute_is_worked_out_when_it_is_over_and_not_before(tmp_path: Path):
    """Half a minute after its end, by the newest row."""
    with Lake(tmp_path) as lake:
        windows = windows_of(lake)
        commit(lake, windows, flows(21, 22, 81), 89.9)
        assert windows.close(at(89.9)) == 0
        assert windows.close(at(90)) == 1
        assert counts(lake) == [(0, 2)]
        assert windows.close(at(91)) == 0
        assert windows.close(at(91), everything=True) == 1
        assert counts(lake) == [(0, 2), (60, 1)]


def test_rows_that_come_late_change_what_was_worked_out(tmp_path: Path):
    """Once more, in place of what was there; not beyond an hour."""
    with Lake(tmp_path) as lake:
        windows = windows_of(lake)
        commit(lake, windows, flows(21), 100)
        windows.close(at(100))
        commit(lake, windows, flows(22, 23), 200)
        assert counts(lake) == [(0, 1)]
        windows.close(at(200))
        assert counts(lake) == [(0, 3)]
        commit(lake, windows, flows(3_650), 3_700)
        assert windows.close(at(3_700)) == 1
        commit(lake, windows, flows(24), 3_701)
        assert windows.close(at(3_701)) == 0


def test_a_job_that_starts_knows_what_is_stale(tmp_path: Path):
    """The one before it committed rows and died before it worked their minute out."""
    with Lake(tmp_path) as lake:
        commit(lake, windows_of(lake), flows(21), 100)
    with Lake(tmp_path) as lake:
        windows = windows_of(lake)
        assert windows.close(at(100)) == 1
        assert counts(lake) == [(0, 1)]
    with Lake(tmp_path) as lake:
        assert windows_of(lake).close(at(100)) == 0


def test_a_stage_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The minute is done, as far as it can be."""

    def failing(lake: Lake, window: Window) -> Commit:
        raise duckdb.Error(f"no {lake} {window}")

    with Lake(tmp_path) as lake:
        windows = windows_of(lake, failing, counting)
        commit(lake, windows, flows(21), 100)
        assert windows.close(at(100)) == 1
        assert counts(lake) == [(0, 1)]
        stale = lake.read("SELECT stale, closed_time IS NOT NULL FROM windows").rows()
        assert stale == [(False, True)]
    assert "failing of 2026-11-26T12:00:00+00:00 failed" in caplog.text


def test_a_row_beside_a_minute_makes_it_stale_too(tmp_path: Path):
    """What a stage reads of its neighbours may be other then."""
    with Lake(tmp_path) as lake:
        windows = windows_of(lake)
        commit(lake, windows, flows(70, 105.5), 300)
        stale = lake.read("SELECT window_start FROM windows ORDER BY ALL")["window_start"]
        assert [(start - NOON).total_seconds() for start in stale] == [0, 60, 120]


def test_records_older_than_what_is_received_now_are_worked_out(tmp_path: Path):
    """A recording: late is what is behind the newest record, not behind its receipt."""
    with Lake(tmp_path) as lake:
        windows = windows_of(lake)
        commit(lake, windows, flows(30, 90), 200_000)
        windows.close(at(200_000))
        assert counts(lake) == [(0, 1), (60, 1)]


def test_a_job_that_is_behind_goes_on_taking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Minutes are worked out for a while, then rows are; the rest waits. At the end, all are."""
    monkeypatch.setattr("pipeline.windows.BUDGET_S", 0.0)
    with Lake(tmp_path) as lake:
        windows = windows_of(lake)
        commit(lake, windows, flows(30, 90, 150, 210), 400)
        assert [windows.close(at(400)), windows.close(at(400))] == [1, 1]
        assert counts(lake) == [(0, 1), (60, 1)]
        assert windows.close(at(400), everything=True) == 2


def test_a_minute_that_only_statistics_tell_of_is_worked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A probe makes its own minute stale, and what is made of records is not made again for it."""
    seen: list[str] = []

    def judging(lake: Lake, window: Window) -> None:
        del lake
        seen.append(f"{window.start:%H:%M}")

    monkeypatch.setattr(minutes, "_OF_RECORDS", frozenset({counting}))
    probes = schema.complete(pl.DataFrame({"start_time": [at(59)]}), schema.PROBES.schema)
    with Lake(tmp_path) as lake:
        windows = windows_of(lake, counting, judging)
        commit(lake, windows, {"probes": probes}, 100)
        assert windows.close(at(100)) == 1
        assert (seen, counts(lake)) == (["12:00"], [])
        commit(lake, windows, flows(30), 110)
        assert windows.close(at(110)) == 1
        assert (seen, counts(lake)) == (["12:00", "12:00"], [(0, 1)])


def test_a_minute_is_new_once(tmp_path: Path):
    """Of a new one nothing is there to replace: not of one that is done again, nor after a restart."""
    told = []

    def noting(_: Lake, window: Window) -> None:
        told.append(((window.start - NOON).total_seconds(), window.is_new))

    with Lake(tmp_path) as lake:
        windows = windows_of(lake, noting)
        for second in (30, 90, 31):
            commit(lake, windows, flows(second), 200)
            windows.close(at(200))
        commit(lake, windows, flows(91), 200)
    with Lake(tmp_path) as lake:
        windows = windows_of(lake, noting)
        commit(lake, windows, flows(150), 300)
        windows.close(at(300))
    assert told == [(0, True), (60, True), (0, False), (60, False), (120, True)]


def test_a_query_that_fails_takes_nothing_from_the_stages_after_it(tmp_path: Path):
    """What it brought into memory is gone with its transaction, and is brought again."""
    endpoint = {"endpoint_id": 7, "kind": "pod", "cluster": "c", "namespace": "n", "workload": "w"}
    rows = schema.complete(pl.DataFrame([endpoint]), schema.ENDPOINTS.schema)
    seen = []

    def failing(lake: Lake, _: Window) -> None:
        seen.append(asked(lake, "SELECT entity FROM v_endpoints", {}).rows())
        asked(lake, "SELECT error('no')", {})

    def asking(lake: Lake, window: Window) -> Commit:
        seen.append(asked(lake, "SELECT entity FROM v_endpoints", {}).rows())
        return counting(lake, window)

    with Lake(tmp_path) as lake:
        lake.commit(Commit({"endpoints": rows}))
        windows = windows_of(lake, failing, asking)
        commit(lake, windows, flows(30), 100)
        windows.close(at(100))
        assert counts(lake) == [(0, 1)]
    assert seen == [[("c/n/w",)], [("c/n/w",)]]


def test_names_are_those_of_the_endpoints_there_are(tmp_path: Path):
    """What is put together of endpoints is so again when there are others, not before."""
    one = {"endpoint_id": 1, "kind": "node", "cluster": "c", "node": "a"}
    seen = []

    def asking(lake: Lake, _: Window) -> None:
        seen.append(asked(lake, "SELECT entity FROM v_endpoints ORDER BY entity", {}).rows())

    with Lake(tmp_path) as lake:
        windows = windows_of(lake, asking)
        for minute, row in enumerate((one, None, one | {"endpoint_id": 2, "node": "b"})):
            if row:
                rows = schema.complete(pl.DataFrame([row]), schema.ENDPOINTS.schema)
                lake.commit(Commit({"endpoints": rows}))
            commit(lake, windows, flows(60 * minute + 30), 60 * minute + 100)
            windows.close(at(60 * minute + 100))
    assert seen == [[("c/node/a",)], [("c/node/a",)], [("c/node/a",), ("c/node/b",)]]
