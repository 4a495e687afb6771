"""
Panels that draw more than lines and figures: graphs, maps, timelines, heat.

Before: panels.py, geomaps.py. After: board.py, boards/.
Source: Grafana's panelcfg kinds, 13.2; its nodeGraph panel, `utils.ts`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from dashboards.build.fields import Field, Json, Override
from dashboards.build.geomaps import BASEMAP
from dashboards.build.panels import Panel, with_custom

__all__ = ["geomap", "heatmap", "node_graph", "state_timeline"]


def node_graph(
    name: str,
    title: str,
    *,
    width: int = 14,
    height: int = 14,
    overrides: Sequence[Override] = (),
    main_unit: str | None = None,
    secondary_unit: str | None = None,
    edge_main_unit: str | None = None,
    edge_secondary_unit: str | None = None,
    arcs: Mapping[str, str] | None = None,
    layout: Literal["layered", "force", "grid"] = "layered",
) -> Panel:
    """
    Who talks to whom; asks ``<name>.nodes.sql`` and ``<name>.edges.sql``.

    Nodes have ``id``, ``title``, ``subtitle``, ``mainstat``, ``secondarystat``,
    ``arc__*`` (shares that sum to 1), ``detail__*``, ``color``, ``icon``; edges
    ``id``, ``source``, ``target``, ``mainstat``, ``secondarystat``,
    ``thickness``, ``color``, ``strokedasharray``, ``detail__*``. Each end of
    each edge must be a node, or Grafana draws nothing.

    Parameters
    ----------
    arcs
        Column of an arc to its colour.
    """
    nodes: Json = {"arcs": [{"field": key, "color": value} for key, value in (arcs or {}).items()]}
    edges: Json = {}
    for options, key, value in (
        (nodes, "mainStatUnit", main_unit),
        (nodes, "secondaryStatUnit", secondary_unit),
        (edges, "mainStatUnit", edge_main_unit),
        (edges, "secondaryStatUnit", edge_secondary_unit),
    ):
        if value:
            options[key] = value
    return Panel(
        name=name,
        title=title,
        kind="nodeGraph",
        width=width,
        height=height,
        format="table",
        options={
            "nodes": nodes,
            "edges": edges,
            "layoutAlgorithm": layout,
            "zoomMode": "cooperative",
        },
        overrides=overrides,
    )


def geomap(
    name: str,
    title: str,
    *,
    layers: Sequence[Json],
    width: int = 10,
    height: int = 14,
    field: Field = Field(),  # noqa: B008
    overrides: Sequence[Override] = (),
) -> Panel:
    """Places on a map that needs no internet; layers are made by `geomaps`."""
    return Panel(
        name=name,
        title=title,
        kind="geomap",
        width=width,
        height=height,
        format="table",
        options={
            "view": {"id": "fit", "lat": 0, "lon": 0, "zoom": 2, "padding": 20, "allLayers": True},
            "controls": {"showZoom": True, "mouseWheelZoom": False, "showAttribution": True},
            "basemap": BASEMAP,
            "layers": list(layers),
            "tooltip": {"mode": "details"},
        },
        field=field,
        overrides=overrides,
    )


def state_timeline(
    name: str,
    title: str,
    *,
    width: int = 12,
    height: int = 8,
    field: Field = Field(),  # noqa: B008
    overrides: Sequence[Override] = (),
    merge: bool = True,
) -> Panel:
    """
    States over time, a row for each series.

    The query has ``time``, a text column that names the row, and the state as
    a number: text would become a label. `HEALTH_CODES` has words for numbers.
    """
    return Panel(
        name=name,
        title=title,
        kind="state-timeline",
        width=width,
        height=height,
        format="time_series",
        options={
            "mergeValues": merge,
            "showValue": "never",
            "rowHeight": 0.9,
            "alignValue": "left",
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
                "calcs": [],
            },
            "tooltip": {"mode": "single", "sort": "none"},
        },
        field=with_custom(field, {"fillOpacity": 80, "lineWidth": 0}),
        overrides=overrides,
    )


def heatmap(
    name: str,
    title: str,
    *,
    width: int = 12,
    height: int = 8,
    field: Field = Field(),  # noqa: B008
    unit: str = "ms",
    count_unit: str = "short",
) -> Panel:
    """
    Counts by time and bucket: Grafana's ``heatmap-rows``.

    The query has ``time`` and one number column for each bucket, from low to
    high, named by its upper bound (``"5"``, ``"10"``, ``"25"``). No text
    column: it would make series of them, and series are sorted as text.
    """
    return Panel(
        name=name,
        title=title,
        kind="heatmap",
        width=width,
        height=height,
        format="time_series",
        options={
            "calculate": False,
            "rowsFrame": {"layout": "le"},
            "color": {
                "mode": "scheme",
                "scheme": "Spectral",
                "scale": "exponential",
                "exponent": 0.5,
                "steps": 64,
                "reverse": True,
                "fill": "dark-orange",
            },
            "cellGap": 1,
            "cellValues": {"unit": count_unit},
            "filterValues": {"le": 1e-9},
            "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": False},
            "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "showValue": "never",
        },
        field=field,
    )
