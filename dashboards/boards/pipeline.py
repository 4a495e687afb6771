"""
Pipeline health: does the job keep up, does every source speak, is anything lost.

Before: queries/pipeline/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.shared import colored, completeness
from dashboards.build import (
    SHARE_BAD,
    SHARE_GOOD,
    Board,
    Field,
    Override,
    Row,
    Step,
    common,
    stat,
    table,
    timeseries,
)

__all__ = ["BOARD"]

_LAG: Final = (Step(None, "green"), Step(60_000, "yellow"), Step(300_000, "red"))
_SILENCE: Final = (Step(None, "green"), Step(300, "yellow"), Step(3_600, "red"))
_ANY: Final = (Step(None, "green"), Step(1, "yellow"))
_TIME: Final = Field(unit="dateTimeAsIso")

BOARD: Final = Board(
    name="pipeline",
    title="Pipeline health",
    description="Does crosspane itself keep up, does it hear everyone, and is anything lost?",
    variables=common("cluster"),
    rows=(
        Row(
            "Now",
            (
                stat(
                    "lag",
                    "Lag",
                    graph=True,
                    field=Field(unit="ms", thresholds=_LAG, no_value="no commits"),
                ),
                stat(
                    "lost",
                    "Lost before us",
                    field=Field(
                        unit="percentunit",
                        decimals=2,
                        thresholds=SHARE_BAD,
                        no_value="nobody counts",
                    ),
                ),
                stat(
                    "not_understood",
                    "Not understood",
                    field=Field(
                        unit="percentunit",
                        decimals=2,
                        thresholds=SHARE_BAD,
                        no_value="nothing came",
                    ),
                ),
                stat(
                    "named",
                    "Addresses with a name, last hour",
                    field=Field(
                        unit="percentunit", decimals=1, thresholds=SHARE_GOOD, no_value="no rows"
                    ),
                ),
                stat(
                    "dropped", "Dropped before the log", field=Field(unit="short", thresholds=_ANY)
                ),
                stat("silent", "Silent sources", field=Field(unit="none", thresholds=_ANY)),
                stat(
                    "stale_inventory",
                    "Inventory not heard for",
                    field=Field(unit="s", thresholds=_SILENCE, no_value="from files"),
                ),
            ),
        ),
        Row(
            "What comes",
            (
                timeseries("by_source", "Records by source", field=Field(unit="cps"), stacked=True),
                timeseries("written", "Rows written", field=Field(unit="cps"), stacked=True),
                timeseries("bytes", "Taken from the log", field=Field(unit="Bps"), width=12),
                timeseries(
                    "spent", "Where the job's time goes", field=Field(unit="ms"), stacked=True
                ),
            ),
        ),
        Row(
            "What is lost",
            (
                timeseries("loss", "Lost before us, by exporter", field=Field(unit="percentunit")),
                timeseries("drops", "Dropped before the log, by reason", bars=True, stacked=True),
                timeseries("rejects", "Rejects by reason", bars=True, stacked=True),
                timeseries(
                    "naming",
                    "Addresses with a name, by what told of them, last hour",
                    field=Field(unit="percentunit", max=1),
                ),
                timeseries("corrections", "Rows named again", bars=True, stacked=True),
                table(
                    "coverage",
                    "Of what should be seen, how much is",
                    width=12,
                    height=8,
                    overrides=(Override("share", colored("percentunit", SHARE_GOOD)),),
                ),
            ),
        ),
        Row(
            "Who to ask",
            (
                table(
                    "quiet",
                    "Silent sources",
                    width=12,
                    overrides=(
                        Override("silent", colored("s", _SILENCE)),
                        Override("last heard", _TIME),
                    ),
                ),
                table(
                    "rejected",
                    "What could not be decoded",
                    width=12,
                    overrides=(
                        Override("largest", Field(unit="bytes")),
                        Override("last time", _TIME),
                    ),
                ),
            ),
        ),
        completeness(),
    ),
)
