"""
A stretch of time of the lake: facts of it alone, for queries that stand behind.

The condition on time stands at the scan, so Parquet files and row groups of
other times are not read: what a question costs follows the span, not the lake.

Before: views/levels.py. After: covered.py.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import duckdb

from pipeline.schema.literals import literal

_AROUND: Final = timedelta(minutes=1)
"""Calls that began in a span are told by proxies a little before or after (``MARGIN``)."""


class Span(NamedTuple):
    """[since, until); None: from the first record, or to the last."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, column: str = "start_time") -> str:
        """SQL condition: that time is in the span."""
        return self._between(column, timedelta())

    def around(self, column: str = "start_time") -> str:
        """SQL condition: it is in the span, or up to a minute from it."""
        return self._between(column, _AROUND)

    def _between(self, column: str, margin: timedelta) -> str:
        ends = (
            f"{column} >= {literal(self.since - margin)}" if self.since else "",
            f"{column} < {literal(self.until + margin)}" if self.until else "",
        )
        return " AND ".join(filter(None, ends)) or f"{column} IS NOT NULL"


def place(connection: duckdb.DuckDBPyConnection) -> str:
    """Catalog and schema in use, quoted: tables under names that a query may give anew."""
    found = connection.execute("SELECT current_catalog(), current_schema()").fetchall()
    return ".".join('"{}"'.format(name.replace('"', '""')) for name in found[0])
