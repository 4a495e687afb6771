"""
One ``.sql`` file, one query: what it asks, in which units, and its SQL.

    -- Is any source silent?
    -- Units: seconds.
    SELECT ...

The two lines of the header become the panel's description, so a panel says the
same in Grafana, in the browser page and in a terminal. A third one,
``-- Begins with: <folder>/<part>``, puts the SQL of ``<part>.sql.part`` before the
query: common tables that several queries begin with. The SQL below may use
Grafana's macros and variables (`dashboards.expand` lists them); what runs
without them runs in `crosspane sql`, too.

Before: queries/**/*.sql. After: panels.py, variables.py, annotations.py.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["QUERIES", "Query", "QueryFileError", "read", "refs"]

QUERIES: Final = Path(__file__).parents[1] / "queries"


class QueryFileError(Exception):
    """A file of `queries/` is missing, or has no header that says question and units."""


@dataclass(frozen=True)
class Query:
    """
    A query and its header.

    Parameters
    ----------
    question
        What it answers, one sentence or several lines joined by spaces.
    units
        Units of its figures, as the header says them.
    sql
        The query without its header and without a final semicolon.
    """

    question: str
    units: str
    sql: str

    @property
    def description(self) -> str:
        """What a panel says of itself."""
        return f"{self.question}\n\nUnits: {self.units}"


@cache
def read(name: str) -> Query:
    """
    Read the query ``<folder>/<name>`` of `QUERIES`, without its extension.

    Raises
    ------
    QueryFileError
        No such file, or no such part; or it does not begin with ``-- <question>`` and
        ``-- Units: <units>``.
    """
    path = QUERIES / f"{name}.sql"
    header, sql = _parts(path)
    said, _, part = " ".join(header).partition(" Begins with: ")
    question, found, units = said.partition(" Units: ")
    if not (question and found and units and sql):
        raise QueryFileError(f"{path}: begin with `-- <question>` and `-- Units: <units>`")
    if part:
        sql = f"{_parts(QUERIES / f'{part}.sql.part')[1]}\n{sql}"
    return Query(question, units, sql)


def _parts(path: Path) -> tuple[list[str], str]:
    """Lines of comment a file begins with, and its SQL without a final semicolon."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise QueryFileError(f"{path}: {error.strerror}") from error
    header = []
    while lines and lines[0].startswith("--"):
        header.append(lines.pop(0).removeprefix("--").strip())
    return header, "\n".join(lines).strip().rstrip(";").rstrip()


def refs(folder: str, panel: str) -> tuple[str, ...]:
    """
    Names of the queries of a panel: ``A`` for ``<panel>.sql``, ``x`` for ``<panel>.x.sql``.

    ``nodes`` comes first: Grafana files an ``edges`` frame without rows among
    the nodes, and the first of the nodes is what it draws.
    """
    found = [
        path.name.removesuffix(".sql").removeprefix(panel).removeprefix(".") or "A"
        for path in (QUERIES / folder).glob(f"{panel}*.sql")
        if path.name.split(".")[0] == panel
    ]
    if not found:
        raise QueryFileError(f"{QUERIES / folder}: no {panel}.sql")
    return tuple(sorted(found, key=lambda ref: (ref != "nodes", ref)))


def file_of(folder: str, panel: str, ref: str) -> str:
    """Name for `read` of one query of a panel."""
    return f"{folder}/{panel}" if ref == "A" else f"{folder}/{panel}.{ref}"
