"""
Security and policy: what is encrypted, who was denied, what no policy covers.

Before: queries/security/. After: boards/__init__.py.
"""

from typing import Final

from dashboards.boards.shared import colored, completeness
from dashboards.build import (
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
    to_edge,
    to_service,
)

__all__ = ["BOARD"]

_ANY: Final = (Step(None, "green"), Step(1, "red"))
_SOME: Final = (Step(None, "green"), Step(1, "yellow"))
_DAYS: Final = (Step(None, "red"), Step(7, "yellow"), Step(30, "green"))
_SHARE: Final = Field(unit="percentunit", decimals=1, thresholds=SHARE_GOOD)
_TIME: Final = Field(unit="dateTimeAsIso")
_COLORED: Final = {"cellOptions.type": "color-text"}
_ENDS: Final = (
    Override("client", Field(links=(to_service("client"), to_edge("client", "server")))),
    Override("server", Field(links=(to_service("server"), to_edge("client", "server")))),
)
"""Of a table of edges: each end opens its service, or the edge of both."""

BOARD: Final = Board(
    name="security",
    title="Security and policy",
    description="What is encrypted end to end, who was denied by which policy, what nobody covers.",
    variables=common("cluster"),
    rows=(
        Row(
            "Now",
            (
                stat(
                    "posture",
                    "Of all that talks",
                    width=16,
                    text_mode="value_and_name",
                    field=Field(no_value="no calls"),
                    overrides=(
                        Override("encrypted", _SHARE),
                        Override("known at both ends", _SHARE),
                        Override("edges in plaintext", Field(thresholds=_ANY)),
                        Override("edges no policy covers", Field(thresholds=_SOME)),
                        Override("across trust domains", Field(thresholds=_SOME)),
                    ),
                ),
                stat("denied", "Denied", width=4, field=Field(unit="short", thresholds=_SOME)),
                stat("expiring", "Certificates late", width=4, field=Field(thresholds=_ANY)),
            ),
        ),
        Row(
            "Over time",
            (
                timeseries(
                    "encrypted_by_cluster",
                    "Encrypted, by cluster that serves",
                    field=Field(unit="percentunit", min=0, max=1),
                ),
                timeseries("denials", "Denied, by server", bars=True, stacked=True),
            ),
        ),
        Row(
            "Encryption",
            (
                table(
                    "plaintext",
                    "Not encrypted from end to end",
                    height=10,
                    overrides=(
                        *_ENDS,
                        Override(
                            "(encrypted|identified)",
                            colored("percentunit", SHARE_GOOD),
                            by="byRegexp",
                        ),
                        Override("in plaintext", Field(color="fixed:red", custom=_COLORED)),
                        Override("last seen", _TIME),
                    ),
                ),
                table(
                    "certificates",
                    "Certificates",
                    overrides=(
                        Override(
                            "state",
                            Field(
                                words={
                                    "expired": ("expired", "red"),
                                    "expiring": ("expiring", "orange"),
                                    "ok": ("ok", "green"),
                                },
                                custom=_COLORED,
                            ),
                        ),
                        Override("days left", colored("d", _DAYS)),
                        Override("expires", _TIME),
                    ),
                ),
            ),
        ),
        Row(
            "Policy",
            (
                table(
                    "who_was_denied",
                    "Who was denied, by which policy",
                    width=14,
                    height=10,
                    overrides=(*_ENDS, Override("last time", _TIME)),
                ),
                table(
                    "not_covered",
                    "What no policy covers",
                    width=10,
                    height=10,
                    overrides=(
                        *_ENDS,
                        Override(
                            "policy",
                            Field(
                                words={
                                    "not covered": ("not covered", "orange"),
                                    "nobody tells": ("nobody tells", "text"),
                                },
                                custom=_COLORED,
                            ),
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Borders",
            (
                table(
                    "trust",
                    "Across trust domains",
                    width=12,
                    overrides=(
                        *_ENDS,
                        Override("identified", colored("percentunit", SHARE_GOOD)),
                        Override("unexpected", Field(color="fixed:red", custom=_COLORED)),
                    ),
                ),
                table(
                    "egress",
                    "Egress",
                    width=12,
                    overrides=(
                        Override("client", Field(links=(to_service("client"),))),
                        Override("bytes", Field(unit="bytes")),
                        Override("last seen", _TIME),
                    ),
                ),
            ),
        ),
        completeness(),
    ),
)
