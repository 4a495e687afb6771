"""
Who belongs to whom: candidates by a key, and no pair unless it is the only one.

Clocks of two clusters may differ by `SKEW_US`; pairs that are certain show how much less two
proxies' clocks do. A shift of the clocks is the same
for all calls of one connection, so pairs in order are believed only if there is
one shift that lets each server's record lie within its client's.

Before: records.py. After: chain.py.
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from pipeline.stitch.keys import hashed
from pipeline.stitch.records import Records

METHODS: Final = (
    *("request_id", "trace_id", "connection", "nat", "nat_port", "sni", "identity", "none"),
)
"""`schema.MATCH_METHOD`, the strongest first; a code is a place here."""
SKEW_US: Final = 2_000_000
"""What clocks of two clusters may differ by."""
_ROUNDING_US: Final = 2_000
"""Starts and durations are whole milliseconds in many logs: one each."""
_MOST: Final = 100_000
"""Candidates that one key is looked at for; where it has more, none is the only one."""


def keyed(names: list[str]) -> pl.Expr:
    """``key``: one number of these columns, in this process; null where one of them is."""
    known = pl.all_horizontal(pl.col(names).is_not_null())
    return pl.when(known).then(hashed(*names)).alias("key")


class Pairs(NamedTuple):
    """
    What was found.

    Attributes
    ----------
    found
        ``record``, ``other``: UInt32.
    ambiguous
        ``record``: of those asked about, the ones that several could belong to.
    """

    found: pl.DataFrame
    ambiguous: pl.DataFrame


def candidates(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """
    Pairs with the same ``key``, at the same time as far as clocks can tell.

    Parameters
    ----------
    rows, others
        ``record``, ``start``, ``end``, ``key`` (UInt64, nullable), and what the caller needs.

    Returns
    -------
    DataFrame
        Columns of ``rows``; those of ``others`` with ``_other`` behind; ``other``, its record.
    """
    rows = rows.join(others, on="key", how="semi")
    others = others.join(rows, on="key", how="semi")
    behind = {name: f"{name}_other" for name in others.columns if name != "key"}
    renamed = others.rename(behind | {"record": "other"})
    counts = rows.group_by("key").len("n").join(others.group_by("key").len("m"), on="key")
    few = counts.filter(pl.col("n").cast(pl.UInt64) * pl.col("m") <= _MOST)
    return (
        rows.join(few.select("key"), on="key", how="semi")
        .join(renamed, on="key")
        .filter(
            (pl.col("record") != pl.col("other"))
            & (pl.col("start") <= pl.col("end_other") + SKEW_US)
            & (pl.col("end") >= pl.col("start_other") - SKEW_US)
        )
    )


def only_one(pairs: pl.DataFrame) -> Pairs:
    """
    Pairs in which the row has no other candidate, nor the other one of another ``connection``.

    Many calls go over one connection: they may share the other.
    """
    connection = pl.col("connection")
    wanted = connection.min().over("other") == connection.max().over("other")
    judged = pairs.with_columns(one=pl.col("record").is_unique() & wanted)
    return Pairs(
        judged.filter("one").select("record", "other"),
        judged.filter(~pl.col("one")).select("record").unique(),
    )


def only_one_by_clocks(pairs: pl.DataFrame, records: Records) -> Pairs:
    """
    `only_one`; and of several candidates the one that the clocks of the two proxies allow.

    A port is soon used again, sooner than clocks may differ. Pairs that are certain were at the
    same time, so each bounds how much their proxies' clocks differ, and others must fit that.

    Parameters
    ----------
    pairs
        As `candidates` gives them.
    """
    certain = only_one(pairs)
    if certain.ambiguous.is_empty():
        return certain
    proxies = [records.of(pairs[side], ["vantage_id"]).to_series() for side in ("record", "other")]
    pairs = pairs.with_columns(
        proxy=proxies[0],
        proxy_other=proxies[1],
        least=pl.col("start_other") - pl.col("end"),
        most=pl.col("end_other") - pl.col("start"),
    )
    known = (
        pairs.join(certain.found, on=["record", "other"], how="semi")
        .group_by("proxy", "proxy_other")
        .agg(differ_least=pl.col("least").max(), differ_most=pl.col("most").min())
        .filter(pl.col("differ_least") <= pl.col("differ_most"))
    )
    held = pairs.join(known, on=["proxy", "proxy_other"], how="left").filter(
        (pl.col("least") <= pl.col("differ_most") + _ROUNDING_US).fill_null(value=True)
        & (pl.col("most") >= pl.col("differ_least") - _ROUNDING_US).fill_null(value=True)
    )
    found = only_one(held).found
    return Pairs(found, certain.ambiguous.join(found, on="record", how="anti"))


class Span(NamedTuple):
    """Of what time the records are all there: UTC microseconds."""

    start: int
    end: int


ALL: Final = Span(-(1 << 62), 1 << 62)
_BEGAN: Final = pl.col("start_other").is_between(pl.col("start") - SKEW_US, pl.col("end") + SKEW_US)
"""The other began while this one lasted."""


def of_one_key(rows: pl.DataFrame, others: pl.DataFrame) -> Pairs:
    """
    Calls by a key of their own: one record with one, as most are; else tries, or in their order.

    Parameters
    ----------
    rows, others
        As `in_order`; ``rows`` with ``attempts`` besides, null counts as one.

    Returns
    -------
    Pairs
        ``ambiguous`` has records of both.
    """
    rows, others = rows.drop_nulls("key"), others.drop_nulls("key")
    keys = pl.concat([rows["key"], others["key"]]).to_numpy()
    order = np.argsort(keys)
    keys, count = keys[order], rows.height
    same = np.concatenate([[False], keys[1:] == keys[:-1], [False]])  # as the one before
    low, high = np.minimum(order[:-1], order[1:]), np.maximum(order[:-1], order[1:])
    two = same[1:-1] & ~same[:-2] & ~same[2:] & (low < count) & (high >= count)
    lone = others[high[two] - count].rename({"record": "other"})
    pairs = pl.concat(
        [rows[low[two]], lone.select("other", pl.col("start").alias("start_other"))],
        how="horizontal",
    )
    found, apart = pairs.filter(_BEGAN), pairs.filter(~_BEGAN)
    one = Pairs(
        found.select("record", "other"),
        pl.concat([apart.select("record"), apart.select(record="other")]),
    )
    shared = pl.DataFrame({"key": keys[:-1][same[1:-1] & ~two]}).unique()
    if shared.is_empty():
        return one
    rows, others = (frame.join(shared, on="key", how="semi") for frame in (rows, others))
    tried = tries(rows, others)
    rows = rows.join(tried.found, on="record", how="anti")
    others = others.join(tried.found, left_on="record", right_on="other", how="anti")
    ordered = in_order(rows, others)
    return Pairs(
        pl.concat([one.found, tried.found, ordered.found]),
        pl.concat([one.ambiguous, ordered.ambiguous]),
    )


def in_order(rows: pl.DataFrame, others: pl.DataFrame, span: Span = ALL) -> Pairs:
    """
    Calls of one connection (or of one id), the first with the first, where that is certain.

    As many of each key, all within ``span``, one after the other, and one shift of the clocks
    for all of them. A single one with a single one need only begin while the other lasts.

    Parameters
    ----------
    rows, others
        ``record``, ``start``, ``end``, ``key``: of clients, and of servers.

    Returns
    -------
    Pairs
        ``ambiguous`` has records of both.
    """
    rows, others = (frame.drop_nulls("key").sort("start", "record") for frame in (rows, others))
    rows = rows.join(others, on="key", how="semi", maintain_order="left")
    others = others.join(rows, on="key", how="semi", maintain_order="left")
    nth = pl.int_range(pl.len(), dtype=pl.UInt32).over("key").alias("nth")
    count = pl.len().over("key").alias("count")
    before = pl.col("end").shift(1).over("key")
    serial = (pl.col("start") + _ROUNDING_US >= before).fill_null(value=True)
    pairs = rows.with_columns(nth, count, serial=serial).join(
        others.with_columns(nth, count).rename({"record": "other"}),
        on=["key", "nth", "count"],
        suffix="_other",
    )
    low = (pl.col("start") - pl.col("start_other")).max().over("key")
    high = (pl.col("end") - pl.col("end_other")).min().over("key")
    shifted = (
        pl.col("serial").all().over("key")
        & (low <= high + _ROUNDING_US)
        & (low <= SKEW_US + _ROUNDING_US)
        & (high >= -SKEW_US - _ROUNDING_US)
    )
    inside = (
        pl.min_horizontal("start", "start_other").min().over("key") > span.start + SKEW_US
    ) & (pl.max_horizontal("end", "end_other").max().over("key") < span.end - SKEW_US)
    one = pl.when(pl.col("count") == 1).then(_BEGAN).otherwise(shifted)
    found = pairs.filter(one & inside).select("record", "other")
    left = [
        rows.join(found, on="record", how="anti").select("record"),
        others.join(found, left_on="record", right_on="other", how="anti").select("record"),
    ]
    return Pairs(found, pl.concat(left))


def tries(rows: pl.DataFrame, others: pl.DataFrame) -> Pairs:
    """
    Servers' records of one call that was sent several times: more of them than calls.

    Parameters
    ----------
    rows, others
        As `of_one_key`, no key null.
    """
    rows = rows.filter(pl.len().over("key") == 1)
    pairs = rows.join(others.rename({"record": "other"}), on="key", suffix="_other")
    sent = pl.col("attempts").fill_null(1)
    one = (pl.len().over("key") <= sent) & _BEGAN.all().over("key")
    return Pairs(
        pairs.filter(one).select("record", "other"),
        rows.clear().select("record"),
    )
