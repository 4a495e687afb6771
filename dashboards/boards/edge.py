"""
One edge: from one client to one server, hop by hop, as both ends tell it.

Before: service.py, queries/edge/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.calls import denied, outcomes
from dashboards.boards.columns import COLUMNS, SLOW
from dashboards.boards.shared import completeness
from dashboards.build import (
    HEALTH_CODES,
    SHARE_GOOD,
    Board,
    Choice,
    Field,
    Row,
    common,
    stat,
    state_timeline,
    table,
    timeseries,
)

__all__ = ["BOARD"]

_CALLS: Final = "no calls"

BOARD: Final = Board(
    name="edge",
    title="Edge",
    description="How do calls from one client to one server go, and what does each hop add?",
    variables=(
        *common("cluster"),
        Choice(name="source", label="Client", folder="edge", multi=False),
        Choice(name="target", label="Server", folder="edge", multi=False),
    ),
    rows=(
        Row(
            "$source to $target",
            (
                stat(
                    "requests",
                    "Calls",
                    width=5,
                    graph=True,
                    field=Field(unit="reqps", no_value=_CALLS, color="fixed:blue"),
                ),
                stat(
                    "success",
                    "Success",
                    width=5,
                    graph=True,
                    field=Field(
                        unit="percentunit", decimals=2, thresholds=SHARE_GOOD, no_value=_CALLS
                    ),
                ),
                stat(
                    "p95",
                    "p95 at the client",
                    width=5,
                    graph=True,
                    field=Field(unit="ms", decimals=1, thresholds=SLOW, no_value=_CALLS),
                ),
                stat(
                    "tax",
                    "What the way costs",
                    width=5,
                    graph=True,
                    field=Field(
                        unit="ms", decimals=1, no_value="not told by both", color="fixed:blue"
                    ),
                ),
                denied(4),
            ),
        ),
        Row(
            "Over time",
            (
                outcomes(),
                timeseries("latency", "Seen from both ends", width=8, field=Field(unit="ms")),
                timeseries("paths", "By path", width=8, stacked=True, field=Field(unit="reqps")),
                state_timeline(
                    "states",
                    "The edge, and its ends",
                    width=16,
                    height=7,
                    field=Field(words=HEALTH_CODES),
                ),
                timeseries(
                    "wire",
                    "Directly on the wire",
                    width=8,
                    height=7,
                    field=Field(unit="Bps", no_value="not directly"),
                ),
            ),
        ),
        Row(
            "Hop by hop",
            (
                table("hops", "Hops, and what each adds", height=7, overrides=COLUMNS),
                table(
                    "disagreement",
                    "Where both ends do not say the same",
                    height=5,
                    overrides=COLUMNS,
                ),
            ),
        ),
        Row(
            "How safe",
            (
                table(
                    "security",
                    "Encrypted and identified, end to end",
                    width=12,
                    height=7,
                    overrides=COLUMNS,
                ),
                table(
                    "identities",
                    "Who showed which identity",
                    width=12,
                    height=7,
                    overrides=COLUMNS,
                ),
            ),
        ),
        Row(
            "Calls",
            (table("latest", "The latest", height=11, filterable=True, overrides=COLUMNS),),
        ),
        completeness(),
    ),
)
