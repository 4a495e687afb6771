"""
What boards are made of.

    query        a .sql file and its header
    fields       units, thresholds, words for values, links
    geomaps      layers of a map
    panels       one function a kind of panel: figures, lines, tables, bars
    pictures     graphs, maps, timelines, heat
    variables    what a reader chooses
    annotations  what happened
    board        rows of panels, placed, as Grafana's JSON

Before: queries/. After: boards/.
"""

from dashboards.build.board import Board, Row
from dashboards.build.fields import (
    HEALTH,
    HEALTH_CODES,
    SHARE_BAD,
    SHARE_GOOD,
    Field,
    Link,
    Override,
    Step,
    Unit,
    to_edge,
    to_service,
)
from dashboards.build.geomaps import markers, network
from dashboards.build.panels import (
    Panel,
    alertlist,
    barchart,
    bargauge,
    stat,
    table,
    text,
    timeseries,
)
from dashboards.build.pictures import geomap, heatmap, node_graph, state_timeline
from dashboards.build.variables import LEVELS, Choice, OneOf, Textbox, common

__all__ = [
    "HEALTH",
    "HEALTH_CODES",
    "LEVELS",
    "SHARE_BAD",
    "SHARE_GOOD",
    "Board",
    "Choice",
    "Field",
    "Link",
    "OneOf",
    "Override",
    "Panel",
    "Row",
    "Step",
    "Textbox",
    "Unit",
    "alertlist",
    "barchart",
    "bargauge",
    "common",
    "geomap",
    "heatmap",
    "markers",
    "network",
    "node_graph",
    "stat",
    "state_timeline",
    "table",
    "text",
    "timeseries",
    "to_edge",
    "to_service",
]
