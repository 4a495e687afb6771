"""The engine: what a role sees of a lake, its limits, and that new commits show."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import LONG, Served

from pipeline.config import RoleConfig, ServeConfig
from pipeline.errors import LakeError, ServeError
from pipeline.lake import Lake, connect
from pipeline.serve.engine import Engine, Session
from pipeline.serve.limits import Clock, Turns
from pipeline.serve.roles import rows_of

EAST_TO_WEST, WEST_ONLY, NORTH_TO_NOWHERE = 1, 2, 4


def _add(root: Path, *edges: tuple[str | None, str | None, str | None, str | None, int]) -> None:
    """Rows of ``edges_1m``: cluster and namespace of client and server, requests."""
    with Lake(root) as lake:
        for edge in edges:
            lake.connection.execute(
                "INSERT INTO edges_1m (bucket_start, client_cluster, client_namespace,"
                " server_cluster, server_namespace, requests)"
                " VALUES (TIMESTAMPTZ '2026-11-20 00:00:00+00', ?, ?, ?, ?, ?)",
                edge,
            )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three edges: from east to west, in west, and one from north whose server is unknown."""
    root = tmp_path_factory.mktemp("engine") / "lake"
    _add(
        root,
        ("east", "shop", "west", "pay", EAST_TO_WEST),
        ("west", "pay", "west", "pay", WEST_ONLY),
        ("north", "shop", None, None, NORTH_TO_NOWHERE),
    )
    return root


@pytest.fixture(scope="module")
def engine(lake: Path) -> Iterator[Engine]:
    """Confined to a cluster; what others would see is asked of `rows_of`."""
    east = RoleConfig(clusters=("east", "it's"), max_connections=2, memory="300MB")
    found = Engine(lake, ServeConfig(roles={"east": east}))
    yield found
    found.close()


@pytest.fixture
def east(engine: Engine) -> Iterator[Session]:
    session = engine.open("east")
    yield session
    session.close()


def _refused(session: Session, query: str) -> str:
    with pytest.raises(ServeError) as refused:
        session.query(query).read_all()
    return refused.value.sqlstate


def _rows(session: Session, query: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in session.query(query).read_all().to_pylist()]


def test_a_confined_role_sees_rows_with_a_side_of_its_own(east: Session):
    """Who it calls elsewhere, not what goes on there; a side that is unknown is nobody's."""
    expected = [(EAST_TO_WEST, "east", "west")]
    assert _rows(east, "SELECT requests, client_cluster, server_cluster FROM edges_1m") == expected
    assert _rows(east, "SELECT sum(requests) FROM public.edges_1m") == [(EAST_TO_WEST,)]


def test_functions_stand_on_what_the_role_sees(east: Session):
    """A function of a span counts the role's rows only."""
    span = "'2026-11-20 00:00:00+00', '2026-11-20 00:01:00+00'"
    assert _rows(east, f"SELECT sum(requests) FROM edges_between({span})") == [(EAST_TO_WEST,)]


@pytest.mark.parametrize(
    "query",
    [
        "FROM flows",
        "FROM requests",
        "FROM networks",
        "FROM v_flat_conflicts",
        "FROM log_offsets_a",
        "FROM lake_shape",
    ],
)
def test_what_does_not_say_whose_a_row_is_is_not_there(east: Session, query: str):
    """Tables without sides, and the job's own: as if they did not exist."""
    assert _refused(east, query) == "42P01"


@pytest.mark.parametrize(
    "query",
    [
        "FROM lake.crosspane.edges_1m",
        "FROM memory.main.x, temp.y.z",
        "EXPLAIN ANALYZE FROM edges_1m",
        "SELECT error(client_cluster) FROM edges_1m",
        "FROM read_parquet('data/**/*.parquet')",
        "FROM query('FROM lake.crosspane.edges_1m')",
    ],
)
def test_a_confined_role_cannot_go_round(east: Session, query: str):
    """Other names of the same rows, their files, and plans that count them."""
    assert _refused(east, query) == "42501"


@pytest.mark.parametrize(
    "condition",
    [
        "CASE WHEN client_cluster = 'north' THEN CAST(client_cluster AS INT) > 0 ELSE true END",
        "CASE WHEN requests > 1 THEN CAST('x' || requests AS INT) > 0 ELSE true END",
        "requests = 1 OR CAST(client_namespace AS INT) > 0",
        "CASE WHEN server_cluster IS NULL THEN CAST('x' || requests AS INT) > 0 ELSE true END",
    ],
)
def test_a_condition_never_meets_another_roles_row(east: Session, condition: str):
    """It would fail on what such a row says: nothing of a row is there before it is dropped."""
    assert _rows(east, f"SELECT requests FROM edges_1m WHERE {condition}") == [(EAST_TO_WEST,)]


def test_an_error_does_not_say_a_value(east: Session):
    """A confined role is told that a cast failed, not of what."""
    with pytest.raises(ServeError) as refused:
        east.query("SELECT CAST(client_cluster AS INT) FROM edges_1m").read_all()
    assert refused.value.sqlstate == "22P02"
    assert "east" not in str(refused.value)


@pytest.mark.parametrize(
    ("role", "columns", "condition"),
    [
        (
            RoleConfig(clusters=("a'b", "c"), namespaces=("n",)),
            {"src_cluster": "VARCHAR", "src_namespace": "VARCHAR", "observer_cluster": "VARCHAR"},
            "(src_cluster IN ('a''b', 'c') AND src_namespace IN ('n'))",
        ),
        (
            RoleConfig(namespaces=("n",)),
            {"client_entity": "VARCHAR", "client_cluster": "VARCHAR"},
            "(split_part(client_entity, '/', 2) IN ('n'))",
        ),
        (RoleConfig(namespaces=("n",)), {"cluster": "VARCHAR"}, ""),
        (
            RoleConfig(clusters=("c",)),
            {"observer_cluster": "VARCHAR"},
            "(observer_cluster IN ('c'))",
        ),
        (
            RoleConfig(clusters=("c",)),
            {"clusters": "VARCHAR[]"},
            "list_has_any(clusters, ['c'])",
        ),
        (RoleConfig(clusters=("c",)), {"cluster_a": "VARCHAR", "cluster_state": "VARCHAR"}, ""),
    ],
)
def test_whose_a_row_is(role: RoleConfig, columns: dict[str, str], condition: str):
    """Cluster and namespace of one side; the observer's where there is no side."""
    assert rows_of(role, columns) == condition


def test_new_commits_show(east: Session, lake: Path):
    """A session that was there before a commit sees it in its next statement."""
    query = "SELECT count(*) FROM edges_1m WHERE server_cluster = 'it''s'"
    assert _rows(east, query) == [(0,)]
    _add(lake, ("south", "shop", "it's", "shop", 8))
    assert _rows(east, query) == [(1,)]


@pytest.mark.usefixtures("east")
def test_a_role_has_so_many_clients(engine: Engine):
    """One more is refused; when one goes, another may come."""
    with pytest.raises(ServeError) as unknown:
        engine.open("eve")
    second = engine.open("east")
    with pytest.raises(ServeError) as third:
        engine.open("east")
    assert (unknown.value.sqlstate, third.value.sqlstate) == ("28000", "53300")
    second.close()
    engine.open("east").close()
    with pytest.raises(ServeError) as ended:
        second.query("SELECT 1")
    assert ended.value.sqlstate == "57P01"


def test_memory_is_the_roles(east: Session):
    """What does not fit is refused, and nothing is written to disk; the next is answered."""
    assert _refused(east, "SELECT list(range) FROM range(100_000_000)") == "53200"
    assert _rows(east, "SELECT 1") == [(1,)]


@pytest.fixture
def brief(served: Served) -> Iterator[Session]:
    """A role of 0.3 s and 100 rows a statement."""
    session = served.engine.open("brief")
    yield session
    session.close()


def test_rows_are_the_roles(brief: Session):
    """100 rows are handed out, the one after that is an error; 100 alone are none."""
    brief.max_time_s = 60
    assert len(_rows(brief, "FROM range(100)")) == 100
    reader = brief.query("FROM range(101)")
    assert reader.read_next_batch().num_rows == 100
    with pytest.raises(ServeError) as cut:
        reader.read_next_batch()
    assert cut.value.sqlstate == "54000"


def test_time_is_the_roles(brief: Session):
    """A statement that would run for days ends, and so does one whose plan runs it."""
    assert _refused(brief, LONG) == "57014"
    assert _refused(brief, f"EXPLAIN ANALYZE {LONG}") == "57014"
    brief.max_time_s = 60
    assert _rows(brief, "SELECT 1") == [(1,)]


def test_time_runs_while_nobody_takes_rows(brief: Session):
    """A client that stops reading does not keep the lake: what it takes too late is cut."""
    brief.max_time_s = 60
    result = brief.run(brief.statements("FROM range(50)")[0])
    (clock,) = brief._clocks
    threading.Thread(target=clock._end).start()
    assert clock._stopped.wait(60)
    with pytest.raises(ServeError) as cut:
        next(result.rows)
    assert cut.value.sqlstate == "57014"
    assert brief._clocks == set()


def test_the_job_commits_while_somebody_reads(east: Session, lake: Path):
    """Who took a few rows holds up nobody, and goes on with what there was."""
    ((seen,),) = _rows(east, "SELECT count(*) FROM v_edges_1m")
    held = east.run(east.statements("FROM v_edges_1m, range(10000)")[0])
    first = next(held.rows).num_rows
    _add(lake, ("up", "up", "up", "up", 16))
    with connect(lake) as reader:
        there = reader.execute("SELECT count(*) FROM edges_1m WHERE requests = 16").fetchall()
    assert there == [(1,)]
    assert first + sum(batch.num_rows for batch in held.rows) == seen * 10_000


def test_a_statement_is_cancelled_by_another_thread(served: Served):
    """Its client is told; the session goes on."""
    session = served.engine.open("reader")
    try:
        result: list[str] = []
        thread = threading.Thread(target=lambda: result.append(_refused(session, LONG)))
        thread.start()
        while thread.is_alive():  # it may not have begun when it is first asked to end
            session.cancel()
            thread.join(0.05)
        assert result == ["57014"]
        assert _rows(session, "SELECT 2") == [(2,)]
    finally:
        session.close()


def test_rows_that_nobody_wants_are_let_go(brief: Session):
    """Closed, or forgotten: nothing of the statement is left."""
    brief.max_time_s = 60
    statement = brief.statements("FROM range(100)")[0]
    brief.run(statement).rows.close()
    assert brief._clocks == set()
    brief.run(statement)
    assert brief._clocks == set()


def test_without_a_lake_nothing_is_served(tmp_path: Path):
    """Said at once, with what to do."""
    with pytest.raises(LakeError, match="crosspane demo"):
        Engine(tmp_path, ServeConfig())


def test_some_statements_run_and_others_wait():
    """A turn is free when another ends; who waits as long as it might have run is told so."""
    turns, nothing = Turns(1), Clock(0.2, lambda: None)
    with turns.one(nothing), pytest.raises(ServeError) as waited, turns.one(nothing):
        pass
    assert waited.value.sqlstate == "53000"
    cancelled = Clock(60, lambda: None)
    cancelled.cancel()
    with turns.one(nothing), pytest.raises(ServeError) as ended, turns.one(cancelled):
        pass
    assert ended.value.sqlstate == "57014"
    for clock in (nothing, cancelled):
        with turns.one(nothing):
            clock.stop()


def test_who_takes_no_rows_has_no_turn(east: Session):
    """Rows that wait for their client keep nobody from running."""
    held = [east.run(east.statements("FROM range(100000)")[0]) for _ in range(20)]
    assert _rows(east, "SELECT 3") == [(3,)]
    for one in held:
        one.rows.close()


def test_the_lakes_functions_are_there(served: Served):
    """All of them, those that call others too, in the schema a client is in."""
    session = served.engine.open("reader")
    named = "SELECT function_name FROM duckdb_functions() WHERE database_name = '{}' ORDER BY ALL"
    lake, public = (_rows(session, named.format(name)) for name in ("lake", "crosspane"))
    session.close()
    assert len(lake) > 10
    assert public == lake
