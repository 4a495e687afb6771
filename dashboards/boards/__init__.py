"""
Every dashboard, in the order of the bar that links them.

    shared     what each has: how complete the data is
    security   what is encrypted, who is denied, what no policy covers
    ipspace    what is full, what contends, who could share one network
    pipeline   does crosspane itself keep up, and does it hear everyone

Before: build/. After: `__main__.py`, `pipeline/cli/dashboards.py`.
"""

from typing import Final

from dashboards.boards import ipspace, pipeline, security
from dashboards.build import Board

__all__ = ["BOARDS"]

BOARDS: Final[tuple[Board, ...]] = (
    security.BOARD,
    ipspace.BOARD,
    pipeline.BOARD,
)
"""One line here adds one."""
