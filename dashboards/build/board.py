"""
A dashboard: rows of panels, given their places, as Grafana's JSON.

Panels of a row stand side by side on 24 columns and wrap; a row is as high as
its highest panel. Panels keep their id when others come and go, since it is a
hash of their name: a link to one stays good.

Before: panels.py, variables.py, annotations.py. After: boards/, `__main__.py`.
Source: Grafana's dashboard kind, v1, schemaVersion 42.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dashboards.build.annotations import ANNOTATIONS, BUILT_IN
from dashboards.build.fields import Json
from dashboards.build.panels import DATASOURCE, Panel
from dashboards.build.query import file_of, read, refs
from dashboards.build.variables import Variable

__all__ = ["Board", "Row", "panel_id"]

_COLUMNS: Final = 24
_TAG: Final = "crosspane"


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it, from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Board:
    """
    A dashboard.

    Parameters
    ----------
    name
        Folder of its queries, and the end of its uid ``crosspane-<name>``.
    title, description
        For people.
    rows
        From top to bottom.
    variables
        What a reader chooses; what a query uses must be here.
    time_from
        Where the time range begins when it is opened.
    """

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    time_from: str = "now-1h"

    @property
    def uid(self) -> str:
        """Name in Grafana's addresses."""
        return f"crosspane-{self.name}"

    def json(self) -> Json:
        """As Grafana's dashboard."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [_TAG],
            "schemaVersion": 42,
            "editable": True,
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "timezone": "browser",
            "time": {"from": self.time_from, "to": "now"},
            "timepicker": {},
            "refresh": "1m",
            "links": [_LINKS],
            "templating": {"list": [variable.json() for variable in self.variables]},
            "annotations": {"list": [BUILT_IN, *(note.json() for note in ANNOTATIONS)]},
            "panels": self._panels(),
        }

    def _panels(self) -> list[Json]:
        made, top = [], 0
        for row in self.rows:
            made.append(
                {
                    "id": panel_id(f"row {row.title}"),
                    "type": "row",
                    "title": row.title,
                    "collapsed": False,
                    "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": top},
                    "panels": [],
                }
            )
            top += 1
            left = height = 0
            for panel in row.panels:
                if left + panel.width > _COLUMNS:
                    top, left, height = top + height, 0, 0
                place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
                made.append(self._panel(panel) | {"gridPos": place})
                left, height = left + panel.width, max(height, panel.height)
            top += height
        return made

    def _panel(self, panel: Panel) -> Json:
        made: Json = {
            "id": panel_id(panel.name),
            "type": panel.kind,
            "title": panel.title,
            "options": dict(panel.options),
            "fieldConfig": {
                "defaults": panel.field.json(),
                "overrides": [override.json() for override in panel.overrides],
            },
        }
        if panel.transformations:
            made["transformations"] = list(panel.transformations)
        if panel.format is None:
            return made | ({"description": panel.description} if panel.description else {})
        folder = panel.folder or self.name
        names = {ref: file_of(folder, panel.name, ref) for ref in refs(folder, panel.name)}
        made["description"] = panel.description or "\n\n".join(
            dict.fromkeys(read(name).description for name in names.values())
        )
        made["datasource"] = DATASOURCE
        made["targets"] = [
            {
                "refId": ref,
                "datasource": DATASOURCE,
                "format": panel.format,
                "editorMode": "code",
                "rawQuery": True,
                "rawSql": read(name).sql,
            }
            for ref, name in names.items()
        ]
        return made


_LINKS: Final[Json] = {
    "title": "crosspane",
    "type": "dashboards",
    "tags": [_TAG],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
"""The bar of all dashboards: each opens at the same time, with the same choices."""


def panel_id(name: str) -> int:
    """Id of a panel within its dashboard, by its name."""
    return zlib.crc32(name.encode()) & 0xFFFFFF
