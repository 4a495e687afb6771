"""
Layers of a map: places as markers, and links between them.

The ground is `countries.geojson`, which Grafana brings: tiles would come from
the internet. (Grafana takes any of its layers as the ground, not only tiles.)

Before: fields.py. After: panels.py.
Source: Grafana's geomap panel, `layers/registry.ts`, `layers/data/{markersLayer,networkLayer}.tsx`.
"""

from typing import Final

from dashboards.build.fields import Json

__all__ = ["BASEMAP", "markers", "network"]

BASEMAP: Final[Json] = {
    "type": "geojson",
    "name": "Countries",
    "config": {
        "src": "public/maps/countries.geojson",
        "rules": [],
        "style": {"color": {"fixed": "#8080804d"}, "opacity": 0.3, "lineWidth": 1},
    },
}
_PLACE: Final[Json] = {"mode": "coords", "latitude": "latitude", "longitude": "longitude"}


def markers(
    name: str, *, size: str | None = None, color: str | None = None, text: str | None = None
) -> Json:
    """
    A marker for each row of the frame ``nodes``, by its ``latitude`` and ``longitude``.

    Parameters
    ----------
    size, color, text
        Columns that give a marker's size, its colour (by thresholds), its label.
    """
    return {
        "type": "markers",
        "name": name,
        "location": _PLACE,
        "filterData": {"id": "byRefId", "options": "nodes"},
        "tooltip": True,
        "config": {"showLegend": False, "style": _style(size, color, text)},
    }


def network(
    name: str,
    *,
    size: str | None = None,
    color: str | None = None,
    text: str | None = None,
    edge_size: str | None = None,
    edge_color: str | None = None,
    edge_text: str | None = None,
) -> Json:
    """
    A node graph on the map: ``nodes`` with places, ``edges`` by ``source`` and ``target``.

    Each end of each edge must be a node: a missing one breaks the panel.
    """
    return {
        "type": "network",
        "name": name,
        "location": _PLACE,
        "tooltip": True,
        "config": {
            "showLegend": False,
            "arrow": 1,
            "style": _style(size, color, text),
            "edgeStyle": _style(edge_size, edge_color, edge_text, smallest=1, largest=8),
        },
    }


def _style(
    size: str | None,
    color: str | None,
    text: str | None,
    *,
    smallest: int = 6,
    largest: int = 18,
) -> Json:
    style: Json = {
        "size": {"fixed": smallest, "min": smallest, "max": largest},
        "color": {"fixed": "blue"},
        "opacity": 0.7,
        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
    }
    if size:
        style["size"] = {"field": size, "fixed": smallest, "min": smallest, "max": largest}
    if color:
        style["color"] = {"field": color, "fixed": "blue"}
    if text:
        style["text"] = {"mode": "field", "field": text, "fixed": ""}
        style["textConfig"] = {
            "fontSize": 12,
            "textAlign": "left",
            "textBaseline": "middle",
            "offsetX": 12,
            "offsetY": 0,
        }
    return style
