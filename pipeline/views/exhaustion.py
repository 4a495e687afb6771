"""
When will a range be full?

In use is what is live at one time, read off at every full hour: an address that
two rows claim counts once, and one that is given back and taken again within
the hour once too. The trend is the Theil-Sen slope of the daily peaks, the
median of the slopes of all pairs of days: a few odd days do not move it. Days
count from the first whole one in which the inventory was watched, for what was
there before and is gone was never told; with fewer than `MIN_DAYS` there is no
trend, and no guess. Source: Sen, "Estimates of the regression coefficient
based on Kendall's tau", 1968.

Where a range of pods is dealt out in blocks, one a node, it is full when the
blocks are, however empty they may be: a row of its own, unit ``block``.

Before: ranges.py. After: ipspace.py.
"""

from typing import Final

from pipeline.schema import View
from pipeline.views.ranges import NOW, cidr, declared, inside, number, size, valid

MIN_DAYS: Final = 7
KEPT_DAYS: Final = 28
NEARLY_FULL: Final = 0.9
SOON_DAYS: Final = 30

_RESERVED: Final = "CASE WHEN kind <> 'subnet' OR length < 96 THEN 0 WHEN provider IN ('aws', 'azure') THEN 5 WHEN provider = 'gcp' THEN 4 ELSE 0 END"
"""Addresses of an IPv4 subnet that the cloud keeps. Source: the providers' documents on subnets."""


def forecast(at: str = NOW) -> str:
    """Rows of `EXHAUSTION` at a time."""
    start = f"(date_trunc('day', {at}) - INTERVAL {KEPT_DAYS} DAY)"
    from_, to = "coalesce(valid_from, '-infinity')", "coalesce(valid_to, 'infinity')"
    return f"""WITH ranges AS (
        SELECT * REPLACE (coalesce(ranges.provider, clusters.provider) AS provider)
        FROM ({declared(at)}) ranges LEFT JOIN (SELECT cluster, min(provider) AS provider
            FROM clusters WHERE {valid(at)} GROUP BY cluster) clusters USING (cluster)
        WHERE kind IN ('pod', 'node', 'subnet', 'service')
    ), claims AS (
        SELECT network, {number("endpoint")} AS ip, {from_} AS begin, {to} AS until
        FROM endpoints WHERE kind <> 'external' AND {from_} <= {at} AND {to} > {start}
    ), chained AS (
        SELECT *, coalesce(max(until) OVER (PARTITION BY network, ip ORDER BY begin
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) < begin, true) AS is_first FROM claims
    ), numbered AS (
        SELECT *, sum(is_first::INTEGER) OVER (PARTITION BY network, ip ORDER BY begin
            ROWS UNBOUNDED PRECEDING) AS life FROM chained
    ), lives AS (
        SELECT network, ip, min(begin) AS begin, max(until) AS until
        FROM numbered GROUP BY network, ip, life
    ), blocks AS (
        SELECT o.prefix_id, max(i.length) AS block_length, any_value(o.length) AS length
        FROM {inside("ranges", "ranges", "first", length="things.length")}
        WHERE o.network = i.network AND o.cluster = i.cluster AND o.kind = 'pod' AND i.kind = 'pod'
            AND o.length < i.length GROUP BY o.prefix_id
    ), parents AS (SELECT ranges.*, block_length FROM ranges JOIN blocks USING (prefix_id)
    ), dealt AS (
        SELECT DISTINCT network, cluster, {number("prefix")} AS first, prefix_length AS length,
            {from_} AS begin, {to} AS until
        FROM prefixes WHERE kind = 'pod' AND {from_} <= {at} AND {to} > {start}
    ), uses AS (
        SELECT o.prefix_id, 'address' AS unit, begin, until, 1.0 AS amount
        FROM {inside("lives", "ranges", "ip")} WHERE o.network = i.network
        UNION ALL
        SELECT o.prefix_id, 'block', begin, until, pow(2.0, o.block_length - i.length)
        FROM {inside("dealt", "parents", "first", length="things.length")}
        WHERE o.network = i.network AND o.cluster = i.cluster
            AND o.length < i.length AND i.length <= o.block_length
    ), steps AS (
        SELECT prefix_id, unit, date_trunc('hour', greatest(begin, {start})) AS hour, amount
        FROM uses
        UNION ALL
        SELECT prefix_id, unit, date_trunc('hour', until), -amount FROM uses WHERE until <= {at}
        UNION ALL
        SELECT prefix_id, unit, {start} + to_days(day::INTEGER), 0.0
        FROM (SELECT DISTINCT prefix_id, unit FROM uses), range({KEPT_DAYS} + 1) days(day)
    ), changes AS (SELECT prefix_id, unit, hour, sum(amount) AS amount FROM steps GROUP BY ALL
    ), levels AS (
        SELECT prefix_id, unit, hour, sum(amount) OVER (PARTITION BY prefix_id, unit ORDER BY hour
            ROWS UNBOUNDED PRECEDING) AS level FROM changes
    ), watched AS (
        SELECT network, min(coalesce(seen_from, valid_from)) AS since
        FROM endpoints GROUP BY network
    ), days AS (
        SELECT prefix_id, unit, date_diff('day', {start}, hour) AS day, max(level) AS peak
        FROM levels JOIN ranges USING (prefix_id) JOIN watched USING (network)
        WHERE hour < date_trunc('day', {at})
            AND date_trunc('day', hour) >= greatest(since, ranges.valid_from)
        GROUP BY ALL
    ), slopes AS (
        SELECT prefix_id, unit, median((b.peak - a.peak) / (b.day - a.day)) AS trend
        FROM days a JOIN days b USING (prefix_id, unit) WHERE a.day < b.day GROUP BY ALL
    ), history AS (
        SELECT prefix_id, unit, count(*) AS history_days, max(peak) AS peak, arg_max(peak, day) AS lately
        FROM days GROUP BY ALL
    ), live AS (
        SELECT prefix_id, unit, coalesce(sum(amount) FILTER (until > {at}), 0) AS in_use
        FROM uses GROUP BY ALL
    ), units AS (
        SELECT prefix_id, 'address' AS unit, {size("length")} - {_RESERVED} AS capacity FROM ranges
        UNION ALL SELECT prefix_id, 'block', pow(2.0, block_length - length) FROM blocks
    ), figures AS (
        SELECT ranges.*, unit, capacity, coalesce(in_use, 0) AS in_use,
            greatest(coalesce(in_use, 0), peak) AS peak, greatest(coalesce(in_use, 0), lately) AS lately,
            coalesce(history_days, 0) AS history_days, in_use / nullif(capacity, 0) AS used_share,
            CASE WHEN history_days >= {MIN_DAYS} THEN trend END AS trend_per_day
        FROM ranges JOIN units USING (prefix_id) LEFT JOIN live USING (prefix_id, unit)
        LEFT JOIN history USING (prefix_id, unit) LEFT JOIN slopes USING (prefix_id, unit)
    ), dated AS (
        SELECT *, CASE WHEN in_use >= capacity THEN 0
            WHEN trend_per_day > 0 THEN greatest(capacity - lately, 0) / trend_per_day END AS days_left
        FROM figures
    )
    SELECT * REPLACE (coalesce(used_share, 0) AS used_share, coalesce(peak, in_use) AS peak),
        {cidr("first", "length")} AS range,
        CASE WHEN days_left < 36500 THEN {at} + days_left * INTERVAL 1 DAY END AS full_time,
        CASE WHEN in_use >= capacity THEN 'full' WHEN used_share >= {NEARLY_FULL} THEN 'nearly_full'
            WHEN days_left <= {SOON_DAYS} THEN 'filling'
            WHEN trend_per_day IS NULL AND in_use > 0 THEN 'unknown' ELSE 'ok' END AS state
    FROM dated"""


EXHAUSTION: Final = View(
    "v_ip_forecast",
    "How full is every range, and when will it be full?",
    {
        "network": "network of the range",
        "cluster": "its cluster; null if none",
        "vpc": "its cloud network; null if none",
        "kind": "pod, node, subnet, service",
        "name": "what people call it",
        "range": "range, text",
        "unit": "address; or block: the smallest range dealt out of it to a node",
        "capacity": "how many it has; of a cloud's IPv4 subnet, without those the cloud keeps",
        "in_use": "in use now",
        "peak": f"most in use at a full hour of the last {KEPT_DAYS} days, now included",
        "used_share": "in use now, of the capacity",
        "history_days": "whole days the trend is from",
        "trend_per_day": f"Theil-Sen slope of the daily peaks; null with fewer than {MIN_DAYS} days",
        "days_left": "until it is full if that goes on; null if it does not grow, or there is no trend",
        "full_time": "when that is; null beyond a hundred years",
        "state": f"full; nearly_full: {NEARLY_FULL:.0%} in use; filling: full within {SOON_DAYS} days; ok; unknown: in use, with too short a history for a trend",
        "prefix_id": "`prefixes` row",
    },
    forecast(),
)
