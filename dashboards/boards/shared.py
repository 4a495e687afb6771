"""
What every dashboard has.

Before: build/. After: the other boards.
"""

from dashboards.build import SHARE_BAD, SHARE_GOOD, Field, Override, Row, table

__all__ = ["completeness"]


def completeness() -> Row:
    """
    The last row of each dashboard: of what was sent, how much is here, and understood.

    A figure above is only as good as this row.
    """
    share = Field(
        unit="percentunit",
        decimals=1,
        thresholds=SHARE_BAD,
        custom={"cellOptions.type": "color-text"},
    )
    return Row(
        "How complete this is",
        (
            table(
                "completeness",
                "Sources: loss, what was not understood, what could not be named",
                folder="common",
                height=7,
                overrides=(
                    Override("(lost|rejected|unknown|ambiguous)", share, by="byRegexp"),
                    Override(
                        "understood",
                        Field(
                            unit="percentunit",
                            decimals=1,
                            thresholds=SHARE_GOOD,
                            custom={"cellOptions.type": "color-text"},
                        ),
                    ),
                    Override("last record", Field(unit="dateTimeAsIso")),
                ),
            ),
        ),
    )
