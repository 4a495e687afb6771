"""
What a query is asked under: a time range, and what was chosen of each variable.

Before: a dashboard's JSON. After: variables.py, macros.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

__all__ = ["ALL", "Chosen", "ExpandError", "Expanded", "Fill", "Scope"]

ALL: Final = "$__all"
"""What the value of a variable is where all are chosen."""


class ExpandError(Exception):
    """A macro that Grafana would refuse, too."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """
    A variable and what was chosen of it.

    Parameters
    ----------
    value
        One value, or several.
    is_list
        It may have several values, or all: values are quoted one by one.
    all_value
        What stands for all; None: every one of `options`.
    options
        Values there are.
    """

    name: str
    value: str | tuple[str, ...]
    is_list: bool = False
    all_value: str | None = None
    options: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """All were chosen."""
        return self.value == ALL or (isinstance(self.value, tuple) and self.value[:1] == (ALL,))


@dataclass(frozen=True, kw_only=True)
class Scope:
    """
    What a query is asked under.

    Parameters
    ----------
    from_time, to_time
        The time range; in a time zone.
    interval_ms
        Time between two points that a panel can show.
    variables
        By name.
    timescaledb
        Setting of the data source: groups of time are ``time_bucket``.
    search
        What was typed to find an option: ``$__searchFilter``.
    """

    from_time: datetime
    to_time: datetime
    interval_ms: int = 60_000
    variables: Mapping[str, Chosen] = field(default_factory=dict)
    timescaledb: bool = True
    search: str = ""


@dataclass(frozen=True)
class Fill:
    """What `frames` puts where a group of time has no row."""

    mode: Literal["null", "previous", "value"]
    interval_ms: int
    value: float = 0.0


@dataclass(frozen=True)
class Expanded:
    """SQL to ask, and how gaps of its answer are filled."""

    sql: str
    fill: Fill | None = None
