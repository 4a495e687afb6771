"""
Calls that are certain: an id that two records have, and the socket between them.

No gateway is on the way of such a call, so nothing else belongs to it, nor its ends to anything
else: they need not be looked for by the keys that the others join by.

Before: by_id.py. After: records.py.
"""

from typing import Final

import polars as pl

from pipeline.stitch.pairs import SKEW_US, Span
from pipeline.stitch.records import LASTED_MS

_SAME: Final = {
    "network": "network",
    **{
        f"{own}_{part}": f"{other}_{part}"
        for own, other in (
            ("upstream_local", "downstream_remote"),
            ("upstream_remote", "downstream_local"),
        )
        for part in ("port", "ip_lo", "ip_hi")
    },
}
"""The client's connection out is the server's connection in."""
_STARTED: Final = pl.col("start_time").to_physical()


def direct(requests: pl.DataFrame, calls: pl.DataFrame, asked: Span) -> pl.DataFrame:
    """
    Both ends of calls without a gateway.

    Parameters
    ----------
    requests
        As `stitch` has them.
    calls
        As `by_id.calls_by_id` tells.

    Returns
    -------
    DataFrame
        ``client``, ``server``: UInt32, rows of ``requests``; ``is_asked``: it began then.
    """
    calls = calls.filter(pl.col("server").is_not_null() & ~pl.col("is_passed"))
    sides = requests.select(
        pl.col(_SAME).gather(calls["client"]),
        *(
            pl.col(other).gather(calls["server"]).alias(f"{own}_other")
            for own, other in _SAME.items()
        ),
        start=_STARTED.gather(calls["client"]),
        end=(_STARTED + LASTED_MS * 1_000).gather(calls["client"]),
        began=_STARTED.gather(calls["server"]),
    )
    is_direct = pl.all_horizontal(pl.col(own) == pl.col(f"{own}_other") for own in _SAME)
    is_then = pl.col("began").is_between(pl.col("start") - SKEW_US, pl.col("end") + SKEW_US)
    told = sides.select(
        calls["client"],
        calls["server"],
        is_asked=pl.col("start").is_between(asked.start, asked.end, closed="left"),
        is_certain=is_direct & is_then,
    )
    return told.filter("is_certain").drop("is_certain")
