"""
Every dashboard, in the order of the bar that links them.

    shared     what each has: how complete the data is
    pipeline   does crosspane itself keep up, and does it hear everyone

Before: build/. After: `__main__.py`, `pipeline/cli/dashboards.py`.
"""

from typing import Final

from dashboards.boards import pipeline
from dashboards.build import Board

__all__ = ["BOARDS"]

BOARDS: Final[tuple[Board, ...]] = (pipeline.BOARD,)
"""One line here adds one."""
