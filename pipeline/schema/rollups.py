"""
Edges by the minute, ten minutes, hour and day, and how their measures add up.

    v_calls --of_calls--> edges_1m --merged--> edges_10m --merged--> edges_1h --> edges_1d

Every measure is a sum, a minimum or a histogram, of integers where it is a sum:
merged in any order and any grouping, rows give the same. What is no such thing
(quantiles, means, shares) is worked out from them when asked for: views/rollups.py.

A histogram has buckets that grow by `GROWTH`, bucket b for (GROWTH^(b-1), GROWTH^b]
milliseconds, and only those that hold something. Whatever lies in one is told as
2 GROWTH^b / (GROWTH + 1), which is off by (GROWTH - 1) / (GROWTH + 1) = 2.92 % at most.

Source: Masson, Rim, Lee: DDSketch, VLDB 2019 (the mapping, and its bound).
Before: requests.py. After: rollup.py, views/rollups.py.
"""

from typing import Final, NamedTuple

from pipeline.schema.model import F64, HISTOGRAM, I64, TEXT, TIME, U64, Column, Table

GROWTH: Final = 1.06
ZERO_BUCKET: Final = -32_768
"""Bucket of what took no time: a tenth of a nanosecond at most. The rest have -276 and up."""
LONGEST_MS: Final = 1e11
"""Three years; what is said to have taken longer was not measured."""

MATCH_METHODS: Final = (
    "request_id",
    "address",
    "service_in_cluster",
    "service",
    "destination_only",
)
"""Values of ``v_calls.match_method`` besides null."""

KEY: Final = (
    Column("client_entity", TEXT, "`v_calls.client_entity`"),
    Column("client_cluster", TEXT, "`v_calls.client_cluster`"),
    Column("server_entity", TEXT, "`v_calls.server_entity`"),
    Column("server_cluster", TEXT, "`v_calls.server_cluster`"),
    Column("service", TEXT, "`v_calls.service`"),
    Column("path_model", TEXT, "`v_calls.path_model`"),
    Column("gateway", TEXT, "`v_calls.gateway`"),
)


class Measure(NamedTuple):
    """A column, the aggregate that makes it of rows of ``v_calls``, and the one that merges it."""

    column: Column
    of_calls: str
    merged: str


def _sum(name: str, meaning: str, of_calls: str) -> Measure:
    return Measure(Column(name, U64, meaning), f"({of_calls})::UBIGINT", f"sum({name})::UBIGINT")


def _nanoseconds(name: str, meaning: str, ms: str) -> Measure:
    return Measure(
        Column(name, I64, meaning),
        f"try_cast(sum(round({ms} * 1e6)::BIGINT) AS BIGINT)",
        f"try_cast(sum({name}) AS BIGINT)",
    )


def _timed(side: str) -> str:
    """A side's duration; null if it is none."""
    return f"(CASE WHEN {side}duration_ms BETWEEN 0 AND {LONGEST_MS} THEN {side}duration_ms END)"


_CLIENT, _SERVER = _timed(""), _timed("server_")
_BOTH: Final = f"({_CLIENT} - {_SERVER})"

MEASURES: Final = (
    _sum("requests", "calls", "count(*)"),
    _sum("errors", "calls the server side failed", "count(*) FILTER (error)"),
    _sum(
        "client_errors",
        "calls with status 400 to 499, denials included",
        "count(*) FILTER (status BETWEEN 400 AND 499)",
    ),
    _sum("denied", "calls an authorization policy denied", "count(*) FILTER (denied)"),
    _sum(
        "retries",
        "times calls were sent again; null if no proxy told",
        "sum(attempts - least(attempts, 1))",
    ),
    _sum("bytes_received", "request body octets", "sum(bytes_received)"),
    _sum("bytes_sent", "response body octets", "sum(bytes_sent)"),
    _sum("tls_requests", "calls over TLS", "count(tls)"),
    Measure(
        Column("confidence", F64, "lowest `v_calls.confidence`"),
        "min(confidence)::DOUBLE",
        "min(confidence)",
    ),
    *(
        _sum(
            f"matched_{method}",
            f"calls whose server was found by {method}",
            f"count(*) FILTER (match_method = '{method}')",
        )
        for method in MATCH_METHODS
    ),
    _nanoseconds("duration_ns", "durations at the client's proxy, added; null if none", _CLIENT),
    _sum("server_timed", "calls the server's proxy timed", f"count({_SERVER})"),
    _nanoseconds("server_duration_ns", "durations at the server's proxy, added", _SERVER),
    _sum("both_timed", "calls both proxies timed", f"count({_BOTH})"),
    _nanoseconds(
        "on_the_way_ns",
        "of those, duration at the client's proxy less that at the server's, added: network, gateways and proxies",
        _BOTH,
    ),
    Measure(
        Column(
            "durations",
            HISTOGRAM,
            "histogram of the durations at the client's proxy, by bucket; null if none",
        ),
        f"list({{'bucket': duration_bucket({_CLIENT}), 'calls': 1::UBIGINT}})"
        f" FILTER ({_CLIENT} IS NOT NULL)",
        "flatten(list(durations))",
    ),
)
"""The last gives a list in which a bucket may be more than once; views/rollups.py adds them up."""


_INLINED_ROWS: Final = 50
"""Histograms are dear to keep in the catalog: 0.4 ms a row, where a file costs 10 ms."""


def _table(name: str, length: str, made_of: str) -> Table:
    return Table(
        f"edges_{name}",
        f"Who called whom in {length}, and how it went: mergeable sums of {made_of}.",
        (
            Column("bucket_start", TIME, f"begin of the {length.split(' ', 1)[1]}, UTC"),
            *KEY,
            *(measure.column for measure in MEASURES),
        ),
        inlined_rows=_INLINED_ROWS,
    )


EDGES_1M: Final = _table("1m", "one minute", "calls that began in it")
EDGES_10M: Final = _table("10m", "ten minutes", "`edges_1m`")
EDGES_1H: Final = _table("1h", "one hour", "`edges_10m`")
EDGES_1D: Final = _table("1d", "one day", "`edges_1h`")
