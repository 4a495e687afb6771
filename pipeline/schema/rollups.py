"""
Calls and flows by the minute, ten minutes, hour and day, and how their measures add up.

    calls --of_calls--> edges_1m --merged--> edges_10m --merged--> edges_1h --> edges_1d
    flows --of_flows--> legs_1m  --merged--> legs_10m  --merged--> legs_1h  --> legs_1d

Every measure is a sum, a minimum or a histogram, of integers where it is a sum:
merged in any order and any grouping, rows give the same. What is no such thing
(quantiles, means, shares) is worked out from them when asked for: views/rollups.py.

A histogram has buckets that grow by `GROWTH`, bucket b for (GROWTH^(b-1), GROWTH^b]
milliseconds, and only those that hold something. Whatever lies in one is told as
2 GROWTH^b / (GROWTH + 1), which is off by (GROWTH - 1) / (GROWTH + 1) = 2.92 % at most.

Source: Masson, Rim, Lee: DDSketch, VLDB 2019 (the mapping, and its bound).
Rows hold names as they were known when the minute was worked out: who reads them
joins nothing. Keys are bounded by the inventory, not by what peers send: an address
nobody is known to have had is the network's it was seen in, and of the ports of a
flow only a service's is kept.

Before: requests.py. After: rollup.py, views/rollups.py.
"""

from typing import Final, NamedTuple

from pipeline.schema.model import (
    F64,
    HISTOGRAM,
    I64,
    TEXT,
    TIME,
    U16,
    U32,
    U64,
    Column,
    Table,
)

GROWTH: Final = 1.06
ZERO_BUCKET: Final = -32_768
"""Bucket of what took no time: a tenth of a nanosecond at most. The rest have -276 and up."""
LONGEST_MS: Final = 1e11
"""Three years; what is said to have taken longer was not measured."""

MATCH_METHODS: Final = (
    "request_id",
    "address",
    "stitched",
    "service_in_cluster",
    "service",
    "destination_only",
)
"""Values of ``v_calls.match_method`` besides null."""

_PLACE: Final = {
    "kind": "kind of that endpoint; null if it is not known",
    "provider": "cloud it is in",
    "region": "region it is in",
    "network": "network it is in; of one that is not known, the observer's",
    "namespace": "its namespace",
    "service": "host name it is called by",
}
"""What is kept of either end beside its entity and cluster."""


def _place(end: str) -> tuple[Column, ...]:
    return tuple(Column(f"{end}_{name}", TEXT, meaning) for name, meaning in _PLACE.items())


EDGE_KEY: Final = (
    Column("client_entity", TEXT, "`v_calls.client_entity`"),
    Column("client_cluster", TEXT, "`v_calls.client_cluster`"),
    *_place("client"),
    Column("server_entity", TEXT, "`v_calls.server_entity`"),
    Column("server_cluster", TEXT, "`v_calls.server_cluster`"),
    *_place("server"),
    Column("service", TEXT, "`v_calls.service`"),
    Column("path_model", TEXT, "`v_calls.path_model`"),
    Column("gateway", TEXT, "`v_calls.gateway`"),
    Column("protocol", TEXT, "HTTP/1.1, HTTP/2, TCP..."),
)

LEG_KEY: Final = (
    *(
        column
        for end in ("src", "dst")
        for column in (
            Column(
                f"{end}_entity",
                TEXT,
                "`v_endpoints.entity`, else the name of a range outside, else ``unknown in <network>``",
            ),
            Column(f"{end}_cluster", TEXT, "its cluster"),
            *_place(end),
            Column(f"{end}_gateway", TEXT, "gateway whose address it is; null if none"),
        )
    ),
    Column("protocol", TEXT, "TCP, UDP, ICMP, ICMPv6, SCTP, IP protocol <number>, unknown"),
    Column("src_port", U16, "its port, if that is the service's; else null"),
    Column("dst_port", U16, "likewise"),
)


class Measure(NamedTuple):
    """A column, the aggregate that makes it of calls or flows, and the one that merges it."""

    column: Column
    of_rows: str
    merged: str


def _sum(name: str, meaning: str, of_rows: str) -> Measure:
    return Measure(Column(name, U64, meaning), f"({of_rows})::UBIGINT", f"sum({name})::UBIGINT")


def _packets(name: str, meaning: str) -> Measure:
    return _sum(name, meaning, f"round(sum({name}))")


def _extreme(name: str, meaning: str, function: str, of: str) -> Measure:
    return Measure(Column(name, TIME, meaning), f"{function}({of})", f"{function}({name})")


def _histogram(name: str, meaning: str, ms: str) -> Measure:
    return Measure(
        Column(name, HISTOGRAM, f"histogram of {meaning}, by bucket; null if none"),
        f"list_transform(map_entries(histogram(CASE WHEN {ms} IS NOT NULL THEN duration_bucket({ms}) END)),"
        " lambda one: {'bucket': one.key, 'calls': one.value})",
        f"flatten(list({name}))",
    )


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

_STAYED: Final = """coalesce(error AND NOT server_seen
        AND list_has_any(client_flags, ['UH', 'UF', 'NR', 'NC', 'UO', 'RL', 'FI']), false)"""
"""The client's proxy had no connection to send a call on, or was told not to."""

EDGE_MEASURES: Final = (
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
    _sum(
        "tls_requests",
        "calls over TLS, and those that the client's proxy answered itself: nothing left it unencrypted",
        f"count(*) FILTER (tls IS NOT NULL OR {_STAYED})",
    ),
    _sum(
        "identified_requests",
        "calls of which a proxy told the SPIFFE ID at the other end",
        "count(*) FILTER (identified)",
    ),
    _sum(
        "unserved_errors",
        "failed calls that no server's proxy timed: a gateway answered, or nobody",
        f"count(*) FILTER (error AND {_SERVER} IS NULL)",
    ),
    Measure(
        Column("confidence", F64, "lowest `v_calls.confidence`"),
        "min(confidence)::DOUBLE",
        "min(confidence)",
    ),
    *(
        _sum(
            f"matched_{method}",
            f"calls whose server was found by {method}",
            f"coalesce(sum(requests) FILTER (match_method = '{method}'), 0)",
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
    _extreme("first_time", "when the first began", "min", "start_time"),
    _extreme("last_time", "when the last began", "max", "start_time"),
    _histogram("durations", "the durations at the client's proxy", _CLIENT),
    _histogram("server_durations", "the durations at the server's proxy", _SERVER),
)
"""The last two give lists in which a bucket may be more than once; views/rollups.py adds them up."""

FOUND: Final = ("confidence", *(f"matched_{method}" for method in MATCH_METHODS))
"""
Measures of how the server was found, which is known when ends have names: they are made of
what was added up of calls before.
"""

HISTOGRAMS: Final = tuple(one.column.name for one in EDGE_MEASURES if one.column.dtype == HISTOGRAM)

LEG_MEASURES: Final = (
    _sum("flows", "flow records", "sum(flows)"),
    _sum("bytes", "octets after sampling; null if no exporter tells them", "round(sum(bytes))"),
    _sum("packets", "packets after sampling", "round(sum(packets))"),
    Measure(
        Column("exporters", U16, "exporters that saw one pair of its addresses, at most"),
        "max(exporters)::USMALLINT",
        "max(exporters)",
    ),
    _extreme("first_time", "first packet", "min", "first_time"),
    _extreme("last_time", "last packet", "max", "last_time"),
    _packets("dropped_packets", "packets that exporters dropped, all of them added"),
    _packets("drops_told_packets", "packets of flows of which that is told, by one exporter"),
    _packets("retransmitted_packets", "packets TCP sent again"),
    _packets(
        "retransmits_told_packets",
        "packets of flows of which that is told, those sent again included",
    ),
    _sum("rtt_timed", "flows of which a round-trip time is told", "sum(rtt_timed)"),
    _sum("rtt_us", "their round-trip times in microseconds, added", "sum(rtt_us)"),
    Measure(
        Column("min_rtt_us", U32, "least round-trip time"),
        "min(min_rtt_us)::UINTEGER",
        "min(min_rtt_us)",
    ),
)
"""Losses and round trips are null where no exporter tells them: 0 is that there were none."""


_LENGTHS: Final = {
    "1m": ("one minute", 32_768),
    "10m": ("ten minutes", 32_768),
    "1h": ("one hour", 8_192),
    "1d": ("one day", 8_192),
}
"""
Their names, and rows of a group in their files: an hour of a day, say, is a few groups.
Smaller ones cost more to find than they save: a file has a page of every column of each.
"""


class Rollup(NamedTuple):
    """Tables of four lengths, each made of the one before, and what their rows are."""

    key: tuple[Column, ...]
    measures: tuple[Measure, ...]
    tables: tuple[Table, ...]


def _rollup(
    name: str, meaning: str, key: tuple[Column, ...], measures: tuple[Measure, ...]
) -> Rollup:
    tables = [
        Table(
            f"{name}_{short}",
            meaning.format(length),
            (
                Column("bucket_start", TIME, f"begin of the {length.split(' ', 1)[1]}, UTC"),
                *key,
                *(measure.column for measure in measures),
            ),
            row_group_rows=group,
        )
        for short, (length, group) in _LENGTHS.items()
    ]
    return Rollup(key, measures, tuple(tables))


def by_node(rollup: Rollup) -> Rollup:
    """The same with the machine at either end in the key: of records alone, no table has it."""
    ends = [name.removesuffix("_entity") for name, *_ in rollup.key if name.endswith("_entity")]
    nodes = (Column(f"{end}_node", TEXT, "node it runs on") for end in ends)
    return rollup._replace(key=(*rollup.key, *nodes), tables=())


EDGES: Final = _rollup(
    "edges",
    "Who called whom in {}, and how it went: mergeable sums of calls that began in it.",
    EDGE_KEY,
    EDGE_MEASURES,
)
LEGS: Final = _rollup(
    "legs",
    "What went over the wire in {}, in one direction: mergeable sums of flows that began in it,"
    " as that exporter saw each pair of addresses that saw most of it.",
    LEG_KEY,
    LEG_MEASURES,
)
EDGES_1M, EDGES_10M, EDGES_1H, EDGES_1D = EDGES.tables
LEGS_1M, LEGS_10M, LEGS_1H, LEGS_1D = LEGS.tables
