"""
Pipeline health: does the job keep up, does every source speak, is anything lost.

Before: queries/pipeline/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.shared import completeness
from dashboards.build import Board, Field, Row, Step, common, stat, timeseries

__all__ = ["BOARD"]

_LAG: Final = (Step(None, "green"), Step(60_000, "yellow"), Step(300_000, "red"))

BOARD: Final = Board(
    name="pipeline",
    title="Pipeline health",
    description="Does crosspane itself keep up, and does it hear everyone?",
    variables=common("network", "cluster"),
    rows=(
        Row(
            "Now",
            (stat("lag", "Lag", field=Field(unit="ms", thresholds=_LAG, no_value="no commits")),),
        ),
        Row(
            "Over time",
            (timeseries("records_per_s", "Rows written", field=Field(unit="cps"), stacked=True),),
        ),
        completeness(),
    ),
)
