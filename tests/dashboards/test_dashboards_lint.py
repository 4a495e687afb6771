"""What would be wrong in Grafana without an error: ids, places, links, variables, units."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.alerts import ALERTS
from dashboards.boards import BOARDS
from dashboards.build import LEVELS
from dashboards.build.fields import UNITS
from dashboards.build.query import QUERIES, read
from dashboards.provisioning import rule_group

Json = dict[str, Any]

MADE = {board.name: board.json() for board in BOARDS}
BUILT_IN = {
    "__from", "__to", "__interval", "__interval_ms", "__range", "__range_s", "__range_ms",
    "__searchFilter", "__data", "__url_time_range", "__value", "__series", "__field", "__all",
}  # fmt: skip
MACRO = re.compile(r"\$__\w+\(")
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")

boards = pytest.mark.parametrize("board", MADE.values(), ids=MADE)


def panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: Json) -> Iterator[tuple[str, str]]:
    """Name and SQL of all a board asks."""
    for panel in panels(board):
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["rawSql"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]
    for annotation in board["annotations"]["list"]:
        if "target" in annotation:
            yield f"annotation {annotation['name']}", annotation["target"]["rawSql"]


def strings(value: object, key: str) -> Iterator[str]:
    """Every text below a key, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key and isinstance(inner, str):
                yield inner
            yield from strings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, key)


def used(text: str) -> set[str]:
    """Variables a text names."""
    return {one or other for one, other in VARIABLE.findall(MACRO.sub("(", text))} - BUILT_IN


def test_dashboards_are_told_apart():
    """A uid is an address; a title is what a person looks for."""
    assert len({board["uid"] for board in MADE.values()}) == len(MADE)
    assert len({board["title"] for board in MADE.values()}) == len(MADE)


@boards
def test_panels_are_told_apart(board: Json):
    """An id is what a link to a panel and an alert name."""
    assert [
        one for one, times in Counter(panel["id"] for panel in board["panels"]).items() if times > 1
    ] == []


@boards
def test_panels_are_on_the_grid_and_on_nobody_else(board: Json):
    """24 columns; each cell is one panel's."""
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@boards
def test_targets_are_told_apart_and_ask_our_data_source(board: Json):
    """A panel's frames are named by refId; another data source would not have the views."""
    ours = {"type": "grafana-postgresql-datasource", "uid": "crosspane"}
    for panel in panels(board):
        targets = panel.get("targets", [])
        assert len({target["refId"] for target in targets}) == len(targets)
        assert all(target["datasource"] == ours for target in targets)
        assert all(target["format"] in ("time_series", "table") for target in targets)
        assert all(target["rawQuery"] for target in targets)
        if panel["type"] not in ("text", "alertlist"):
            assert targets, panel["title"]
            assert panel["datasource"] == ours
    for variable in board["templating"]["list"]:
        assert variable.get("datasource", ours) == ours


@boards
def test_a_node_graph_has_nodes_first(board: Json):
    """An edges frame without rows would be taken for nodes, if it came first."""
    for panel in panels(board):
        if panel["type"] == "nodeGraph":
            assert [target["refId"] for target in panel["targets"]] == ["nodes", "edges"]


@boards
def test_variables_are_defined_before_they_are_used(board: Json):
    """In queries, in links, and in the queries of other variables."""
    known = [variable["name"] for variable in board["templating"]["list"]]
    assert len(set(known)) == len(known)
    for name, sql in queries(board):
        chained = name.removeprefix("variable ")
        before = known[: known.index(chained)] if chained != name else known
        assert used(sql) <= set(before), name
    for text in (*strings(board, "title"), *strings(board, "content")):
        assert used(text) <= set(known), text


@boards
def test_values_of_one_are_quoted_and_none_is_put_in_raw(board: Json):
    """What a reader types ends in a literal, and cannot end it."""
    alone = {
        variable["name"]
        for variable in board["templating"]["list"]
        if not variable.get("multi") and not variable.get("includeAll")
    }
    for name, sql in queries(board):
        assert re.findall(r"\$\{\w+:\w+", sql) == [], name
        outside = re.sub(r"'[^']*'", "", sql)
        assert used(outside) & alone == set(), name


@boards
def test_comments_name_no_macro(board: Json):
    """Some versions of Grafana expand them in comments, some do not."""
    for name, sql in queries(board):
        for comment in re.findall(r"--.*|/\*.*?\*/", sql):
            assert "$" not in comment, name


@boards
def test_macros_have_arguments_without_parentheses(board: Json):
    """Grafana's own would be cut at the first one that closes."""
    for name, sql in queries(board):
        for arguments in re.findall(r"\$__\w+\(([^)]*)\)", sql):
            assert "(" not in arguments, name


@boards
def test_links_lead_to_a_dashboard_that_is_there_and_to_its_variables(board: Json):
    """A link that names another's variable by a wrong name opens it unfiltered."""
    for url in strings(board, "url"):
        match = re.match(r"/d/([\w-]+)(?:\?(.*))?$", url)
        if not match:
            assert url == "", url
            continue
        uid, rest = match[1], match[2] or ""
        target = next((each for each in MADE.values() if each["uid"] == uid), None)
        assert target, url
        there = {variable["name"] for variable in target["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", rest)) <= there, url
        here = {variable["name"] for variable in board["templating"]["list"]}
        for name in re.findall(r"\$\{(\w+):queryparam\}", rest):
            assert name in here, url
        assert "__url_time_range" in rest, url


@boards
def test_units_are_ones_the_page_knows_too(board: Json):
    """Grafana shows an unknown unit as a suffix, silently."""
    named = set(strings(board, "unit"))
    for panel in panels(board):
        for override in panel["fieldConfig"]["overrides"]:
            named |= {each["value"] for each in override["properties"] if each["id"] == "unit"}
        named |= set(strings(panel["options"], "mainStatUnit"))
        named |= set(strings(panel["options"], "secondaryStatUnit"))
    assert named <= UNITS


def test_transformations_are_ones_the_page_knows_too():
    """What it does not know it leaves as it is, and a matrix is a list."""
    source = (QUERIES.parent / "pane" / "src" / "transform.ts").read_text("utf-8")
    known = re.search(r"TRANSFORMATIONS: [^=]+=> WireFrame> = \{ ([\w, ]+) \}", source)
    assert known
    named = {
        each["id"]
        for board in MADE.values()
        for panel in panels(board)
        for each in panel.get("transformations", ())
    }
    assert named == set(known[1].split(", "))


@boards
def test_each_dashboard_says_how_complete_it_is(board: Json):
    """The last row of each."""
    assert board["panels"][-1]["targets"][0]["rawSql"] == read("common/completeness").sql
    assert board["panels"][-2]["title"] == "How complete this is"


@boards
def test_each_dashboard_links_all_with_time_and_choices(board: Json):
    """The bar of dashboards."""
    (bar,) = board["links"]
    assert bar["tags"] == board["tags"] == ["crosspane"]
    assert bar["keepTime"]
    assert bar["includeVars"]


def test_every_file_is_asked_by_somebody():
    """A query that no panel has would never be run by Grafana, and rot."""
    asked = {sql for board in MADE.values() for _, sql in queries(board)}
    asked |= {read(f"alerts/{alert.name}").sql for alert in ALERTS}
    idle = [
        str(path.relative_to(QUERIES))
        for path in sorted(QUERIES.rglob("*.sql"))
        if path.parent != QUERIES
        and read(str(path.relative_to(QUERIES).with_suffix(""))).sql not in asked
    ]
    assert idle == []


def test_alerts_are_told_apart_and_point_at_a_panel():
    """A uid has 40 characters at most; the panel is one that is there."""
    uids = [alert.uid for alert in ALERTS]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40
    places = {
        (board["uid"], str(panel["id"])) for board in MADE.values() for panel in panels(board)
    }
    for rule in rule_group()["rules"]:
        note = rule["annotations"]
        assert (note["__dashboardUid__"], note["__panelId__"]) in places, rule["title"]


def test_alerts_name_labels_their_query_has_and_fill_no_gaps():
    """What is not a label is empty in a message; Grafana refuses fills in a rule."""
    for alert in ALERTS:
        sql = read(f"alerts/{alert.name}").sql
        for label in re.findall(r"\$labels\.(\w+)", alert.summary):
            assert re.search(rf"\b{label}\b", sql), alert.name
        assert not re.search(r"\$__timeGroup\w*\([^)]*,[^)]*,", sql), alert.name
        assert used(sql) == set(), alert.name


def test_levels_are_those_of_the_graph():
    """The choices of `level`, from coarse to fine."""
    assert LEVELS == (
        "provider", "region", "network", "cluster", "namespace", "service", "workload", "gateway", "node",
    )  # fmt: skip
