"""
Every generated file, as text.

Before: boards/. After: `__main__.py`, which writes them; the test that compares them.
"""

import json
from pathlib import Path
from typing import Final

from dashboards.boards import BOARDS
from dashboards.build.fields import Json

__all__ = ["ROOT", "files", "text_of"]

ROOT: Final = Path(__file__).parents[1]
"""The checkout; in a wheel nothing is generated."""


def text_of(document: Json) -> str:
    """JSON as it is checked in: two spaces, in the builder's order, one newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """Path from `ROOT` to content."""
    return {f"dashboards/grafana/{board.name}.json": text_of(board.json()) for board in BOARDS}
