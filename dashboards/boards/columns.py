"""
Columns that many tables have: their unit, their colour, where a click leads.

A query calls a share of failed calls ``failed`` and a rate ``requests/s`` wherever it
stands, so a column looks the same on every board.

Before: shared.py. After: the boards.
"""

from typing import Final

from dashboards.boards.shared import colored
from dashboards.build import (
    HEALTH,
    SHARE_BAD,
    SHARE_GOOD,
    Field,
    Link,
    Override,
    Step,
    to_edge,
    to_service,
)

__all__ = [
    "ANY_BAD",
    "COLUMNS",
    "EDGE_ENDS",
    "FAILED",
    "GRAPH_LINKS",
    "OUTCOMES",
    "SLOW",
    "ends",
    "to_board",
]

FAILED: Final = (Step(None, "green"), Step(0.01, "orange"), Step(0.25, "red"))
"""Share of calls that fail: from where health calls it degraded, and failing."""
SLOW: Final = (Step(None, "green"), Step(250, "yellow"), Step(1_000, "red"))
"""Milliseconds; what is slow depends on the service, these are what a person notices."""
ANY_BAD: Final = (Step(None, "green"), Step(1, "yellow"))
"""Of a count that should be 0."""

_KEPT: Final = "${__url_time_range}&${cloud:queryparam}&${region:queryparam}&${network:queryparam}"


def to_board(board: str, title: str, **variables: str) -> Link:
    """Open another board at the same time and in the same clouds; variables to what they are."""
    chosen = "".join(f"var-{name}={value}&" for name, value in variables.items())
    return Link(title, f"/d/crosspane-{board}?{chosen}{_KEPT}")


def ends(client: str, server: str) -> tuple[Override, ...]:
    """Of a table of edges: the client opens the edge, the server its service; both open either."""
    edge = to_edge(client, server)
    return (
        Override(client, Field(links=(edge, to_service(client)))),
        Override(server, Field(links=(to_service(server), edge))),
    )


EDGE_ENDS: Final = ends("client", "server")

GRAPH_LINKS: Final = (
    Override("title", Field(links=(to_service("id"),))),
    Override("source", Field(links=(to_edge("source", "target"),))),
)
"""Of a graph: only nodes have a ``title``, only edges a ``source``."""

OUTCOMES: Final = (
    Override("answered", Field(color="fixed:green")),
    Override("refused", Field(color="fixed:yellow")),
    Override("failed", Field(color="fixed:red")),
)
"""Of a time series of how calls end."""

_STATE: Final = Field(
    words=HEALTH, custom={"cellOptions.type": "color-background", "cellOptions.mode": "basic"}
)
_RATE: Final = Field(unit="reqps", decimals=2)
_MS: Final = Field(unit="ms", decimals=1)
_TIME: Final = Field(unit="dateTimeAsIso")


def _named(names: str, field: Field) -> Override:
    """Columns with one of these names, as a regular expression that has to fit all of a name."""
    return Override(f"/^({names})$/", field, by="byRegexp")


COLUMNS: Final = (
    Override("state", _STATE),
    _named("(requests|served|made)/s( before| now)?", _RATE),
    _named("(failed|not passed on)( before| now)?", colored("percentunit", FAILED)),
    _named("lost", colored("percentunit", SHARE_BAD)),
    _named("TLS|TLS in|TLS out|identified", colored("percentunit", SHARE_GOOD)),
    _named("denied|rejected|plaintext legs|not in sync", colored("none", ANY_BAD, 0)),
    _named("(p50|p95|p99|worst p95|tax|tax p95)( before| now)?", _MS),
    _named("client waited|server took|took|added|connection|connect|behind", _MS),
    _named("requests|4xx|5xx|conversations|times|records|flows|tries", Field(unit="short")),
    _named("bytes/s", Field(unit="Bps")),
    _named("bytes( in| out| estimated)?", Field(unit="bytes")),
    _named("time|minute|since|last (seen|heard|minute|update)", _TIME),
)
"""For every table; an override of the table's own comes after and adds to it."""
