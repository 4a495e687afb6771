"""
Grafana's variables and macros, put into SQL exactly as Grafana puts them.

Two steps, in this order, as a panel's query goes through them:

    in the browser     $cluster, ${cluster:csv}, $__from, $__interval ...
    in the data source $__interval, $__timeFilter(c), $__timeGroup(c, '5m') ...

The browser page asks through this, and tests ask every panel through it: what
answers here answers in Grafana. Like Grafana, it is no guard against a value
that means harm: a value with a macro in it is expanded, too. The role that asks
is the guard: it can read, and nothing else.

    scope       what a query is asked under, and what was chosen
    variables   the browser's step
    macros      the data source's step
    times       times and intervals as Grafana writes them

Left out: properties (``${x.name}``), formats that no query has use for (lucene,
regex, html), and calendar months and years as an interval.

Source: Grafana's template service and format registry (`@grafana/scenes`,
`formatRegistry.ts`); grafana-postgresql-datasource, `macros.go`, `sqleng`;
`grafana-sql`, `interpolateVariable`.
Before: queries/, and what a reader chose. After: the SQL server; frames.py.
"""

from dashboards.expand.macros import expand_macros
from dashboards.expand.scope import Chosen, Expanded, ExpandError, Fill, Scope
from dashboards.expand.times import format_interval, interval_ms, parse_interval
from dashboards.expand.variables import choose, interpolate

__all__ = [
    "Chosen",
    "ExpandError",
    "Expanded",
    "Fill",
    "Scope",
    "choose",
    "expand",
    "format_interval",
    "interpolate",
    "interval_ms",
    "parse_interval",
]


def expand(raw_sql: str, scope: Scope) -> Expanded:
    """
    Put variables, then macros, into a query.

    Raises
    ------
    ExpandError
        An unknown macro, or one whose arguments are missing or no interval.
    """
    return expand_macros(interpolate(raw_sql, scope), scope)
