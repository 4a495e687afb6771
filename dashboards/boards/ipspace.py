"""
Address space: how full it is, what overlaps, who could share one flat network.

Before: queries/ipspace/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.shared import colored, completeness
from dashboards.build import (
    Board,
    Field,
    Override,
    Row,
    Step,
    bargauge,
    common,
    stat,
    table,
)

__all__ = ["BOARD"]

_ANY: Final = (Step(None, "green"), Step(1, "red"))
_SOME: Final = (Step(None, "green"), Step(1, "yellow"))
_USED: Final = (Step(None, "green"), Step(0.7, "yellow"), Step(0.9, "red"))
_DAYS: Final = (Step(None, "red"), Step(30, "yellow"), Step(90, "green"))
_TIME: Final = Field(unit="dateTimeAsIso")
_COLORED: Final = {"cellOptions.type": "color-text"}
_SEVERITY: Final = Field(
    words={
        "error": ("error", "red"),
        "warning": ("warning", "orange"),
        "info": ("info", "blue"),
    },
    custom=_COLORED,
)
_FLAT: Final = Field(
    words={
        "flat": ("flat", "green"),
        "ready": ("could be flat", "blue"),
        "unknown": ("not known", "text"),
        "blocked": ("blocked", "orange"),
        "conflicting": ("conflicting", "red"),
    },
    custom=_COLORED,
)
_FULL: Final = Field(
    words={
        "full": ("full", "red"),
        "nearly_full": ("nearly full", "red"),
        "filling": ("filling", "orange"),
        "ok": ("ok", "green"),
        "unknown": ("too short a history", "text"),
    },
    custom=_COLORED,
)

BOARD: Final = Board(
    name="ipspace",
    title="Address space",
    description="Which ranges are full, which contend, which clusters could be one flat network.",
    variables=common("cluster"),
    time_from="now-24h",
    rows=(
        Row(
            "Now",
            (
                stat(
                    "contending",
                    "Addresses with two meanings",
                    width=4,
                    field=Field(unit="locale", thresholds=_ANY),
                ),
                stat("filling", "Ranges that fill up", width=4, field=Field(thresholds=_SOME)),
                stat(
                    "unattributed",
                    "Records without a name for it",
                    width=4,
                    field=Field(unit="short", thresholds=_SOME),
                ),
                stat(
                    "flat_pairs",
                    "Pairs of clusters",
                    width=12,
                    text_mode="value_and_name",
                    overrides=(
                        Override("flat", Field(color="fixed:green")),
                        Override("could be flat", Field(color="fixed:blue")),
                        Override("in the way", Field(color="fixed:orange")),
                    ),
                ),
            ),
        ),
        Row(
            "How full",
            (
                bargauge(
                    "used",
                    "Utilisation",
                    height=12,
                    field=Field(unit="percentunit", min=0, max=1, decimals=1, thresholds=_USED),
                ),
                table(
                    "forecast",
                    "When full",
                    width=12,
                    height=12,
                    overrides=(
                        Override("state", _FULL),
                        Override("used", colored("percentunit", _USED)),
                        Override("days left", colored("d", _DAYS, 0)),
                        Override("more a day", Field(decimals=1)),
                    ),
                ),
                table(
                    "networks",
                    "Networks",
                    height=6,
                    overrides=(Override("fullest", colored("percentunit", _USED)),),
                ),
            ),
        ),
        Row(
            "What contends",
            (
                table(
                    "problems",
                    "Overlaps and conflicts",
                    height=10,
                    overrides=(
                        Override("severity", _SEVERITY),
                        Override("addresses", Field(unit="locale")),
                        Override("last seen", _TIME),
                    ),
                ),
            ),
        ),
        Row(
            "Who could be flat",
            (
                table(
                    "flat",
                    "Pairs of clusters",
                    width=12,
                    height=10,
                    overrides=(
                        Override("state", _FLAT),
                        Override("addresses", Field(unit="locale")),
                    ),
                ),
                table(
                    "conflicts",
                    "Ranges that would have to move apart",
                    width=12,
                    height=10,
                    overrides=(Override("in both", Field(unit="locale")),),
                ),
            ),
        ),
        Row(
            "Whom nobody knows",
            (
                table(
                    "unowned",
                    "Addresses that talk and have no owner",
                    overrides=(
                        Override("bytes", Field(unit="bytes")),
                        Override("(first|last) seen", _TIME, by="byRegexp"),
                    ),
                ),
            ),
        ),
        completeness(),
    ),
)
