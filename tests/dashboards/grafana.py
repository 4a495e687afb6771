"""
A double of Grafana: asks what a dashboard asks, as Grafana asks it.

Variables first, in their order, each with the choices before it; then every
panel's and annotation's query, expanded, over one time range. How SQL is run is
the caller's: over PostgreSQL's simple protocol, or a DuckDB connection.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from dashboards.build.alerts import Alert
from dashboards.build.query import read
from dashboards.expand import Chosen, Scope, choose, expand, interval_ms
from dashboards.frames import Frame, check_places, frame_of, node_graph

Ask = Callable[[str], pa.Table]
Json = dict[str, Any]


_WANTS = {
    "timeseries": {"time", "number"},
    "state-timeline": {"time", "number"},
    "heatmap": {"time", "number"},
    "bargauge": {"string", "number"},
    "barchart": {"string", "number"},
}
"""Kinds of fields a panel draws of; a state is a number, or it would be a label."""


def panels_of(board: Json) -> list[Json]:
    """Panels that are no rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@dataclass
class Grafana:
    """
    One dashboard, opened.

    Parameters
    ----------
    given
        What the address says: ``var-service=...``.
    """

    board: Json
    ask: Ask
    from_time: datetime
    to_time: datetime
    given: dict[str, str | list[str]]

    def __post_init__(self) -> None:
        self.chosen: dict[str, Chosen] = {}
        self.options: dict[str, list[str]] = {}
        for variable in self.board["templating"]["list"]:
            options = self._options(variable) if variable["type"] == "query" else []
            self.options[variable["name"]] = options
            self.chosen[variable["name"]] = choose(
                variable, self.given.get(variable["name"]), options
            )

    @property
    def scope(self) -> Scope:
        """What queries are expanded with; a panel is a thousand pixels wide."""
        return Scope(
            from_time=self.from_time,
            to_time=self.to_time,
            interval_ms=interval_ms(self.from_time, self.to_time, 1_000),
            variables=self.chosen,
        )

    def _options(self, variable: Json) -> list[str]:
        frame = self.frame(
            {"refId": "metricFindQuery", "rawSql": variable["query"], "format": "table"}
        )
        value = frame.field("__value")
        if value is None and frame.fields:
            value = frame.fields[0]
        return [] if value is None else [str(one) for one in value.values.to_pylist()]

    def frame(self, target: Json) -> Frame:
        """The answer to one target."""
        made = expand(target["rawSql"], self.scope)
        return frame_of(
            self.ask(made.sql),
            ref_id=target["refId"],
            time_series=target.get("format", "time_series") == "time_series",
            fill=made.fill,
            from_time=self.from_time,
            to_time=self.to_time,
        )

    def panel(self, panel: Json) -> list[Frame]:
        """Answers to a panel's targets, checked by the rules of its kind."""
        frames = [self.frame(target) for target in panel.get("targets", ())]
        if panel["type"] == "nodeGraph":
            node_graph(frames)
        elif panel["type"] == "geomap":
            check_places(node_graph(frames)[0])
        elif panel["type"] in _WANTS:
            for frame in frames:
                kinds = {field.kind for field in frame.fields}
                assert not kinds or kinds >= _WANTS[panel["type"]], (panel["title"], kinds)
        return frames

    def strays(self, panel: Json, frames: list[Frame]) -> set[str]:
        """Columns that a panel's links name, and no answer with rows has: a link to nothing."""
        names = {field.name for frame in frames for field in frame.fields}
        text = json.dumps(panel["fieldConfig"])
        linked = re.findall(r"__data\.fields(?:\.(\w+)|\[.{0,2}?\"([^\]\"\\]+).{0,2}?\])", text)
        return {one or other for one, other in linked} - names if names else set()

    def annotations(self) -> Iterator[tuple[str, Frame]]:
        """Answers to the dashboard's own annotations."""
        for annotation in self.board["annotations"]["list"]:
            if "target" in annotation:
                yield annotation["name"], self.frame(annotation["target"])


def firing(alert: Alert, ask: Ask, at: datetime) -> list[dict[str, str]]:
    """Labels of the series of a rule that are over its threshold: the last value of each counts."""
    begin = at - timedelta(seconds=alert.window_s)
    made = expand(read(f"alerts/{alert.name}").sql, Scope(from_time=begin, to_time=at))
    assert made.fill is None, "Grafana fills no gaps in rules"
    frame = frame_of(ask(made.sql), time_series=True)
    found = []
    for field in frame.fields[1:]:
        last = [value for value in field.values.to_pylist() if value is not None][-1]
        over = last > alert.threshold if alert.fires == "above" else last < alert.threshold
        if over:
            found.append(dict(field.labels or {}))
    return found
