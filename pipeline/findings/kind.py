"""
What a kind of finding is, and the SQL that several share.

A kind's query gives one row a finding, with the columns

    entity     what it is about; with the kind, it makes the finding's id
    severity   error: it is broken, or an address does not mean one thing;
               warning: it is about to be, or less is known than seems; info
    clusters   clusters it concerns
    summary    what is wrong, with figures
    symptoms   what suffers from it, and is no finding of its own (may be left out)
    explains   what else only shows it: values of the next (may be left out)
    shows      what tells, of a finding of another kind, that it only shows this (may be left out)

and those that its evidence names. The evidence is a query for anybody's DuckDB:
``$name`` is that column's value, ``$since`` and ``$until`` the time looked at.
Thresholds are those of the views, and the constants beside the kinds.

Before: moment.py. After: calls.py, space.py, telemetry.py, proxies.py.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pipeline.findings.moment import CALLS_LOOKBACK
from pipeline.schema.literals import literal

MIN_ERRORS: Final = 3
"""Errors, or losses, below which they are chance."""
MIN_TIMES: Final = 10
"""Refusals, drops, rejects or lost units in the time looked at, below which they are chance."""
SELDOM: Final = timedelta(minutes=10)
"""How often that is looked for which changes slowly."""
_MINUTE: Final = timedelta(minutes=1)


class Kind(NamedTuple):
    """
    One kind of finding.

    Attributes
    ----------
    rows
        Query over the views; see above.
    lookback
        How far back it looks.
    every
        How often it is asked, in the time of the records, at most: not again while no
        table it reads has changed and nothing of it is open.
    by_time
        True if it may be found for the time that passes, too.
    only_if
        A query that costs less, and without whose rows there is no finding of the kind.
    at_once
        A query of the last minutes that costs less, with whose rows it is asked though it
        is not time yet.
    """

    name: str
    meaning: str
    rows: str
    evidence: str
    action: str
    lookback: timedelta = CALLS_LOOKBACK
    every: timedelta = _MINUTE
    by_time: bool = False
    only_if: str = ""
    at_once: str = ""


def evidence(kind: Kind, row: Mapping[str, object], until: datetime) -> str:
    """The evidence query of one finding, ready to run."""
    values = {**row, "since": until - kind.lookback, "until": until}
    return re.sub(r"\$(\w+)", lambda name: literal(values[name[1]]), kind.evidence)


_CLUSTERS: Final = """(SELECT list(DISTINCT cluster) FROM (
        SELECT cluster FROM clusters UNION ALL SELECT cluster FROM vantages))"""


def clusters_of(*entities: str) -> str:
    """Clusters that entities begin with, as far as there are such."""
    first = ", ".join(f"split_part({entity}, '/', 1)" for entity in entities)
    return f"coalesce(list_sort(list_intersect([{first}], {_CLUSTERS})), [])"


ONE_CLUSTER: Final = "list_filter([{}], lambda one: one IS NOT NULL)"
