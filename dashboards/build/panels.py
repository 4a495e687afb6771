"""
Panels: one function a kind, with the options boards use and their defaults.

A panel is named like the file of its query: the panel ``lag`` of the board
``pipeline`` asks ``queries/pipeline/lag.sql``; one with several queries has
``lag.<refId>.sql``. Places are given by the board (`board.py`).

Before: fields.py, query.py. After: pictures.py, board.py, boards/.
Source: Grafana's panelcfg kinds, 13.2 (`@grafana/schema`, `raw/composable/*/panelcfg`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as make
from typing import Any, Final, Literal

from dashboards.build.fields import Field, Json, Override

__all__ = [
    "DATASOURCE",
    "Format",
    "Panel",
    "alertlist",
    "barchart",
    "bargauge",
    "stat",
    "table",
    "text",
    "timeseries",
    "with_custom",
]

DATASOURCE: Final[Json] = {"type": "grafana-postgresql-datasource", "uid": "crosspane"}
"""The one data source: `crosspane serve`, asked by the plugin Grafana brings."""

Format = Literal["time_series", "table"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """
    A panel without its place.

    Parameters
    ----------
    name
        Its name in the board, and that of its query's file.
    kind
        Grafana's panel type.
    width, height
        Columns of 24, and rows of 30 pixels.
    format
        What the data source makes of rows; None for panels that ask nothing.
    folder
        Folder of its query, if it is not the board's.
    transformations
        Grafana's, as they are; the browser page knows those in `pane/src/transform.ts`.
    """

    name: str
    title: str
    kind: str
    width: int
    height: int
    format: Format | None
    options: Mapping[str, Any]
    field: Field = make(default_factory=Field)
    overrides: Sequence[Override] = ()
    folder: str | None = None
    description: str | None = None
    transformations: Sequence[Json] = ()


def stat(
    name: str,
    title: str,
    *,
    width: int = 3,
    height: int = 4,
    field: Field = Field(),  # noqa: B008 - frozen
    overrides: Sequence[Override] = (),
    graph: bool = False,
    format: Format | None = None,  # noqa: A002 - Grafana's word
    text_mode: Literal["auto", "value", "value_and_name", "name"] = "auto",
    color_mode: Literal["value", "background", "background_solid", "none"] = "value",
    reduce: str = "lastNotNull",
) -> Panel:
    """One figure: the last row's; with `graph`, over a line of all (a time series)."""
    return Panel(
        name=name,
        title=title,
        kind="stat",
        width=width,
        height=height,
        format=format or ("time_series" if graph else "table"),
        options={
            "reduceOptions": {"values": False, "calcs": [reduce], "fields": ""},
            "orientation": "auto",
            "textMode": text_mode,
            "colorMode": color_mode,
            "graphMode": "area" if graph else "none",
            "justifyMode": "auto",
            "wideLayout": True,
            "showPercentChange": False,
            "percentChangeColorMode": "standard",
        },
        field=field,
        overrides=overrides,
    )


def timeseries(
    name: str,
    title: str,
    *,
    width: int = 12,
    height: int = 8,
    field: Field = Field(),  # noqa: B008
    overrides: Sequence[Override] = (),
    stacked: bool = False,
    bars: bool = False,
    legend: Literal["list", "table", "hidden"] = "list",
    calcs: Sequence[str] = (),
) -> Panel:
    """Lines over time (bars, stacked areas); string columns of the query name the series."""
    style: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else (80 if bars else 8),
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "axisSoftMin": 0,
    }
    return Panel(
        name=name,
        title=title,
        kind="timeseries",
        width=width,
        height=height,
        format="time_series",
        options={
            "legend": {
                "displayMode": "table" if legend == "table" else "list",
                "placement": "bottom",
                "showLegend": legend != "hidden",
                "calcs": list(calcs),
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        field=with_custom(field, style),
        overrides=overrides,
    )


def table(
    name: str,
    title: str,
    *,
    width: int = 24,
    height: int = 9,
    field: Field = Field(),  # noqa: B008
    overrides: Sequence[Override] = (),
    sort_by: str | None = None,
    descending: bool = True,
    filterable: bool = False,
    folder: str | None = None,
) -> Panel:
    """Rows as they come; cells are coloured and linked by `overrides`."""
    return Panel(
        name=name,
        title=title,
        kind="table",
        width=width,
        height=height,
        format="table",
        options={
            "frameIndex": 0,
            "showHeader": True,
            "cellHeight": "sm",
            **({"sortBy": [{"displayName": sort_by, "desc": descending}]} if sort_by else {}),
        },
        field=with_custom(field, {"filterable": True} if filterable else {}),
        overrides=overrides,
        folder=folder,
    )


def bargauge(
    name: str,
    title: str,
    *,
    width: int = 12,
    height: int = 8,
    field: Field = Field(),  # noqa: B008
    overrides: Sequence[Override] = (),
    horizontal: bool = True,
) -> Panel:
    """A bar for each row of a table: the first text column names it, the number fills it."""
    return Panel(
        name=name,
        title=title,
        kind="bargauge",
        width=width,
        height=height,
        format="table",
        options={
            "reduceOptions": {"values": True, "calcs": ["lastNotNull"], "fields": "", "limit": 40},
            "orientation": "horizontal" if horizontal else "vertical",
            "displayMode": "gradient",
            "valueMode": "color",
            "namePlacement": "auto",
            "showUnfilled": True,
            "sizing": "auto",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "maxVizHeight": 300,
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
                "calcs": [],
            },
        },
        field=field,
        overrides=overrides,
    )


def barchart(
    name: str,
    title: str,
    *,
    width: int = 12,
    height: int = 8,
    field: Field = Field(),  # noqa: B008
    overrides: Sequence[Override] = (),
    horizontal: bool = False,
    stacked: bool = False,
    x_field: str | None = None,
) -> Panel:
    """Bars by category: the first text column (or `x_field`) is the axis, numbers are the bars."""
    return Panel(
        name=name,
        title=title,
        kind="barchart",
        width=width,
        height=height,
        format="table",
        options={
            "orientation": "horizontal" if horizontal else "auto",
            "stacking": "normal" if stacked else "none",
            "showValue": "auto",
            "barWidth": 0.9,
            "groupWidth": 0.7,
            "barRadius": 0,
            "fullHighlight": False,
            "xTickLabelRotation": 0,
            "xTickLabelMaxLength": 24,
            "xTickLabelSpacing": 100,
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
                "calcs": [],
            },
            "tooltip": {"mode": "single", "sort": "none"},
            **({"xField": x_field} if x_field else {}),
        },
        field=field,
        overrides=overrides,
    )


def text(name: str, title: str, content: str, *, width: int = 24, height: int = 3) -> Panel:
    """Words for people, Markdown."""
    return Panel(
        name=name,
        title=title,
        kind="text",
        width=width,
        height=height,
        format=None,
        options={"mode": "markdown", "content": content},
    )


def alertlist(name: str, title: str, *, width: int = 8, height: int = 8) -> Panel:
    """What fires now, of the alert rules that are provisioned with the boards."""
    return Panel(
        name=name,
        title=title,
        kind="alertlist",
        width=width,
        height=height,
        format=None,
        options={
            "viewMode": "list",
            "groupMode": "default",
            "groupBy": [],
            "maxItems": 20,
            "sortOrder": 1,
            "dashboardAlerts": False,
            "alertName": "",
            "alertInstanceLabelFilter": '{app="crosspane"}',
            "stateFilter": {
                "firing": True,
                "pending": True,
                "recovering": True,
                "noData": False,
                "normal": False,
                "error": True,
            },
        },
    )


def with_custom(field: Field, custom: Mapping[str, Any]) -> Field:
    """Add a kind's defaults below what the board says."""
    return replace(field, custom={**custom, **field.custom})
