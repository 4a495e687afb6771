"""Findings over minutes: opened, updated, closed, opened again, across restarts."""

import contextlib
from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from small_lake import number as address
from troubled import CART, NOON, WEB, Row, at, calls, endpoint, fleet

from pipeline import schema
from pipeline.findings import stage
from pipeline.findings.kinds import FINDINGS
from pipeline.findings.moment import moment
from pipeline.findings.stage import FAILED, findings
from pipeline.health.stage import health
from pipeline.lake import Commit, Lake
from pipeline.rollup import rollup
from pipeline.windows import Window, Windows

TABLES = {table.name: table.schema for table in schema.TABLES}
SERVICE = next(kind for kind in FINDINGS if kind.name == "unhealthy_service")
ONE = SERVICE._replace(by_time=True)
STATE = f"""SELECT entity, severity, epoch(opened_time - noon) // 60, epoch(last_seen - noon) // 60,
    epoch(closed_time - noon) // 60, evaluations_missed, times_reopened
    FROM v_findings, (SELECT TIMESTAMPTZ '{NOON.isoformat()}' AS noon)
    WHERE kind <> '{FAILED}' ORDER BY entity"""


class Adding:
    """Adds rows to a lake."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def add(self, table: str, *rows: Row) -> None:
        """Commit rows; ``{name}_ip`` is text of IPv4."""
        full = []
        for row in rows:
            out = dict(row)
            for key in [key for key in row if key.endswith("_ip")]:
                out[f"{key}_hi"], out[f"{key}_lo"] = address(out.pop(key))
            full.append(out)
        known = {key: TABLES[table][key] for row in full for key in row}
        frame = schema.complete(pl.DataFrame(full, schema=known), TABLES[table])
        self.lake.commit(Commit({table: frame}))


class Told:
    """A moment that says what a test has it say: entity and severity, or an error."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.error = ""

    def ask(self, query: str, lookback: timedelta, only_if: str) -> list[Row]:
        """What there is to look at."""
        del lookback, only_if
        if self.error:
            raise duckdb.BinderException(self.error)
        most = int(query.rpartition("LIMIT")[2])
        return [
            {"entity": entity, "severity": severity, "clusters": ["east"], "summary": severity}
            for entity, severity in self.rows
        ][:most]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """One kind, and what its query gives."""
    then = Told()

    @contextlib.contextmanager
    def moment(lake: Lake, until: datetime, made: object) -> Iterator[Told]:
        del lake, until, made
        yield then

    monkeypatch.setattr(stage, "moment", moment)
    monkeypatch.setattr(stage, "FINDINGS", (ONE,))
    return then


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    with Lake(tmp_path_factory.mktemp("findings")) as opened:
        fleet(Adding(opened))
        yield opened


@pytest.fixture
def lake(shared: Lake) -> Lake:
    """The fleet, at peace, in a real lake without findings."""
    for table in ("findings", "finding_runs"):
        shared.connection.execute(f"DELETE FROM {table}")
    return shared


def minute(lake: Lake, number: int) -> Commit | None:
    """Minute ``number`` after noon is over; what that changes is committed."""
    done = findings(lake, Window(at(60 * number), at(60 * number + 60)))
    if done is not None:
        lake.commit(done)
    return done


def state(lake: Lake) -> list[tuple[Any, ...]]:
    return lake.read(STATE).rows()


CART_FAILS = ("east/shop/cart", "error")


def test_a_finding_is_opened_updated_closed_and_opened_again(lake: Lake, told: Told):
    """Two looks without it close it; what comes back is the same one, opened again."""
    told.rows = [CART_FAILS]
    minute(lake, 0)
    assert state(lake) == [(*CART_FAILS, 1, 1, None, 0, 0)]
    minute(lake, 1)
    assert state(lake) == [(*CART_FAILS, 1, 2, None, 0, 0)]
    told.rows = []
    minute(lake, 2)
    assert state(lake) == [(*CART_FAILS, 1, 2, None, 1, 0)]
    minute(lake, 3)
    minute(lake, 4)
    assert state(lake) == [(*CART_FAILS, 1, 2, 4, 2, 0)]
    told.rows = [CART_FAILS]
    minute(lake, 9)
    assert state(lake) == [(*CART_FAILS, 10, 10, None, 0, 1)]
    assert lake.read("SELECT first_seen FROM findings").item() == at(60)


def test_one_miss_closes_nothing(lake: Lake, told: Told):
    """What comes and goes stays open."""
    for number in range(6):
        told.rows = [] if number % 2 else [CART_FAILS]
        minute(lake, number)
    assert state(lake) == [(*CART_FAILS, 1, 5, None, 1, 0)]


def test_it_is_known_by_what_it_is_about(lake: Lake, told: Told):
    """The id is the hash of kind and entity, in every lake; severity and words may change."""
    told.rows = [("east/shop/cart", "warning")]
    minute(lake, 0)
    told.rows = [CART_FAILS]
    minute(lake, 1)
    query = "SELECT finding_id, severity, summary, epoch(opened_time) FROM findings"
    assert lake.read(query).rows() == [(0xE5D4DA83A8EBC884, "error", "error", at(60).timestamp())]


def test_a_minute_that_is_worked_out_again_changes_nothing(lake: Lake, told: Told):
    """Neither the same minute nor an earlier one: later minutes look back on it."""
    told.rows = [CART_FAILS]
    minute(lake, 1)
    before = state(lake)
    told.rows = []
    assert minute(lake, 1) is None
    assert minute(lake, 0) is None
    assert state(lake) == before


def test_a_job_that_starts_goes_on(tmp_path: Path, told: Told):
    """What was open stays open, with times and misses; what was not committed was not found."""
    told.rows = [CART_FAILS]
    with Lake(tmp_path) as lake:
        minute(lake, 0)
        told.rows = []
        findings(lake, Window(at(60), at(120)))  # killed before this was committed
    with Lake(tmp_path) as lake:
        assert state(lake) == [(*CART_FAILS, 1, 1, None, 0, 0)]
        minute(lake, 5)
    with Lake(tmp_path) as lake:
        minute(lake, 6)
        assert state(lake) == [(*CART_FAILS, 1, 1, 7, 2, 0)]


def test_a_query_that_fails_is_told_and_closes_nothing(lake: Lake, told: Told):
    """A finding of its own says which kind fails; that kind's stay; it ends with the failure."""
    told.rows = [CART_FAILS]
    minute(lake, 0)
    told.error = "no_such_view\nand where"
    for number in (1, 2, 3):
        minute(lake, number)
    assert state(lake) == [(*CART_FAILS, 1, 1, None, 0, 0)]
    failed = "SELECT entity, state, summary, clusters FROM v_findings WHERE kind = 'finding_failed'"
    assert lake.read(failed).rows() == [("unhealthy_service", "open", "no_such_view", [])]
    runs = lake.read("SELECT kind, found, error FROM finding_runs").rows()
    assert runs == [("unhealthy_service", None, told.error)]
    told.error, told.rows = "", []
    minute(lake, 4)
    minute(lake, 5)
    assert lake.read(failed).rows() == [("unhealthy_service", "closed", "no_such_view", [])]
    assert state(lake) == [(*CART_FAILS, 1, 1, 6, 2, 0)]


def test_of_too_many_the_first_are_kept(lake: Lake, told: Told, monkeypatch: pytest.MonkeyPatch):
    """That there are more is told, and what is not among them is not closed for it."""
    monkeypatch.setattr(stage, "MOST", 2)
    told.rows = [("a", "info"), ("b", "info")]
    minute(lake, 0)
    told.rows = [("c", "error"), ("a", "info"), ("b", "info")]
    for number in (1, 2, 3):
        minute(lake, number)
    found = lake.read("SELECT kind, entity FROM v_findings WHERE state = 'open' ORDER BY ALL")
    assert found.rows() == [
        (FAILED, "unhealthy_service"),
        *(("unhealthy_service", entity) for entity in "abc"),
    ]


def test_a_kind_that_is_gone_closes_its_findings(
    lake: Lake, told: Told, monkeypatch: pytest.MonkeyPatch
):
    """They were an older crosspane's."""
    told.rows = [CART_FAILS]
    minute(lake, 0)
    told.rows = []
    monkeypatch.setattr(stage, "FINDINGS", (ONE._replace(name="other"),))
    minute(lake, 1)
    assert state(lake) == [(*CART_FAILS, 1, 1, 2, 0, 0)]


def test_what_is_asked_seldom_is_asked_seldom(
    lake: Lake, told: Told, monkeypatch: pytest.MonkeyPatch
):
    """Every ten minutes of the records' time, the first time at once."""
    del told
    monkeypatch.setattr(stage, "FINDINGS", (ONE._replace(every=timedelta(minutes=10)),))
    asked = [number for number in range(25) if minute(lake, number) is not None]
    assert asked == [0, 10, 20]


def test_a_job_that_is_behind_leaves_minutes_out(lake: Lake, told: Told):
    """Where minutes three later wait, what was wrong then is not looked for; a clock that is ahead counts not."""
    told.rows = [CART_FAILS]
    waiting = [(at(60 * number), True, None) for number in (5, 6, 7, 8, 60 * 24 * 365)]
    frame = pl.DataFrame(waiting, schema.WINDOWS.schema, orient="row")
    lake.commit(Commit({"windows": frame}, replaced={"windows": None}))
    Adding(lake).add("accounting", {"vantage_id": 1, "minute": at(600), "received_payloads": 1})
    done = [number for number in (5, 6, 7, 8) if minute(lake, number) is not None]
    lake.connection.execute("DELETE FROM windows")
    lake.connection.execute(f"DELETE FROM accounting WHERE minute > '{NOON.isoformat()}'")
    assert done == [6, 7, 8]
    assert state(lake) == [(*CART_FAILS, 7, 9, None, 0, 0)]


def test_in_a_real_lake_the_end_of_the_minute_is_now(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """Every query is valid; what was wrong then is found, nothing that came after, and what is over is not."""
    adding = Adding(lake)
    adding.add("endpoints", endpoint(31, "east", "rogue", "10.1.0.1"))
    adding.add("requests", *calls(30, WEB, CART, status=503, start_time=at(600)))
    minute(lake, 0)
    open_ones = "SELECT kind, entity FROM v_findings WHERE state = 'open' ORDER BY kind"
    conflict, service = ("ip_conflict", "net-east 10.1.0.1/32"), (ONE.name, "east/shop/cart")
    assert lake.read(open_ones).rows() == [conflict]
    runs = lake.read("SELECT kind, error FROM finding_runs").rows()
    assert sorted(runs) == sorted((kind.name, None) for kind in FINDINGS)
    monkeypatch.setattr(stage, "FINDINGS", (SERVICE,))
    window = Window(at(600), at(660), {})
    rolled = rollup(lake, window)
    judged = health(lake, window._replace(made=rolled.frames))
    assert judged is not None
    lake.commit(rolled)
    lake.commit(judged)
    minute(lake, 10)
    assert service in lake.read(f"SELECT kind, entity FROM ({open_ones})").rows()
    minute(lake, 16)
    minute(lake, 17)
    assert service not in lake.read(open_ones).rows()


def test_a_kind_that_fails_fails_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """What an agent lost is found all the same."""
    lost = {"minute": at(1_800), "cluster": "east", "agent": "a", "reason": "kernel", "payloads": 1}
    Adding(lake).add("agent_drops", lost)
    loss = next(kind for kind in FINDINGS if kind.name == "agent_loss")
    broken = loss._replace(name="broken", rows="SELECT error('no') FROM agent_drops")
    monkeypatch.setattr(stage, "FINDINGS", (broken, loss))
    minute(lake, 30)
    found = lake.read("SELECT kind, entity FROM v_findings WHERE state = 'open' ORDER BY kind")
    assert found.rows() == [("agent_loss", "east/a"), (FAILED, "broken")]


def test_each_query_looks_back_as_far_as_it_says(lake: Lake):
    """Of what was refused each row once, for whichever of two reasons; and is asked anew after an error."""
    refused = {"reporter": "destination", "protocol": "TCP", "response_flags": ["NR"]}
    rows = [
        refused | {"start_time": at(43_000), "authz": "denied"},
        refused | {"start_time": at(43_100)},
        {"start_time": at(43_200), "authz": "denied"},
        {"start_time": at(43_200), "authz": "allowed", "status": 503},
    ]
    adding = Adding(lake)
    for row in rows:
        adding.add("requests", row)
    minutes = [timedelta(minutes=number) for number in (5, 10, 5)]
    query = "SELECT count(*) AS n FROM requests"
    late = "FROM requests WHERE start_time = TIMESTAMPTZ '{}'"
    with moment(lake, at(43_360), {}) as then:
        told = [then.ask(query, lookback)[0]["n"] for lookback in minutes]
        is_there = [bool(then.ask(query, one, late.format(at(43_000)))) for one in minutes]
        with pytest.raises(duckdb.Error):
            then.ask("SELECT error('no') FROM requests", minutes[0])
        assert then.ask(query, minutes[0]) == [{"n": 2}]
    assert told == [2, 3, 2]
    assert is_there == [False, True, False]


def test_what_nothing_changed_for_is_not_asked_again(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """Until what it reads changes; what is open is asked until it is closed."""
    loss = next(kind for kind in FINDINGS if kind.name == "agent_loss")
    monkeypatch.setattr(stage, "FINDINGS", (loss,))
    lost = {"cluster": "east", "agent": "a", "reason": "kernel", "payloads": 1}

    def asked(*minutes: int) -> list[int]:
        return [number for number in minutes if minute(lake, number) is not None]

    assert asked(100, 101, 102) == [100]
    Adding(lake).add("agent_drops", lost | {"minute": at(6_180)})
    Adding(lake).add("rejects", {"received_time": at(6_180), "reason": "json_malformed"})
    # Lost at 103: found until 117, a quarter of an hour on; missed twice; closed.
    assert asked(*range(103, 123)) == [*range(103, 120)]
    assert lake.read("SELECT epoch(closed_time) FROM findings").item() == at(7_200).timestamp()


def test_it_is_a_stage_of_the_job(lake: Lake, told: Told):
    """Minutes that are over are looked at, and what is found is committed with them."""
    told.rows = [CART_FAILS]
    windows = Windows(lake, timedelta(seconds=30), timedelta(hours=1), stages=(findings,))
    flows = pl.DataFrame({"start_time": [at(30), at(90)]}, schema={"start_time": schema.TIME})
    frames = {"flows": schema.complete(flows, schema.FLOWS.schema)}
    marked = windows.mark(frames, at(90))
    lake.commit(Commit({"windows": marked}, replaced={"windows": "window_start"}))
    assert windows.close(at(90)) == 1
    assert state(lake) == [(*CART_FAILS, 1, 1, None, 0, 0)]
    assert windows.close(at(90), everything=True) == 1
    assert state(lake) == [(*CART_FAILS, 1, 2, None, 0, 0)]
    lake.connection.execute("DELETE FROM windows")
