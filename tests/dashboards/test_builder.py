"""The builder: what a board says becomes Grafana's JSON, and what it forgets is told."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from dashboards.build import Board, Field, Override, Row, Step, common, stat, text, timeseries
from dashboards.build import query as queries
from dashboards.build.query import QueryFileError, read, refs

DEPLOY = Path(__file__).parents[2] / "deploy/grafana"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Queries of a board ``b``, and nothing that was read before."""
    monkeypatch.setattr(queries, "QUERIES", tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "annotations").mkdir()
    for name in ("findings", "inventory", "topology"):
        (tmp_path / f"annotations/{name}.sql").write_text("-- What?\n-- Units: times.\nSELECT 1\n")
    read.cache_clear()
    yield tmp_path
    read.cache_clear()


def test_a_header_is_question_and_units(folder: Path):
    """Over several lines, too; the query is what follows, without a semicolon."""
    (folder / "b/p.sql").write_text("-- How\n-- many? Units: calls,\n-- a second.\n\nSELECT 1;\n")
    query = read("b/p")
    assert (query.question, query.units, query.sql) == ("How many?", "calls, a second.", "SELECT 1")
    assert query.description == "How many?\n\nUnits: calls, a second."


@pytest.mark.parametrize(
    "content", ["", "SELECT 1", "-- How many?\nSELECT 1", "-- Units: calls.\nSELECT 1", "-- What? Units: calls.\n"]
)  # fmt: skip
def test_a_query_that_does_not_say_what_it_asks_is_refused(folder: Path, content: str):
    """Nobody would know what its figures are."""
    (folder / "b/p.sql").write_text(content)
    with pytest.raises(QueryFileError, match="begin with"):
        read("b/p")


def test_queries_may_begin_with_the_same_part(folder: Path):
    """Its comment is for who reads the file; a part that is not there is named."""
    (folder / "b/those.sql.part").write_text("-- Those.\nWITH those AS (\n    SELECT 1\n)\n")
    head = "-- How many?\n-- Units: calls.\n-- Begins with: b/"
    (folder / "b/p.sql").write_text(f"{head}those\nFROM those\n")
    (folder / "b/q.sql").write_text(f"{head}nothing\nFROM those\n")
    query = read("b/p")
    assert (query.question, query.units) == ("How many?", "calls.")
    assert query.sql == "WITH those AS (\n    SELECT 1\n)\nFROM those"
    with pytest.raises(QueryFileError, match=r"b/nothing\.sql\.part"):
        read("b/q")


@pytest.mark.usefixtures("folder")
def test_a_query_that_is_not_there_is_named():
    """By its file."""
    with pytest.raises(QueryFileError, match=r"b/p\.sql"):
        read("b/p")
    with pytest.raises(QueryFileError, match=r"no p\.sql"):
        refs("b", "p")


def test_queries_of_a_panel_by_the_ends_of_their_names(folder: Path):
    """Nodes come first; a panel whose name begins alike has its own."""
    for name in ("graph.edges", "graph.nodes", "graphs", "graph_2.edges"):
        (folder / f"b/{name}.sql").touch()
    assert refs("b", "graph") == ("nodes", "edges")
    assert refs("b", "graphs") == ("A",)


def test_panels_stand_side_by_side_and_wrap(folder: Path):
    """24 columns; a row begins below the highest of the one before."""
    for name in "abc":
        (folder / f"b/{name}.sql").write_text("-- What?\n-- Units: calls.\nSELECT 1\n")
    board = Board(
        name="b",
        title="B",
        description="",
        rows=(
            Row(
                "One",
                (
                    timeseries("a", "A", width=16, height=8),
                    timeseries("b", "B", width=8, height=10),
                    stat("c", "C", width=4, height=4),
                ),
            ),
            Row("Two", (text("d", "D", "words", width=24, height=3),)),
        ),
    ).json()
    places = {panel["title"]: tuple(panel["gridPos"].values()) for panel in board["panels"]}
    assert places == {
        "One": (1, 24, 0, 0), "A": (8, 16, 0, 1), "B": (10, 8, 16, 1), "C": (4, 4, 0, 11),
        "Two": (1, 24, 0, 15), "D": (3, 24, 0, 16),
    }  # fmt: skip


def test_only_what_is_set_is_written():
    """Thresholds colour by themselves; dotted options nest; zero is a value."""
    assert Field().json() == {}
    field = Field(
        unit="ms", min=0, decimals=0, thresholds=(Step(None, "green"), Step(5, "red")),
        custom={"cellOptions.type": "color-text", "cellOptions.wrapText": True, "width": 80},
    )  # fmt: skip
    assert field.json() == {
        "unit": "ms",
        "decimals": 0,
        "min": 0,
        "color": {"mode": "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": None, "color": "green"}, {"value": 5, "color": "red"}],
        },
        "custom": {"cellOptions": {"type": "color-text", "wrapText": True}, "width": 80},
    }
    override = Override("a", Field(color="fixed:red", custom={"cellOptions.type": "color-text"}))
    assert override.json()["properties"] == [
        {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
    ]


def test_a_variable_brings_those_it_is_asked_within():
    """In their order; the level stands alone."""
    assert [each.name for each in common("cluster")] == ["cloud", "region", "network", "cluster"]
    assert [each.name for each in common("level")] == ["level"]
    assert [each.name for each in common("region", "level")] == ["cloud", "region", "level"]


def test_the_compose_file_gives_what_provisioning_asks_for():
    """Every variable of the files is set, and the dashboards are where they say."""
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]
    asked = {
        name
        for path in (DEPLOY / "provisioning").rglob("*.yaml")
        for name in re.findall(r": \$(\w+)$", path.read_text(), re.MULTILINE)
    }
    assert asked == {
        "CROSSPANE_SQL", "CROSSPANE_SQL_USER", "CROSSPANE_SQL_PASSWORD", "CROSSPANE_SQL_TLS",
        "CROSSPANE_ALERT_URL",
    }  # fmt: skip
    assert asked <= service["environment"].keys()
    mounts = dict(volume.split(":")[:2] for volume in service["volumes"])
    provider = yaml.safe_load((DEPLOY / "provisioning/dashboards/crosspane.yaml").read_text())
    assert mounts["../../dashboards/grafana"] == provider["providers"][0]["options"]["path"]
    assert all((DEPLOY / source).exists() for source in mounts)
