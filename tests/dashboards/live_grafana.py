"""
Every dashboard in a real Grafana, named by GRAFANA_URL: not run unless it is asked for.

    GRAFANA_URL=http://127.0.0.1:3000 GRAFANA_TOKEN=... pytest tests/dashboards/live_grafana.py

That Grafana must reach the SQL server at CROSSPANE_SQL (127.0.0.1:5433 if not
said), which serves any lake. What is written there stays there.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from grafana import panels_of

from dashboards.boards import BOARDS
from dashboards.build.panels import DATASOURCE
from dashboards.expand import Scope, choose, interpolate
from dashboards.provision import connect
from pipeline.cli import main

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def api() -> Any:
    """The Grafana, with everything provisioned."""
    url = os.environ["GRAFANA_URL"]
    sql = os.environ.get("CROSSPANE_SQL", "127.0.0.1:5433")
    result = CliRunner().invoke(main, ["dashboards", "provision", "--url", url, "--sql", sql])
    assert result.exit_code == 0, result.output
    return connect(url, os.environ.get("GRAFANA_TOKEN"))


def ask(api: Any, queries: list[dict[str, Any]]) -> dict[str, Any]:
    """Answers of the data source, by refId."""
    now = int(time.time() * 1000)
    body = {"from": str(now - HOUR_MS), "to": str(now), "queries": queries}
    results: dict[str, Any] = api.client.POST("/ds/query", json=body)["results"]
    return results


@pytest.mark.usefixtures("api")
def test_a_second_time_nothing_is_written():
    """Whatever this Grafana adds to what it is given is no difference."""
    sql = os.environ.get("CROSSPANE_SQL", "127.0.0.1:5433")
    url = os.environ["GRAFANA_URL"]
    again = CliRunner().invoke(
        main, ["dashboards", "provision", "--url", url, "--sql", sql, "--dry-run", "--diff"]
    )
    assert "0 of" in again.output, again.output


def test_the_data_source_is_well(api: Any):
    """Grafana's own check."""
    assert api.datasource.health(DATASOURCE["uid"])["status"] == "OK"


@pytest.mark.parametrize("name", [board.name for board in BOARDS])
def test_every_panel_is_answered(api: Any, name: str):
    """As a browser asks: variables are put in here, macros there."""
    (board,) = [each.json() for each in BOARDS if each.name == name]
    scope = Scope(from_time=_ago(HOUR_MS), to_time=_ago(0))
    chosen = {}
    for variable in board["templating"]["list"]:
        options: list[str] = []
        if variable["type"] == "query":
            scope = Scope(from_time=scope.from_time, to_time=scope.to_time, variables=chosen)
            answer = ask(api, [_query("A", "table", interpolate(variable["query"], scope))])["A"]
            assert answer["status"] == 200, answer
            values = answer["frames"][0]["data"]["values"]
            options = [str(value) for value in values[0]] if values else []
        chosen[variable["name"]] = choose(variable, None, options)
    scope = Scope(from_time=scope.from_time, to_time=scope.to_time, variables=chosen)
    for panel in panels_of(board):
        targets = panel.get("targets", [])
        queries = [
            _query(each["refId"], each["format"], interpolate(each["rawSql"], scope))
            for each in targets
        ]
        for ref_id, answer in ask(api, queries).items() if queries else ():
            assert answer["status"] == 200, (panel["title"], ref_id, answer)


def _query(ref_id: str, shape: str, sql: str) -> dict[str, Any]:
    return {
        "refId": ref_id,
        "datasource": DATASOURCE,
        "format": shape,
        "rawQuery": True,
        "editorMode": "code",
        "rawSql": sql,
        "intervalMs": 60_000,
        "maxDataPoints": 1_000,
    }


def _ago(ms: int) -> datetime:
    return datetime.now(UTC) - timedelta(milliseconds=ms)
