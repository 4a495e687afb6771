"""
Variables: what a reader chooses at the top of a dashboard.

Those that choose among things may have several values, or all of them. *All*
is sent as ``'*'``, not as a list of everything, so a query says

    WHERE '*' IN ($cluster) OR client_cluster IN ($cluster)

which DuckDB folds away when all are chosen, and which then keeps rows that
have none. A variable with one value is put in as it is: quote it, ``'$level'``.

The choices of a chained variable are asked with those before it put in; its
query is ``queries/variables/<name>.sql``, or ``<board>/var_<name>.sql``.

Before: query.py. After: board.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dashboards.build.fields import Json
from dashboards.build.panels import DATASOURCE
from dashboards.build.query import read

__all__ = ["ALL", "COMMON", "LEVELS", "Choice", "OneOf", "Textbox", "Variable", "common"]

ALL: Final = "'*'"
"""What stands in a query where all are chosen."""

LEVELS: Final = (
    "provider",
    "region",
    "network",
    "cluster",
    "namespace",
    "service",
    "workload",
    "gateway",
    "node",
)
"""Levels of `topology_edges` and `topology_nodes`, from coarse to fine."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """
    Things to choose among, asked of the lake.

    Parameters
    ----------
    name
        Name in queries and links.
    label
        What stands beside it.
    folder
        Folder of its query: ``variables``, or the board's own.
    multi
        Several at once, or all (`ALL`). If not, the first is chosen.
    """

    name: str
    label: str
    folder: str = "variables"
    multi: bool = True

    def json(self) -> Json:
        """As Grafana's query variable, asked anew when the time range changes."""
        query = read(
            f"variables/{self.name}"
            if self.folder == "variables"
            else f"{self.folder}/var_{self.name}"
        )
        return {
            "name": self.name,
            "label": self.label,
            "description": query.question,
            "type": "query",
            "datasource": DATASOURCE,
            "query": query.sql,
            "refresh": 2,
            "regex": "",
            "sort": 0,
            "multi": self.multi,
            "includeAll": self.multi,
            **(
                {"allValue": ALL, "current": {"text": ["All"], "value": ["$__all"]}}
                if self.multi
                else {}
            ),
            "options": [],
            "hide": 0,
            "skipUrlSync": False,
        }


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """One of a few values; `values` maps each to its words."""

    name: str
    label: str
    values: Sequence[tuple[str, str]]
    first: str

    def json(self) -> Json:
        """As Grafana's custom variable."""
        options = [
            {"text": text, "value": value, "selected": value == self.first}
            for value, text in self.values
        ]
        chosen = next(option for option in options if option["selected"])
        return {
            "name": self.name,
            "label": self.label,
            "type": "custom",
            "query": ",".join(
                value if value == text else f"{text} : {value}" for value, text in self.values
            ),
            "multi": False,
            "includeAll": False,
            "current": {"text": chosen["text"], "value": chosen["value"]},
            "options": options,
            "hide": 0,
            "skipUrlSync": False,
        }


@dataclass(frozen=True, kw_only=True)
class Textbox:
    """Free text: a prefix, a port. What is typed may hold anything but ends in a quoted literal."""

    name: str
    label: str
    first: str = ""

    def json(self) -> Json:
        """As Grafana's text box."""
        return {
            "name": self.name,
            "label": self.label,
            "type": "textbox",
            "query": self.first,
            "current": {"text": self.first, "value": self.first},
            "options": [{"text": self.first, "value": self.first, "selected": True}],
            "hide": 0,
            "skipUrlSync": False,
        }


Variable = Choice | OneOf | Textbox

COMMON: Final[tuple[Variable, ...]] = (
    Choice(name="cloud", label="Cloud"),
    Choice(name="region", label="Region"),
    Choice(name="network", label="Network"),
    Choice(name="cluster", label="Cluster"),
    Choice(name="namespace", label="Namespace"),
    Choice(name="service", label="Service"),
    OneOf(
        name="level",
        label="Level",
        values=tuple((level, level) for level in LEVELS),
        first="cluster",
    ),
)
"""In this order: each is asked among what those before it leave."""


def common(*names: str) -> tuple[Variable, ...]:
    """Those of `COMMON` that a board's queries use; what a chain needs before them comes too."""
    known = [variable.name for variable in COMMON]
    last = max((known.index(name) for name in names if name != "level"), default=-1)
    return tuple(
        variable
        for index, variable in enumerate(COMMON)
        if (index <= last if variable.name != "level" else "level" in names)
    )
