"""
Every dashboard, in the order of the bar that links them.

    shared     what each has: how complete the data is
    columns    what tables have alike: units, colours, links
    overview   how well is everything, and where to look first
    topology   who talks to whom, at any level, and what has changed
    service    one service: who calls it, whom it calls, whose fault what fails is
    edge       one edge, hop by hop, as both ends tell it
    clusters   clusters, gateways, links, control planes, and what nobody sees
    flows      what went over the wire, down to single records
    security   what is encrypted, who is denied, what no policy covers
    ipspace    what is full, what contends, who could share one network
    pipeline   does crosspane itself keep up, and does it hear everyone

Before: build/. After: `__main__.py`, `pipeline/cli/dashboards.py`.
"""

from typing import Final

from dashboards.boards import (
    clusters,
    edge,
    flows,
    ipspace,
    overview,
    pipeline,
    security,
    service,
    topology,
)
from dashboards.build import Board

__all__ = ["BOARDS"]

BOARDS: Final[tuple[Board, ...]] = (
    overview.BOARD,
    topology.BOARD,
    service.BOARD,
    edge.BOARD,
    clusters.BOARD,
    flows.BOARD,
    security.BOARD,
    ipspace.BOARD,
    pipeline.BOARD,
)
"""One line here adds one."""
