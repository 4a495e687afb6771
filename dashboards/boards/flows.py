"""
Flow explorer: what went over the wire, by what one asks for, down to single records.

Before: queries/flows/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.columns import COLUMNS, ends
from dashboards.boards.shared import completeness
from dashboards.build import (
    SHARE_BAD,
    Board,
    Choice,
    Field,
    OneOf,
    Override,
    Row,
    Textbox,
    bargauge,
    common,
    stat,
    table,
    timeseries,
)

__all__ = ["BOARD"]

_DIMENSIONS: Final = (
    "source",
    "target",
    "pair",
    "source cluster",
    "target cluster",
    "clusters",
    "networks",
    "namespaces",
    "clouds",
    "protocol",
    "port",
)
"""As ``queries/flows/top.sql`` knows them."""
_RESOLUTIONS: Final = {
    "resolved": ("resolved", "green"),
    "ambiguous": ("ambiguous", "orange"),
    "unknown": ("unknown", "red"),
}

BOARD: Final = Board(
    name="flows",
    title="Flow explorer",
    description="What goes over the wire, between whom, and which record says so?",
    variables=(
        *common("namespace"),
        Choice(name="exporter", label="Exporter", folder="flows"),
        Choice(name="protocol", label="Protocol", folder="flows"),
        Textbox(name="port", label="Port"),
        Textbox(name="address", label="Address or range"),
        Textbox(name="peer", label="And its peer"),
        OneOf(
            name="dimension",
            label="By",
            values=tuple((dimension, dimension) for dimension in _DIMENSIONS),
            first="pair",
        ),
    ),
    rows=(
        Row(
            "By $dimension",
            (
                stat(
                    "totals",
                    "On the wire",
                    width=14,
                    graph=True,
                    text_mode="value_and_name",
                    field=Field(unit="Bps", color="fixed:blue", no_value="no flows"),
                    overrides=(
                        Override("packets", Field(unit="pps")),
                        Override("flows", Field(unit="cps")),
                    ),
                ),
                stat(
                    "why_unnamed",
                    "Addresses without a name",
                    width=10,
                    text_mode="value_and_name",
                    field=Field(
                        unit="percentunit", decimals=2, thresholds=SHARE_BAD, no_value="no records"
                    ),
                ),
                bargauge(
                    "top", "The 20 largest", width=12, height=13, field=Field(unit="bytes", min=0)
                ),
                timeseries(
                    "series",
                    "The ten largest, over time",
                    width=12,
                    height=13,
                    stacked=True,
                    field=Field(unit="Bps"),
                ),
            ),
        ),
        Row(
            "Records",
            (
                table(
                    "latest",
                    "The latest flows",
                    height=14,
                    filterable=True,
                    overrides=(
                        *COLUMNS,
                        *ends("source", "target"),
                        Override(
                            "/^(source|target) is$/",
                            Field(words=_RESOLUTIONS, custom={"cellOptions.type": "color-text"}),
                            by="byRegexp",
                        ),
                        Override("seconds", Field(unit="s", decimals=1)),
                    ),
                ),
                table("nat", "Translated addresses", height=6, overrides=COLUMNS),
                table("exporters", "Exporters", width=14, height=7, overrides=COLUMNS),
                timeseries(
                    "unnamed",
                    "Flows with an end that is not known, by network",
                    width=10,
                    height=7,
                    field=Field(unit="percentunit", min=0),
                ),
            ),
        ),
        Row(
            "Lost on the way",
            (
                timeseries(
                    "losses",
                    "Sent again, and dropped, between clusters",
                    width=10,
                    height=9,
                    field=Field(unit="percentunit", min=0, no_value="no exporter tells"),
                ),
                table(
                    "agreement",
                    "Exporters that saw the same, and what one did not see",
                    width=14,
                    height=9,
                    overrides=(*COLUMNS, Override("tolerance", Field(unit="percentunit"))),
                ),
            ),
        ),
        completeness(),
    ),
)
