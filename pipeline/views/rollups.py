"""
Edges by the minute, ten minutes, hour and day: what the sums and histograms of rollups say.

Whatever is asked of more than one row is asked of merged sums, never of means and
quantiles: ``histogram_quantile(histogram_merge(durations), 0.95)``.

Before: topology.py. After: pane.py.
"""

from typing import Final

from pipeline.schema import View, rollups
from pipeline.schema.model import Table
from pipeline.views.topology import CALLS, RATES

_TOLD: Final = 2 / (rollups.GROWTH + 1)
"""What is told of a bucket, as a share of its upper end."""

_RANK: Final = (
    "(CAST(list_sum(list_transform(durations, lambda one: one.calls)) AS BIGINT) - 1) * share"
)

MACROS: Final = (
    f"""CREATE OR REPLACE MACRO duration_bucket(ms) AS CASE WHEN ms > 1e-7
        THEN ceil(ln(ms) / ln({rollups.GROWTH}))::SMALLINT ELSE ({rollups.ZERO_BUCKET})::SMALLINT END""",
    f"""CREATE OR REPLACE MACRO bucket_ms(bucket) AS CASE WHEN bucket > {rollups.ZERO_BUCKET}
        THEN {_TOLD} * pow({rollups.GROWTH}, bucket) WHEN bucket IS NOT NULL THEN 0.0 END""",
    # ``calls`` of what is carried along is how many are still to pass; negative: it is found.
    """CREATE OR REPLACE MACRO histogram_at(durations, rank) AS bucket_ms(list_reduce(
        list_sort(durations), lambda found, one: CASE WHEN found.calls < 0 THEN found
            ELSE {'bucket': one.bucket, 'calls': found.calls - one.calls::BIGINT} END,
        {'bucket': NULL::SMALLINT, 'calls': rank::BIGINT}).bucket)""",
    f"""CREATE OR REPLACE MACRO histogram_quantile(durations, share) AS
        histogram_at(durations, floor({_RANK})) * (1 - ({_RANK} - floor({_RANK})))
        + histogram_at(durations, ceil({_RANK})) * ({_RANK} - floor({_RANK}))""",
    "CREATE OR REPLACE MACRO histogram_merge(durations) AS flatten(list(durations))",
)

_KEY: Final = ", ".join(column.name for column in rollups.KEY)
_OF_CALLS: Final = ", ".join(f"{one.of_calls} AS {one.column.name}" for one in rollups.MEASURES)
_MERGED: Final = ", ".join(f"{one.merged} AS {one.column.name}" for one in rollups.MEASURES)


def edges_of_calls(start: str, calls: str) -> str:
    """SQL of the rows of ``edges_1m`` of one minute, of SQL of the calls that began in it."""
    return _each_bucket_once(
        f"SELECT {start} AS bucket_start, {_KEY}, {_OF_CALLS} FROM ({calls}) GROUP BY {_KEY}"
    )


def edges_of_edges(start: str, edges: str) -> str:
    """SQL of the rows of a longer bucket, of SQL of those of all shorter ones in it."""
    return _each_bucket_once(
        f"SELECT {start} AS bucket_start, {_KEY}, {_MERGED} FROM ({edges}) GROUP BY {_KEY}"
    )


def _each_bucket_once(edges: str) -> str:
    """The same edges, with each bucket of a histogram once, in order."""
    return f"""WITH edges AS MATERIALIZED (SELECT *, row_number() OVER () AS edge FROM ({edges})),
        buckets AS (
            SELECT edge, one.bucket, sum(one.calls)::UBIGINT AS calls
            FROM (SELECT edge, unnest(durations) AS one FROM edges) GROUP BY ALL
        ), histograms AS (
            SELECT edge, list({{'bucket': bucket, 'calls': calls}} ORDER BY bucket) AS durations
            FROM buckets GROUP BY edge
        )
        SELECT edges.* EXCLUDE (edge) REPLACE (histograms.durations AS durations)
        FROM edges LEFT JOIN histograms USING (edge)"""


_METHODS: Final = ", ".join(
    f"CASE WHEN matched_{method} > 0 THEN '{method}' END"
    for method in sorted(rollups.MATCH_METHODS)
)
_FOUND: Final = " + ".join(f"matched_{method}" for method in rollups.MATCH_METHODS)


def _view(table: Table, resolution: str) -> View:
    start = table.columns[0]
    return View(
        f"v_{table.name}",
        f"Who called whom, by the {resolution}, and how well did it go?",
        {
            start.name: start.meaning,
            **{column.name: CALLS.columns[column.name] for column in rollups.KEY},
            "match_methods": "how servers were found, distinct; null among them where one was not",
            "confidence": "lowest confidence among them",
            **RATES,
            "p50_ms": "median duration at the client's proxy, 3 % off at most",
            "p95_ms": "95th percentile of it, likewise",
            "p99_ms": "99th percentile of it, likewise",
            "mean_ms": "mean of it",
            "server_mean_ms": "mean duration at the server's proxy",
            "on_the_way_ms": "mean of what the client's proxy saw beyond the server's, of calls both timed: network, gateways and proxies",
            "retries": "times calls were sent again; null if no proxy told",
            "durations": "histogram of durations, for `histogram_quantile`, `histogram_merge`",
        },
        f"""SELECT *, list_sort(list_filter([{_METHODS}], lambda one: one IS NOT NULL)
                || CASE WHEN {_FOUND} < requests THEN [NULL::VARCHAR] ELSE [] END) AS match_methods,
            histogram_quantile(durations, 0.5) AS p50_ms,
            histogram_quantile(durations, 0.95) AS p95_ms,
            histogram_quantile(durations, 0.99) AS p99_ms,
            duration_ns / 1e6 / list_sum(list_transform(durations, lambda one: one.calls)) AS mean_ms,
            server_duration_ns / 1e6 / nullif(server_timed, 0) AS server_mean_ms,
            on_the_way_ns / 1e6 / nullif(both_timed, 0) AS on_the_way_ms
        FROM {table.name}""",
    )


EDGES_1M: Final = _view(rollups.EDGES_1M, "minute")
EDGES_10M: Final = _view(rollups.EDGES_10M, "ten minutes")
EDGES_1H: Final = _view(rollups.EDGES_1H, "hour")
EDGES_1D: Final = _view(rollups.EDGES_1D, "day")
