"""
Alert rules: a query whose last value of each series is held against a threshold.

An alert asks ``queries/alerts/<name>.sql``, a time series: text columns become
the labels of what fires, so one rule watches every edge. No rows mean nothing
to fear, and are no alert.

Before: query.py, board.py. After: ../alerts.py, ../provisioning.py.
Source: Grafana's provisioning API, `ProvisionedAlertRule`.
"""

from dataclasses import dataclass
from typing import Final, Literal

from dashboards.build.board import panel_id
from dashboards.build.fields import Json
from dashboards.build.panels import DATASOURCE
from dashboards.build.query import read

__all__ = ["FOLDER", "GROUP", "Alert"]

FOLDER: Final = "crosspane"
"""Folder of dashboards and rules: its uid, and its title."""
GROUP: Final = "crosspane"
"""Rules of a group are evaluated together, each minute."""
_EXPRESSION: Final[Json] = {"type": "__expr__", "uid": "__expr__"}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """
    A rule.

    Parameters
    ----------
    name
        Name of its query's file, and the end of its uid.
    title, summary
        For people; the summary may hold ``{{ $labels.<column> }}`` and ``{{ $values.B }}``.
    board, panel
        Where to look: a panel of a board, by their names.
    fires
        ``above`` or ``below`` the threshold.
    window_s
        The query's time range: so many seconds until now.
    pending_s
        It fires once it was so for that long; whole minutes.
    """

    name: str
    title: str
    summary: str
    board: str
    panel: str
    fires: Literal["above", "below"]
    threshold: float
    severity: Literal["error", "warning"]
    window_s: int
    pending_s: int

    @property
    def uid(self) -> str:
        """Name in Grafana's addresses: 40 characters at most."""
        return f"crosspane-{self.name.replace('_', '-')}"

    def json(self, receiver: str | None = None) -> Json:
        """As Grafana's provisioned rule; `receiver` is a contact point, else policies decide."""
        query = read(f"alerts/{self.name}")
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [
                self._part(
                    "A",
                    {
                        "refId": "A",
                        "datasource": DATASOURCE,
                        "format": "time_series",
                        "editorMode": "code",
                        "rawQuery": True,
                        "rawSql": query.sql,
                        "intervalMs": 60_000,
                        "maxDataPoints": 43_200,
                    },
                ),
                self._part(
                    "B",
                    {
                        "refId": "B",
                        "datasource": _EXPRESSION,
                        "type": "reduce",
                        "expression": "A",
                        "reducer": "last",
                        "settings": {"mode": "dropNN"},
                    },
                ),
                self._part(
                    "C",
                    {
                        "refId": "C",
                        "datasource": _EXPRESSION,
                        "type": "threshold",
                        "expression": "B",
                        "conditions": [
                            {
                                "evaluator": {
                                    "type": "gt" if self.fires == "above" else "lt",
                                    "params": [self.threshold],
                                }
                            }
                        ],
                    },
                ),
            ],
            "noDataState": "OK",
            "execErrState": "Error",
            "for": f"{self.pending_s // 60}m" if self.pending_s else "0s",  # as Grafana answers it
            "annotations": {
                "summary": self.summary,
                "description": query.description,
                "__dashboardUid__": f"crosspane-{self.board}",
                "__panelId__": str(panel_id(self.panel)),
            },
            "labels": {"app": "crosspane", "severity": self.severity},
            "isPaused": False,
            **({"notification_settings": {"receiver": receiver}} if receiver else {}),
        }

    def _part(self, ref_id: str, model: Json) -> Json:
        asks = ref_id == "A"
        return {
            "refId": ref_id,
            "relativeTimeRange": {"from": self.window_s if asks else 0, "to": 0},
            "datasourceUid": model["datasource"]["uid"],
            "model": model,
        }
