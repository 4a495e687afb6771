"""
Panels of calls that several boards have: each asks the query of its board.

Before: columns.py. After: overview.py, service.py, edge.py.
"""

from dashboards.boards.columns import ANY_BAD, OUTCOMES
from dashboards.build import Field, Panel, stat, timeseries

__all__ = ["denied", "outcomes"]


def denied(width: int) -> Panel:
    """How many calls a policy refused, over their line."""
    return stat(
        "denied",
        "Denied",
        width=width,
        graph=True,
        reduce="sum",
        field=Field(unit="short", decimals=0, thresholds=ANY_BAD, no_value="0"),
    )


def outcomes() -> Panel:
    """How calls end, over time."""
    return timeseries(
        "outcomes",
        "How calls end",
        width=8,
        stacked=True,
        field=Field(unit="reqps"),
        overrides=OUTCOMES,
    )
