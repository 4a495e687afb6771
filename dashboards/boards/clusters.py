"""
Clusters, clouds and gateways: what there is, what joins it, who steers it, what nobody sees.

Before: overview.py, queries/clusters/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.columns import COLUMNS, to_board
from dashboards.boards.shared import colored, completeness
from dashboards.build import (
    HEALTH_CODES,
    SHARE_GOOD,
    Board,
    Field,
    Override,
    Row,
    Step,
    bargauge,
    common,
    state_timeline,
    table,
    timeseries,
)

__all__ = ["BOARD"]

_DAYS: Final = (Step(None, "red"), Step(7, "yellow"), Step(30, "green"))
_UNSEEN: Final = {
    "never_seen": ("never seen", "red"),
    "silent": ("silent", "orange"),
    "others_only": ("others only", "yellow"),
}

BOARD: Final = Board(
    name="clusters",
    title="Clusters, clouds and gateways",
    description="What is there, how is it joined, who steers it, and what does nobody see?",
    variables=common("cluster"),
    rows=(
        Row(
            "Clusters",
            (
                table(
                    "clusters",
                    "Clusters",
                    height=7,
                    overrides=(
                        *COLUMNS,
                        Override(
                            "cluster",
                            Field(
                                links=(
                                    to_board(
                                        "topology",
                                        "Its workloads",
                                        level="workload",
                                        cluster="${__data.fields.cluster}",
                                    ),
                                )
                            ),
                        ),
                    ),
                ),
                state_timeline(
                    "states",
                    "Clusters, gateways, links and control planes",
                    width=24,
                    height=9,
                    field=Field(words=HEALTH_CODES),
                ),
            ),
        ),
        Row(
            "Gateways",
            (
                table(
                    "gateways",
                    "Gateways, and what they cost",
                    height=7,
                    overrides=(
                        *COLUMNS,
                        Override(
                            "gateway",
                            Field(links=(to_board("topology", "Who uses it", level="gateway"),)),
                        ),
                    ),
                ),
                timeseries(
                    "gateway_requests",
                    "Calls through each",
                    width=8,
                    stacked=True,
                    field=Field(unit="reqps"),
                ),
                timeseries(
                    "gateway_failures",
                    "Share that fails",
                    width=8,
                    field=Field(unit="percentunit", min=0),
                ),
                timeseries(
                    "gateway_tax",
                    "What clients wait beyond the server, by path",
                    width=8,
                    field=Field(unit="ms"),
                ),
                table(
                    "taxes",
                    "Gateway tax: the same pair through a gateway, and without",
                    height=8,
                    overrides=(
                        *COLUMNS,
                        Override("added without", Field(unit="ms", decimals=1)),
                    ),
                ),
            ),
        ),
        Row(
            "Between clouds",
            (
                table("links", "Links between regions", height=8, overrides=COLUMNS),
                table(
                    "probes",
                    "Probes: who is reached from where",
                    width=14,
                    height=8,
                    overrides=(
                        *COLUMNS,
                        Override("certificate days", colored("d", _DAYS)),
                    ),
                ),
                timeseries(
                    "probe_latency",
                    "How long that takes",
                    width=10,
                    field=Field(unit="ms", no_value="no probes"),
                ),
            ),
        ),
        Row(
            "Control planes",
            (
                table(
                    "control_planes",
                    "Whom each serves, and which clusters it knows",
                    width=12,
                    height=6,
                    overrides=COLUMNS,
                ),
                table(
                    "proxies",
                    "Proxies that do not follow",
                    width=12,
                    height=6,
                    overrides=COLUMNS,
                ),
            ),
        ),
        Row(
            "What nobody sees",
            (
                bargauge(
                    "coverage",
                    "Observed, of what there is",
                    width=10,
                    height=10,
                    field=Field(
                        unit="percentunit", decimals=0, min=0, max=1, thresholds=SHARE_GOOD
                    ),
                ),
                table(
                    "blind_spots",
                    "Blind spots",
                    width=14,
                    height=10,
                    overrides=(
                        *COLUMNS,
                        Override(
                            "state",
                            Field(words=_UNSEEN, custom={"cellOptions.type": "color-text"}),
                        ),
                    ),
                ),
            ),
        ),
        completeness(),
    ),
)
