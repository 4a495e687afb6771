"""
Every source by the minute: what came of it, what was lost, and how well it is named.

`v_completeness` sums over all time; these are what its figures are made of, for
questions about a span.

Before: facts.py. After: dashboards/.
"""

from typing import Final

from pipeline.accounting import COUNTERS
from pipeline.schema import Function, View

_SOURCE: Final = {
    "observer_cluster": "cluster of the agent",
    "network": "its network",
    "agent": "agent",
    "exporter": "exporter's address, or the proxy's log",
    "format": "netflow5, netflow9, ipfix, envoy_json, envoy_text...",
}

SOURCES_1M: Final = View(
    "v_sources_1m",
    "What came of each source in each minute, and what was lost?",
    {
        "minute": "minute of receipt",
        **_SOURCE,
        "observation_domain": "observation domain, source id or engine",
        **COUNTERS,
        "sequence_units_lost": "expected less received; below zero while datagrams sent twice outnumber those lost",
    },
    """SELECT v.cluster AS observer_cluster, v.*, a.*,
        sequence_units_expected - sequence_units_received AS sequence_units_lost
    FROM accounting a JOIN vantages v USING (vantage_id)""",
)

DROPS: Final = View(
    "v_drops",
    "What was lost before the log, where and why?",
    {
        "minute": "minute of the message's first payload",
        "observer_cluster": "cluster of the agent",
        "agent": "agent",
        "topic": "log topic",
        "reason": "why: kernel, queue_full, spool_full...; sequence_gap: the agent's numbers jump; duplicate: sent twice, counted once; log_gap: expired before the job read it (in messages)",
        "payloads": "how many",
    },
    "SELECT *, cluster AS observer_cluster FROM agent_drops",
)

_FACTS: Final = {"flows": "start_time", "requests": "start_time", "verdicts": "event_time"}

NAMING_BETWEEN: Final = Function(
    "naming_between",
    "How many addresses of each source's rows could be named in a span, minute by minute?",
    {
        "from_time": "begin of the span, TIMESTAMPTZ or text of one",
        "to_time": "its end, exclusive, likewise",
    },
    {
        "minute": "minute the rows began in",
        **_SOURCE,
        "sides": "addresses that were looked up: two a row",
        "unknown_sides": "of those, unknown",
        "ambiguous_sides": "of those, ambiguous: several had the address then",
    },
    f"""SELECT n.*, v.*, v.cluster AS observer_cluster
    FROM (SELECT time_bucket(INTERVAL 1 MINUTE, began) AS minute, vantage_id, 2 * count(*) AS sides,
            count_if(src_resolution = 'unknown') + count_if(dst_resolution = 'unknown') AS unknown_sides,
            count_if(src_resolution = 'ambiguous') + count_if(dst_resolution = 'ambiguous') AS ambiguous_sides
        FROM ({
        " UNION ALL ".join(
            f'''SELECT {time} AS began, vantage_id, src_resolution, dst_resolution
            FROM {name} WHERE {time} >= from_time::TIMESTAMPTZ AND {time} < to_time::TIMESTAMPTZ'''
            for name, time in _FACTS.items()
        )
    })
        GROUP BY ALL) n
    JOIN vantages v USING (vantage_id)""",
)
