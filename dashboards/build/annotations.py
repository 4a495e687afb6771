"""
Annotations: what happened, drawn into every panel with a time axis.

Each asks ``queries/annotations/<name>.sql`` for ``time``, ``timeend`` (may be
null), ``text`` and ``tags`` (separated by commas).

Before: query.py. After: board.py.
"""

from dataclasses import dataclass
from typing import Final

from dashboards.build.fields import Json
from dashboards.build.panels import DATASOURCE
from dashboards.build.query import read

__all__ = ["ANNOTATIONS", "BUILT_IN", "Annotation"]


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Events of one kind; `shown` false: a reader switches it on."""

    name: str
    title: str
    color: str
    shown: bool = True

    def json(self) -> Json:
        """As Grafana's annotation query."""
        return {
            "name": self.title,
            "datasource": DATASOURCE,
            "enable": self.shown,
            "hide": False,
            "iconColor": self.color,
            "target": {
                "refId": "Anno",
                "datasource": DATASOURCE,
                "format": "table",
                "editorMode": "code",
                "rawQuery": True,
                "rawSql": read(f"annotations/{self.name}").sql,
            },
        }


BUILT_IN: Final[Json] = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}
"""Grafana's own: what people and alert rules note."""

ANNOTATIONS: Final = (
    Annotation(name="findings", title="Findings", color="red"),
    Annotation(name="inventory", title="Deployments and configuration", color="blue"),
    Annotation(name="topology", title="Topology changes", color="orange", shown=False),
)
"""On every dashboard."""
