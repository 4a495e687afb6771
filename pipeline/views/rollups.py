"""
Calls and flows by the minute, ten minutes, hour and day: what sums and histograms of rollups say.

Whatever is asked of more than one row is asked of merged sums, never of means and
quantiles: ``histogram_quantile(histogram_merge(durations), 0.95)``.

Before: topology.py, wire.py. After: graph.py.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.schema import Function, View, rollups
from pipeline.schema.model import Table
from pipeline.schema.rollups import Rollup
from pipeline.views.topology import CALLS, RATES, WAY, met_sql, named_sql

_TOLD: Final = 2 / (rollups.GROWTH + 1)
"""What is told of a bucket, as a share of its upper end."""

_CALLS: Final = 2**40
"""More than one bucket of one row ever has."""

MACROS: Final = (
    f"""CREATE OR REPLACE MACRO duration_bucket(ms) AS CASE WHEN ms > 1e-7
        THEN ceil(ln(ms) / ln({rollups.GROWTH}))::SMALLINT ELSE ({rollups.ZERO_BUCKET})::SMALLINT END""",
    f"""CREATE OR REPLACE MACRO bucket_ms(bucket) AS CASE WHEN bucket > {rollups.ZERO_BUCKET}
        THEN {_TOLD} * pow({rollups.GROWTH}, bucket) WHEN bucket IS NOT NULL THEN 0.0 END""",
    # ``calls`` of what is carried along is how many are still to pass; negative: it is found.
    """CREATE OR REPLACE MACRO histogram_at(durations, rank) AS bucket_ms(list_reduce(
        durations, lambda found, one: CASE WHEN found.calls < 0 THEN found
            ELSE {'bucket': one.bucket, 'calls': found.calls - one.calls::BIGINT} END,
        {'bucket': NULL::SMALLINT, 'calls': rank::BIGINT}).bucket)""",
    # In a list of one, so that buckets are put in order once, and the rank is worked out once.
    """CREATE OR REPLACE MACRO histogram_quantile(durations, share) AS list_transform([{
            'buckets': list_sort(durations), 'rank':
            (CAST(list_sum(list_transform(durations, lambda one: one.calls)) AS BIGINT) - 1) * share}],
        lambda all_of_it: histogram_at(all_of_it.buckets, floor(all_of_it.rank))
            * (1 - (all_of_it.rank - floor(all_of_it.rank)))
            + histogram_at(all_of_it.buckets, ceil(all_of_it.rank))
            * (all_of_it.rank - floor(all_of_it.rank)))[1]""",
    # Bucket and calls in one number, equal ones counted: a tenth of sorting and adding up them all.
    f"""CREATE OR REPLACE MACRO histogram_merge(durations) AS list_transform(map_entries(list_histogram(
            list_transform(flatten(list(durations)),
                lambda one: (one.bucket::BIGINT - {rollups.ZERO_BUCKET}) * {_CALLS} + one.calls::BIGINT))),
        lambda found: {{'bucket': (found.key // {_CALLS} + {rollups.ZERO_BUCKET})::SMALLINT,
            'calls': (found.key % {_CALLS} * found.value)::UBIGINT}})""",
)


def rolled_up(rollup: Rollup, start: str, rows: str) -> str:
    """SQL of rows of buckets that begin at ``start``, of SQL of the flows, or calls with names, of them."""
    return _grouped(rollup, start, {one.column.name: one.of_rows for one in rollup.measures}, rows)


def calls_rolled_up(rollup: Rollup, start: str, calls: str) -> str:
    """SQL of the same, of SQL of calls that have no names yet (`topology.paired_sql`)."""
    ways = ways_sql(rollup, start, calls)
    return f"WITH ways AS MATERIALIZED ({ways}) FROM ({ways_rolled_up(rollup, 'ways')})"


def ways_sql(
    rollup: Rollup, start: str, calls: str, more: Mapping[str, str] = MappingProxyType({})
) -> str:
    """
    SQL of calls of one way added up, which names are found for later: some thirty columns of text.

    Parameters
    ----------
    more
        What else is told of each way: aggregates, by name.
    """
    measures = {
        one.column.name: one.of_rows
        for one in rollup.measures
        if one.column.name not in rollups.FOUND
    }
    aggregates = ", ".join(f"{sql} AS {name}" for name, sql in (measures | {**more}).items())
    return f"SELECT {start} AS bucket_start, {WAY}, {aggregates} FROM ({calls}) GROUP BY ALL"


def ways_rolled_up(rollup: Rollup, ways: str) -> str:
    """SQL of rows as of `rolled_up`, of a relation of `ways_sql`."""
    measures = {
        one.column.name: one.of_rows if one.column.name in rollups.FOUND else one.merged
        for one in rollup.measures
    }
    rows = f"WITH met AS ({met_sql(ways)}) FROM ({named_sql(f'FROM {ways}', 'met')})"
    return _grouped(rollup, "bucket_start", measures, rows)


def merged(rollup: Rollup, start: str, rows: str) -> str:
    """SQL of the rows of a longer bucket, of SQL of those of all shorter ones in it."""
    return _grouped(rollup, start, {one.column.name: one.merged for one in rollup.measures}, rows)


def _grouped(rollup: Rollup, start: str, measures: dict[str, str], rows: str) -> str:
    """One row a key; each bucket of a histogram once, in order."""
    key = ", ".join(column.name for column in rollup.key)
    aggregates = ", ".join(f"{sql} AS {name}" for name, sql in measures.items())
    grouped = f"SELECT {start} AS bucket_start, {key}, {aggregates} FROM ({rows}) GROUP BY ALL"
    histograms = [name for name in rollups.HISTOGRAMS if name in measures]
    return each_bucket_once(grouped, histograms) if histograms else grouped


def each_bucket_once(rows: str, histograms: list[str]) -> str:
    """The same rows, with each bucket of a histogram once, in order."""
    sums = ", ".join(
        f"""{name} AS (SELECT nth, list_sort(list({{'bucket': bucket, 'calls': calls}})) AS {name}
            FROM (SELECT nth, one.bucket, sum(one.calls)::UBIGINT AS calls
                FROM (SELECT nth, unnest({name}) AS one FROM numbered) GROUP BY ALL)
            GROUP BY nth)"""
        for name in histograms
    )
    replaced = ", ".join(f"{name}.{name} AS {name}" for name in histograms)
    joined = " ".join(f"LEFT JOIN {name} USING (nth)" for name in histograms)
    return f"""WITH numbered AS MATERIALIZED (SELECT *, row_number() OVER () AS nth FROM ({rows})), {sums}
        SELECT numbered.* EXCLUDE (nth) REPLACE ({replaced}) FROM numbered {joined}"""


def match_methods() -> str:
    """SQL of how servers of a row's calls were found: a list, distinct, in order."""
    methods = ", ".join(
        f"CASE WHEN matched_{method} > 0 THEN '{method}' END"
        for method in sorted(rollups.MATCH_METHODS)
    )
    found = " + ".join(f"matched_{method}" for method in rollups.MATCH_METHODS)
    return f"""list_sort(list_filter([{methods}], lambda one: one IS NOT NULL)
                || CASE WHEN {found} < requests THEN [NULL::VARCHAR] ELSE [] END)"""


def quantiles(rows: str, histogram: str, shares: dict[str, float]) -> str:
    """
    SQL of the same rows with quantiles of a histogram, as `histogram_quantile` tells them.

    Buckets of all rows are counted together: asking row by row takes several times as long.

    Parameters
    ----------
    shares
        Name of a column to be to a share.
    """
    told = ", ".join(
        f"""bucket_ms(min(bucket) FILTER (upto > floor({rank}))) * (1 - any_value({rank} - floor({rank})))
            + bucket_ms(min(bucket) FILTER (upto > ceil({rank}))) * any_value({rank} - floor({rank})) AS {name}"""
        for name, rank in ((name, f"(last * {share}::DOUBLE)") for name, share in shares.items())
    )
    return f"""WITH numbered AS MATERIALIZED (SELECT *, row_number() OVER () AS nth FROM ({rows})),
        buckets AS (SELECT nth, one.bucket, sum(one.calls)::BIGINT AS calls
            FROM (SELECT nth, unnest({histogram}) AS one FROM numbered) GROUP BY ALL),
        passed AS (SELECT nth, bucket, (sum(calls) OVER (PARTITION BY nth ORDER BY bucket))::DOUBLE AS upto,
            (sum(calls) OVER (PARTITION BY nth))::DOUBLE - 1 AS last FROM buckets),
        told AS (SELECT nth, {told} FROM passed GROUP BY nth)
        SELECT numbered.* EXCLUDE ({histogram}), told.* EXCLUDE (nth) FROM numbered LEFT JOIN told USING (nth)"""


_RESOLUTIONS: Final = ("1 MINUTE", "10 MINUTES", "1 HOUR", "1 DAY")
_SECONDS: Final = (60, 600, 3_600, 86_400)
_POINTS: Final = 180
"""A span is told in so many buckets at most, of the shortest that allow it."""


def _view(table: Table, resolution: str) -> View:
    start = table.columns[0]
    told = {
        column.name: CALLS.columns.get(column.name, column.meaning) for column in rollups.EDGE_KEY
    }
    return View(
        f"v_{table.name}",
        f"Who called whom, by the {resolution}, and how well did it go?",
        {
            start.name: start.meaning,
            **told,
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
            "identified_requests": "calls of which a proxy told the SPIFFE ID at the other end",
            "unserved_errors": "failed calls that no server's proxy timed: a gateway answered, or nobody",
            "first_time": "when the first began",
            "last_time": "when the last began",
            "durations": "histogram of durations at the client's proxy, for `histogram_quantile`, `histogram_merge`",
            "server_durations": "histogram of durations at the server's proxy, likewise",
            **{
                measure.column.name: measure.column.meaning
                for measure in rollups.EDGE_MEASURES
                if measure.column.name in _SUMS
            },
        },
        _told(table.name),
    )


def _told(edges: str) -> str:
    """SQL of what views say of rows of edges: quantiles, means, methods."""
    return f"""SELECT *, {match_methods()} AS match_methods,
            histogram_quantile(durations, 0.5) AS p50_ms,
            histogram_quantile(durations, 0.95) AS p95_ms,
            histogram_quantile(durations, 0.99) AS p99_ms,
            duration_ns / 1e6 / list_sum(list_transform(durations, lambda one: one.calls)) AS mean_ms,
            server_duration_ns / 1e6 / nullif(server_timed, 0) AS server_mean_ms,
            on_the_way_ns / 1e6 / nullif(both_timed, 0) AS on_the_way_ms
        FROM {edges}"""


_SUMS: Final = ("duration_ns", "server_timed", "server_duration_ns", "both_timed", "on_the_way_ns")

EDGES_1M: Final = _view(rollups.EDGES_1M, "minute")
EDGES_10M: Final = _view(rollups.EDGES_10M, "ten minutes")
EDGES_1H: Final = _view(rollups.EDGES_1H, "hour")
EDGES_1D: Final = _view(rollups.EDGES_1D, "day")

SPAN: Final = {
    "from_time": "begin of the span, TIMESTAMPTZ or text of one; minutes that hold it count wholly",
    "to_time": "its end, exclusive, likewise",
}
SINCE: Final = "from_time::TIMESTAMPTZ"
UNTIL: Final = "to_time::TIMESTAMPTZ"


def _between(rollup: Rollup) -> str:
    """
    SQL of the rows of a span, of the one table whose buckets make few enough of it.

    Seconds are counted in microseconds: one TIMESTAMPTZ less another takes 3.6 us a row.
    """
    parts = []
    for nth, (table, length) in enumerate(zip(rollup.tables, _RESOLUTIONS, strict=True)):
        limits = [f"{UNTIL} - {SINCE} > {_POINTS} * INTERVAL {_RESOLUTIONS[nth - 1]}"] * (nth > 0)
        if table != rollup.tables[-1]:
            limits.append(f"{UNTIL} - {SINCE} <= {_POINTS} * INTERVAL {length}")
        spanned = f"""FROM {table.name} WHERE {" AND ".join(limits)}
            AND bucket_start >= time_bucket(INTERVAL {length}, {SINCE}) AND bucket_start < {UNTIL}"""
        parts.append(
            f"""SELECT *, greatest(60, least({_SECONDS[nth]}, ((SELECT epoch_us(max(first_time)) {spanned})
                // 60_000_000 * 60_000_000 + 60_000_000 - epoch_us(bucket_start)) / 1e6))::DOUBLE AS bucket_s
            {spanned}"""
        )
    return " UNION ALL BY NAME ".join(parts)


_BUCKET: Final = {
    "bucket_start": "begin of the bucket, UTC",
    "bucket_s": "seconds of the bucket, of the last those up to the newest minute there is: what a rate is per",
}
_CHOICE: Final = f"from the shortest of minutes, ten minutes, hours and days that tell the span in {_POINTS} buckets"

EDGES_BETWEEN: Final = Function(
    "edges_between",
    f"Who called whom in a span, bucket by bucket, {_CHOICE}?",
    SPAN,
    _BUCKET | {name: told for name, told in EDGES_1M.columns.items() if name != "bucket_start"},
    _told(f"({_between(rollups.EDGES)})"),
)
LEGS_BETWEEN: Final = Function(
    "legs_between",
    f"What went over the wire in a span, in one direction, bucket by bucket, {_CHOICE}?",
    SPAN,
    _BUCKET | {column.name: column.meaning for column in rollups.LEGS_1M.columns[1:]},
    _between(rollups.LEGS),
)


def covering(rollup: Rollup) -> str:
    """
    SQL of rows that cover the minutes of a span, the longest buckets that fit.

    Days that are wholly in the span, hours before and after those, and so on to minutes:
    some dozens of buckets, whatever the span. ``length`` is each row's, an INTERVAL.
    """
    start = f"time_bucket(INTERVAL 1 MINUTE, {SINCE}) - INTERVAL 1 MINUTE"
    minutes = f"time_bucket(INTERVAL 1 MINUTE, {UNTIL} + INTERVAL 59999999 MICROSECONDS)"
    spans = [
        (
            f"time_bucket(INTERVAL {length}, {start} + INTERVAL {length})",
            f"time_bucket(INTERVAL {length}, {minutes})",
        )
        for length in _RESOLUTIONS
    ]
    parts = []
    for table, length, (first, last), longer in zip(
        rollup.tables, _RESOLUTIONS, spans, [*spans[1:], None], strict=True
    ):
        outside = [(first, last)]
        if longer:  # ranges, that files are told from: before the longer ones, and after
            begin, end = longer
            outside = [(first, f"least({begin}, {last})"), (f"greatest({begin}, {end})", last)]
        parts += [
            f"SELECT *, INTERVAL {length} AS length FROM {table.name}"
            f" WHERE bucket_start >= {since} AND bucket_start < {until}"
            for since, until in outside
        ]
    return " UNION ALL ".join(parts)
