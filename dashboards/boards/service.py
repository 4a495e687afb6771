"""
One service: how it does, who calls it and whom it calls, why calls fail, over which paths.

Before: topology.py, queries/service/. After: boards/__init__.py, edge.py (where its tables lead).
"""

from typing import Final

from dashboards.boards.calls import denied, outcomes
from dashboards.boards.columns import COLUMNS, EDGE_ENDS, GRAPH_LINKS, SLOW
from dashboards.boards.shared import completeness
from dashboards.build import (
    HEALTH_CODES,
    SHARE_GOOD,
    Board,
    Choice,
    Field,
    Row,
    common,
    heatmap,
    node_graph,
    stat,
    state_timeline,
    table,
    timeseries,
)

__all__ = ["BOARD"]

_CALLS: Final = "no calls"
_SHARE: Final = Field(unit="percentunit", decimals=2, thresholds=SHARE_GOOD, no_value=_CALLS)

BOARD: Final = Board(
    name="service",
    title="Service",
    description="How does a service do, who calls it, whom does it call, and whose fault is it?",
    variables=(
        *common("namespace"),
        Choice(name="service", label="Service", multi=False),
    ),
    rows=(
        Row(
            "$service",
            (
                stat(
                    "requests",
                    "Calls to it",
                    width=4,
                    graph=True,
                    field=Field(unit="reqps", no_value=_CALLS, color="fixed:blue"),
                ),
                stat("success", "Success", width=4, graph=True, field=_SHARE),
                stat(
                    "p95",
                    "p95",
                    width=4,
                    graph=True,
                    field=Field(unit="ms", decimals=1, thresholds=SLOW, no_value=_CALLS),
                ),
                stat(
                    "bytes",
                    "Octets in and out",
                    width=4,
                    graph=True,
                    text_mode="value_and_name",
                    field=Field(unit="Bps", no_value=_CALLS, color="fixed:blue"),
                ),
                stat("encrypted", "Over TLS", width=4, graph=True, field=_SHARE),
                denied(4),
            ),
        ),
        Row(
            "Over time",
            (
                outcomes(),
                timeseries("latency", "How long they take", width=8, field=Field(unit="ms")),
                heatmap("durations", "How durations are spread", width=8),
            ),
        ),
        Row(
            "Who calls it, and whom it calls",
            (
                node_graph(
                    "graph",
                    "One step around it",
                    width=12,
                    height=12,
                    main_unit="reqps",
                    secondary_unit="percentunit",
                    edge_main_unit="reqps",
                    edge_secondary_unit="ms",
                    arcs={"arc__ok": "green", "arc__slow": "orange", "arc__failed": "red"},
                    overrides=GRAPH_LINKS,
                ),
                state_timeline(
                    "states",
                    "It, and its edges",
                    width=12,
                    height=12,
                    field=Field(words=HEALTH_CODES),
                ),
                table("inbound", "Who calls it", height=7, overrides=(*COLUMNS, *EDGE_ENDS)),
                table("outbound", "Whom it calls", height=7, overrides=(*COLUMNS, *EDGE_ENDS)),
            ),
        ),
        Row(
            "Over which paths",
            (
                table(
                    "gateways",
                    "Paths, and what each costs beyond the service's own time",
                    width=14,
                    height=7,
                    overrides=COLUMNS,
                ),
                table("codes", "Statuses it answered with", width=10, height=7, overrides=COLUMNS),
            ),
        ),
        Row(
            "Why calls fail",
            (
                table("why", "What is not well, minute by minute", height=7, overrides=COLUMNS),
                table("blame", "Whose fault, by what proxies say", height=6, overrides=COLUMNS),
                table("failing", "Calls that failed last", overrides=COLUMNS),
                table(
                    "verdicts",
                    "What was refused, by which policy",
                    height=6,
                    overrides=(*COLUMNS, *EDGE_ENDS),
                ),
            ),
        ),
        Row(
            "What it is",
            (table("pods", "Pods and machines", height=6, overrides=COLUMNS),),
        ),
        completeness(),
    ),
)
