"""
Every generated file, as text.

Before: boards/, provisioning.py. After: `__main__.py`, which writes them; the
test that compares them; `crosspane dashboards write`.
"""

import json
from pathlib import Path
from typing import Final

from dashboards.boards import BOARDS
from dashboards.build.fields import Json
from dashboards.provisioning import provisioning

__all__ = ["ROOT", "boards", "files", "text_of"]

ROOT: Final = Path(__file__).parents[1]
"""The checkout; in a wheel nothing is generated."""
_IN_GRAFANA: Final = "/etc/grafana/crosspane"
"""Where `deploy/grafana` expects the dashboards' JSON."""


def text_of(document: Json) -> str:
    """JSON as it is checked in: two spaces, in the builder's order, one newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def boards() -> dict[str, str]:
    """File of each dashboard to its JSON."""
    return {f"{board.name}.json": text_of(board.json()) for board in BOARDS}


def files() -> dict[str, str]:
    """Path from `ROOT` to content."""
    made = {f"dashboards/grafana/{name}": text for name, text in boards().items()}
    made |= {
        f"deploy/grafana/provisioning/{name}": text
        for name, text in provisioning(_IN_GRAFANA).items()
    }
    return made
