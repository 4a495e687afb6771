"""
Topology: the graph at any level, what its edges say, and what is different from before.

Before: overview.py, queries/topology/. After: boards/__init__.py, service.py, edge.py.
"""

from dataclasses import replace
from typing import Final

from dashboards.boards.columns import COLUMNS, FAILED, GRAPH_LINKS, ends
from dashboards.boards.shared import completeness
from dashboards.build import (
    Board,
    Field,
    OneOf,
    Override,
    Panel,
    Row,
    common,
    node_graph,
    table,
)

__all__ = ["BOARD"]

_CHANGES: Final = {
    "degraded": ("degraded", "red"),
    "less TLS": ("less TLS", "red"),
    "vanished": ("vanished", "orange"),
    "appeared": ("appeared", "blue"),
    "moved": ("moved", "purple"),
    "recovered": ("recovered", "green"),
}


def _matrix(name: str, title: str, value: str, field: Field) -> Panel:
    """Rows of (from, to, value): Grafana turns them on their side."""
    options = {"columnField": "to", "rowField": "from", "valueField": value, "emptyValue": "empty"}
    return replace(
        table(name, title, width=12, height=8, field=field),
        transformations=({"id": "groupingToMatrix", "options": options},),
    )


BOARD: Final = Board(
    name="topology",
    title="Topology",
    description="Who talks to whom, from clouds down to workloads, and what has changed?",
    variables=(
        *common("service", "level"),
        OneOf(
            name="show",
            label="Show",
            values=(("call", "calls"), ("leg", "the wire"), ("both", "both")),
            first="call",
        ),
    ),
    rows=(
        Row(
            "Graph",
            (
                node_graph(
                    "graph",
                    "Who talks to whom",
                    width=24,
                    height=20,
                    main_unit="reqps",
                    secondary_unit="percentunit",
                    edge_main_unit="reqps",
                    edge_secondary_unit="ms",
                    arcs={"arc__ok": "green", "arc__slow": "orange", "arc__failed": "red"},
                    overrides=GRAPH_LINKS,
                ),
            ),
        ),
        Row(
            "Edges",
            (
                table(
                    "edges",
                    "Edges, path by path",
                    height=11,
                    filterable=True,
                    overrides=(*COLUMNS, *ends("source", "target")),
                ),
            ),
        ),
        Row(
            "What has changed",
            (
                table(
                    "changes",
                    "Against the time before, as long as this",
                    height=9,
                    overrides=(
                        *COLUMNS,
                        *ends("source", "target"),
                        Override(
                            "change",
                            Field(
                                words=_CHANGES,
                                custom={
                                    "cellOptions.type": "color-background",
                                    "cellOptions.mode": "basic",
                                },
                            ),
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Cluster by cluster",
            (
                _matrix(
                    "matrix",
                    "Calls a second between clusters",
                    "requests/s",
                    Field(
                        unit="reqps",
                        decimals=2,
                        color="continuous-BlPu",
                        custom={"cellOptions.type": "color-background"},
                    ),
                ),
                _matrix(
                    "matrix_failed",
                    "Share of calls between clusters that fails",
                    "failed",
                    Field(
                        unit="percentunit",
                        decimals=1,
                        thresholds=FAILED,
                        custom={"cellOptions.type": "color-background"},
                    ),
                ),
            ),
        ),
        completeness(),
    ),
)
