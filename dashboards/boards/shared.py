"""
What every dashboard has, and what several say alike.

Before: build/. After: the other boards.
"""

from collections.abc import Sequence

from dashboards.build import SHARE_BAD, SHARE_GOOD, Field, Override, Row, Step, Unit, table

__all__ = ["colored", "completeness"]


def colored(unit: Unit, thresholds: Sequence[Step], decimals: int | None = 1) -> Field:
    """A column of a table whose text has the colour of its value."""
    return Field(
        unit=unit,
        decimals=decimals,
        thresholds=thresholds,
        custom={"cellOptions.type": "color-text"},
    )


def completeness() -> Row:
    """
    The last row of each dashboard: of what was sent, how much is here, and understood.

    A figure above is only as good as this row.
    """
    return Row(
        "How complete this is",
        (
            table(
                "completeness",
                "Sources: what was lost, and what was not understood",
                folder="common",
                height=7,
                overrides=(
                    Override("understood", colored("percentunit", SHARE_GOOD)),
                    Override("rejected", colored("percentunit", SHARE_BAD)),
                    Override("lost", colored("percentunit", SHARE_BAD)),
                    Override("last record", Field(unit="dateTimeAsIso")),
                ),
            ),
        ),
    )
