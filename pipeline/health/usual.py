"""
What was usual of each entity: medians of hours before, and how far they spread.

The same hour of earlier days tells it best, since traffic follows the day; until
there are enough such days the hours before do, and until then the ten minutes
before. With less there is no judgement. A median and the median of the distances
from it (MAD) do not move for a few bad hours among many: what once failed does not
become usual.

Source: Leys et al., Detecting outliers: do not use standard deviation around the mean,
use absolute deviation around the median, J. Exp. Soc. Psychology 49, 2013 (the 1.4826).
Before: figures.py. After: judge.py.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import polars as pl

from pipeline.health.figures import ENTITY, figures

SPREAD: Final = 1.4826
"""What makes of a MAD the standard deviation of a normal distribution."""
BUCKET_REQUESTS: Final = 20
"""A bucket with fewer calls says nothing about errors and times; about traffic it does."""
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_TEN: Final = timedelta(minutes=10)


class Basis(NamedTuple):
    """What tells what was usual: a rollup, how long its buckets are, how many are enough."""

    name: str
    table: str
    minutes: int
    enough: int


BASES: Final = (
    Basis("days", "edges_1h", 60, 3),
    Basis("hours", "edges_1h", 60, 3),
    Basis("tens", "edges_10m", 10, 6),
)
"""The best first."""
_DAYS, _HOURS, _TENS = 14, 24, 18
"""How many buckets back each looks."""


def buckets(basis: Basis, minute: datetime) -> list[datetime]:
    """
    Begins of the buckets that tell what is usual in a minute, none of which holds it.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 26, 12, 34, tzinfo=UTC)
    >>> [str(begin)[5:16] for begin in buckets(BASES[0], noon)[:2]]
    ['11-25 12:00', '11-24 12:00']
    >>> [str(begin)[5:16] for begin in buckets(BASES[2], noon)[:2]]
    ['11-26 12:20', '11-26 12:10']
    """
    hour = minute.replace(minute=0, second=0, microsecond=0)
    if basis.name == "days":
        return [hour - number * _DAY for number in range(1, _DAYS + 1)]
    if basis.name == "hours":
        return [hour - number * _HOUR for number in range(1, _HOURS + 1)]
    ten = minute.replace(minute=minute.minute // 10 * 10, second=0, microsecond=0)
    return [ten - number * _TEN for number in range(1, _TENS + 1)]


def best(told: Sequence[pl.DataFrame], key: Sequence[str] = ENTITY) -> pl.DataFrame:
    """
    What was usual of each entity, by the best basis that has enough buckets of it.

    Parameters
    ----------
    told
        Of `usual`, in the order of `BASES`.
    key
        What there is one row of in each.

    Returns
    -------
    DataFrame
        One row an entity, with the columns of `usual`. Where no basis has enough, the
        one with the most buckets is told, without figures.
    """
    ranked = pl.concat([rows.with_columns(rank=pl.lit(rank)) for rank, rows in enumerate(told)])
    return (
        ranked.sort(
            pl.col("basis").is_null(),
            pl.when(pl.col("basis").is_null()).then(-pl.col("buckets")),
            "rank",
        )
        .group_by(key, maintain_order=True)
        .first()
        .drop("rank")
    )


_JUDGED: Final = ("error_share", "p50_ms", "p95_ms")


def usual(basis: Basis, edges: pl.DataFrame) -> pl.DataFrame:
    """
    What was usual of each entity by one basis.

    Parameters
    ----------
    edges
        The rollup's rows of `buckets`.

    Returns
    -------
    DataFrame
        One row an entity: ``buckets`` that say something, ``basis`` (null if they are not
        enough, and then no figures are told), and of ``requests`` (a minute),
        ``error_share``, ``p50_ms`` and ``p95_ms`` the median ``usual_{}`` and ``{}_spread``.
    """
    rows = figures(edges)
    full = pl.col("requests") >= BUCKET_REQUESTS
    per_minute = pl.col("requests") / basis.minutes
    told = rows.group_by(ENTITY).agg(
        full.sum().cast(pl.Int32).alias("buckets"),
        per_minute.median().alias("usual_requests"),
        spread(per_minute).alias("requests_spread"),
        *(pl.col(name).filter(full).median().alias(f"usual_{name}") for name in _JUDGED),
        *(spread(pl.col(name).filter(full)).alias(f"{name}_spread") for name in _JUDGED),
    )
    enough = pl.col("buckets") >= basis.enough
    return told.with_columns(
        pl.when(enough).then(pl.lit(basis.name)).alias("basis"),
        *(
            pl.when(enough).then(name).alias(name)
            for name in told.columns
            if name.startswith("usual_") or name.endswith("_spread")
        ),
    )


_TOLD: Final = {
    "days": "same hour of {} days",
    "hours": "{} hours before",
    "tens": "{} times ten minutes before",
}


def basis_text() -> pl.Expr:
    """What tells what was usual, in words, of ``basis`` and ``buckets``."""
    return pl.coalesce(
        pl.when(pl.col("basis") == name).then(pl.format(text, "buckets"))
        for name, text in _TOLD.items()
    )


def spread(values: pl.Expr) -> pl.Expr:
    """How far values spread: their median distance from their median, as a standard deviation."""
    return (values - values.median()).abs().median() * SPREAD
