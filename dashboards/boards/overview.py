"""
Overview: how well is everything, who talks to whom across clusters, where to look first.

Before: queries/overview/. After: boards/__init__.py, topology.py (where its graph leads).
"""

from typing import Final

from dashboards.boards.calls import denied
from dashboards.boards.columns import COLUMNS, EDGE_ENDS, FAILED, SLOW, to_board
from dashboards.boards.shared import completeness
from dashboards.build import (
    HEALTH_CODES,
    SHARE_BAD,
    SHARE_GOOD,
    Board,
    Field,
    Override,
    Row,
    Step,
    common,
    geomap,
    network,
    node_graph,
    stat,
    state_timeline,
    table,
    timeseries,
)

__all__ = ["BOARD"]

_CALLS: Final = "no calls"
_WELL: Final = (Step(None, "red"), Step(0.75, "orange"), Step(0.95, "green"))
"""Of the mean score of all that is judged: from one in twenty that fails, and one in four."""
_SEVERITY: Final = {
    "error": ("error", "red"),
    "warning": ("warning", "orange"),
    "info": ("info", "blue"),
}

BOARD: Final = Board(
    name="overview",
    title="Overview",
    description="How well is everything, who talks to whom across clouds, and where to look first?",
    variables=common("cluster"),
    rows=(
        Row(
            "Now",
            (
                stat(
                    "health",
                    "Health",
                    graph=True,
                    field=Field(
                        unit="percentunit", decimals=1, thresholds=_WELL, no_value="not judged"
                    ),
                ),
                stat(
                    "requests",
                    "Calls",
                    graph=True,
                    field=Field(unit="reqps", no_value=_CALLS, color="fixed:blue"),
                ),
                stat(
                    "success",
                    "Success",
                    graph=True,
                    field=Field(
                        unit="percentunit", decimals=2, thresholds=SHARE_GOOD, no_value=_CALLS
                    ),
                ),
                stat(
                    "p95",
                    "p95",
                    graph=True,
                    field=Field(unit="ms", decimals=1, thresholds=SLOW, no_value=_CALLS),
                ),
                stat(
                    "crossing",
                    "Between clusters",
                    graph=True,
                    field=Field(unit="Bps", no_value="no flows", color="fixed:blue"),
                ),
                stat(
                    "unencrypted",
                    "Without TLS",
                    graph=True,
                    field=Field(
                        unit="percentunit", decimals=1, thresholds=SHARE_BAD, no_value=_CALLS
                    ),
                ),
                denied(2),
                stat(
                    "received",
                    "Received",
                    width=2,
                    graph=True,
                    field=Field(
                        unit="percentunit", decimals=1, thresholds=SHARE_GOOD, no_value="-"
                    ),
                ),
                stat(
                    "named",
                    "Named",
                    width=2,
                    graph=True,
                    field=Field(
                        unit="percentunit", decimals=1, thresholds=SHARE_GOOD, no_value="-"
                    ),
                ),
            ),
        ),
        Row(
            "Who talks to whom",
            (
                node_graph(
                    "graph",
                    "Clusters",
                    width=14,
                    main_unit="reqps",
                    secondary_unit="percentunit",
                    edge_main_unit="reqps",
                    edge_secondary_unit="ms",
                    arcs={"arc__ok": "green", "arc__slow": "orange", "arc__failed": "red"},
                    overrides=(
                        Override(
                            "title",
                            Field(
                                links=(
                                    to_board("clusters", "Cluster", cluster="${__data.fields.id}"),
                                    to_board(
                                        "topology",
                                        "Its workloads",
                                        level="workload",
                                        cluster="${__data.fields.id}",
                                    ),
                                )
                            ),
                        ),
                        Override(
                            "source",
                            Field(
                                links=(
                                    to_board(
                                        "topology",
                                        "Workloads of both",
                                        level="workload",
                                        cluster="${__data.fields.source}&var-cluster=${__data.fields.target}",
                                    ),
                                )
                            ),
                        ),
                    ),
                ),
                geomap(
                    "map",
                    "Clouds and data centres",
                    width=10,
                    layers=(
                        network(
                            "Links",
                            size="requests_per_s",
                            color="failed",
                            text="label",
                            edge_size="thickness",
                            edge_color="failed",
                        ),
                    ),
                    field=Field(thresholds=FAILED),
                    overrides=(
                        Override("requests_per_s", Field(unit="reqps", decimals=2)),
                        Override("bytes_per_s", Field(unit="Bps")),
                        Override("failed", Field(unit="percentunit", decimals=1)),
                    ),
                ),
            ),
        ),
        Row(
            "Health",
            (
                state_timeline(
                    "states",
                    "Clusters and gateways",
                    width=24,
                    field=Field(words=HEALTH_CODES),
                ),
            ),
        ),
        Row(
            "Where to look",
            (
                table(
                    "worst",
                    "Edges: the least well, then the busiest",
                    height=10,
                    overrides=(*COLUMNS, *EDGE_ENDS),
                ),
                table(
                    "findings",
                    "Findings",
                    height=7,
                    overrides=(
                        *COLUMNS,
                        Override(
                            "severity",
                            Field(words=_SEVERITY, custom={"cellOptions.type": "color-text"}),
                        ),
                        Override(
                            "state",
                            Field(
                                words={"open": ("open", "orange"), "closed": ("closed", "green")},
                                custom={"cellOptions.type": "color-text"},
                            ),
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Trends",
            (
                timeseries(
                    "traffic",
                    "On the wire between clusters",
                    width=8,
                    stacked=True,
                    field=Field(unit="Bps"),
                ),
                timeseries(
                    "failures",
                    "Calls that fail, by cluster that serves",
                    width=8,
                    field=Field(unit="percentunit", min=0),
                ),
                timeseries("latency", "p95, by path", width=8, field=Field(unit="ms")),
            ),
        ),
        completeness(),
    ),
)
