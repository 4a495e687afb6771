"""
State, score and reasons of figures: against fixed thresholds, and against what was usual.

A threshold says what is bad for anybody, what was usual says what is bad for this
one. To be worse than usual, a figure has to be so by a share, by an amount, and by
more than it spreads; a few slow or failed calls among few are chance.

Before: figures.py, usual.py. After: causes.py.
"""

from typing import Final

import polars as pl

from pipeline.health.usual import basis_text
from pipeline.views.health import (
    DEGRADED_ERRORS,
    FAILING_ERRORS,
    MIN_REQUESTS,
    SLOW_MS,
    SLOW_TAIL,
)

SPREADS: Final = 4.0
"""Beyond so many spreads a figure is not as usual: one in 30,000 is, by chance."""
SLOWER: Final = 1.5
SLOWER_MS: Final = 10.0
"""So many times the usual time, and so much longer, at least."""
MEDIAN_CALLS: Final = 20
TAIL_CALLS: Final = 100
"""
Timed calls from which a minute's median, and its 95th percentile, say something; of a tail
that is ten times the median the fewer are enough.
"""
MORE_ERRORS: Final = 2.0
MORE_ERROR_SHARE: Final = 0.005
MIN_ERRORS: Final = 3
STEADY_PER_MINUTE: Final = 10.0
"""Traffic that was less, or that spreads by more than half, may well be none for a while."""
VANISHED: Final = 0.1
"""Share of the usual traffic that counts as none."""
STEADY: Final = 0.9
STEADY_MINUTES: Final = 10
"""Traffic is steady if it was there in such a share of the hour's minutes, and in so many."""

_VANISHED_SCORE: Final = 0.25
_TAIL_SCORE: Final = 0.75
_FRACTION_BELOW_MS: Final = 10


def judge(figures: pl.DataFrame) -> pl.DataFrame:
    """
    Add ``state``, ``score``, ``reasons``, ``regressed`` and ``is_slow``.

    Parameters
    ----------
    figures
        One row an entity: the columns of `figures.figures` and `usual.usual`, ``silent``
        (null, or who tells nothing), ``minutes_seen, minutes_span`` (of the hour before),
        ``idle_minutes`` (since its last call) and ``flags``, ``blamed``.
    """
    share = pl.col("error_share")
    counted = pl.col("requests") >= MIN_REQUESTS
    more_errors = (
        counted
        & (pl.col("errors") >= MIN_ERRORS)
        & (share >= pl.col("usual_error_share") * MORE_ERRORS)
        & _beyond("error_share", pl.lit(MORE_ERROR_SHARE))
    )
    slower = {
        name: (pl.col("timed") >= calls)
        & (pl.col(name) >= pl.col(f"usual_{name}") * SLOWER)
        & _beyond(name, pl.lit(SLOWER_MS))
        for name, calls in (("p50_ms", MEDIAN_CALLS), ("p95_ms", TAIL_CALLS))
    }
    steady = (
        (pl.col("usual_requests") >= STEADY_PER_MINUTE)
        & (pl.col("requests_spread") * SPREADS <= pl.col("usual_requests") / 2)
        & (pl.col("minutes_seen") >= STEADY_MINUTES)
        & (pl.col("minutes_seen") >= STEADY * pl.col("minutes_span"))
    )
    none = pl.col("requests") <= pl.col("usual_requests") * VANISHED
    vanished = steady & none & pl.col("silent").is_null()
    tail = (
        (pl.col("timed") >= MEDIAN_CALLS)
        & (pl.col("p95_ms") > SLOW_MS)
        & (pl.col("p95_ms") > SLOW_TAIL * pl.col("p50_ms"))
    )
    some_errors = counted & (share >= DEGRADED_ERRORS)
    facts = figures.with_columns(
        _basis=basis_text(),
        _more_errors=more_errors.fill_null(value=False),
        _slow_median=slower["p50_ms"].fill_null(value=False),
        _slow_tail=slower["p95_ms"].fill_null(value=False),
        _vanished=vanished.fill_null(value=False),
        _tail=tail.fill_null(value=False),
        _some_errors=some_errors.fill_null(value=False),
        _counted=counted,
    )
    bad = pl.any_horizontal("_more_errors", "_slow_median", "_slow_tail", "_tail", "_some_errors")
    state = (
        pl.when(pl.col("_vanished"))
        .then(pl.lit("degraded"))
        .when(~pl.col("_counted"))
        .then(pl.lit("unknown"))
        .when(share >= FAILING_ERRORS)
        .then(pl.lit("failing"))
        .when(bad)
        .then(pl.lit("degraded"))
        .otherwise(pl.lit("healthy"))
    )
    return facts.with_columns(
        is_slow=pl.any_horizontal("_slow_median", "_slow_tail", "_tail"),
        state=state,
        score=_score(state),
        reasons=_reasons(),
        regressed=_regressed(),
    ).select(pl.exclude("^_.*$"))


def _beyond(name: str, least: pl.Expr) -> pl.Expr:
    """Above the usual by an amount, and by more than it spreads."""
    by = pl.max_horizontal(pl.col(f"{name}_spread") * SPREADS, least)
    return pl.col(name) >= pl.col(f"usual_{name}") + by


def _score(state: pl.Expr) -> pl.Expr:
    slow = [
        pl.when(flag).then(pl.col(f"usual_{name}") / pl.col(name))
        for flag, name in (("_slow_median", "p50_ms"), ("_slow_tail", "p95_ms"))
    ]
    least = pl.min_horizontal(
        pl.lit(1.0),
        1 - pl.col("error_share") / FAILING_ERRORS,
        *slow,
        pl.when("_tail").then(_TAIL_SCORE),
        pl.when("_vanished").then(_VANISHED_SCORE),
    )
    return pl.when(state != "unknown").then(least.clip(0.0, 1.0).round(3))


def _regressed() -> pl.Expr:
    return pl.concat_list(
        pl.when(pl.any_horizontal(flags)).then(pl.lit(name))
        for name, flags in (
            ("latency", ["_slow_median", "_slow_tail"]),
            ("errors", ["_more_errors"]),
            ("traffic", ["_vanished"]),
        )
    ).list.drop_nulls()


def _number(value: pl.Expr, digits: int) -> pl.Expr:
    """A number as people write it: without what follows the point where there is nothing."""
    rounded = value.round(digits)
    return rounded.cast(pl.Int64).cast(pl.String) if digits == 0 else rounded.cast(pl.String)


def _ms(name: str) -> pl.Expr:
    value = pl.col(name)
    return pl.when(value >= _FRACTION_BELOW_MS).then(_number(value, 0)).otherwise(_number(value, 1))


def _percent(name: str) -> pl.Expr:
    return _number(pl.col(name) * 100, 1)


def _reasons() -> pl.Expr:
    quiet = (
        pl.when(pl.col("silent").is_not_null())
        .then(pl.format("nobody tells from {}", "silent"))
        .when(pl.col("idle_minutes") > 0)
        .then(pl.format("no calls for {} minutes", "idle_minutes"))
        .otherwise(pl.format("only {} calls", "requests"))
    )
    told = (
        (
            ~pl.col("_vanished") & ~pl.col("_counted"),
            quiet,
        ),
        (
            pl.col("_vanished"),
            pl.format(
                "traffic vanished: {} calls, usually {} a minute ({})",
                "requests",
                _number(pl.col("usual_requests"), 0),
                "_basis",
            ),
        ),
        (
            pl.col("_some_errors") & ~pl.col("_more_errors"),
            pl.format("{}% errors", _percent("error_share")),
        ),
        (
            pl.col("_more_errors"),
            pl.format(
                "{}% errors, usually {}% ({})",
                _percent("error_share"),
                _percent("usual_error_share"),
                "_basis",
            ),
        ),
        (
            pl.col("_some_errors") & (pl.col("flags").list.len() > 0),
            pl.format("flags {}", pl.col("flags").list.join(",")),
        ),
        (
            (pl.col("_some_errors") | pl.col("_more_errors")) & pl.col("blamed").is_not_null(),
            pl.format("blame: {}", "blamed"),
        ),
        *(
            (
                pl.col(flag),
                pl.format(
                    "{} {} ms, usually {} ms ({})", what, _ms(name), _ms(f"usual_{name}"), "_basis"
                ),
            )
            for flag, name, what in (
                ("_slow_median", "p50_ms", _MEDIAN),
                ("_slow_tail", "p95_ms", pl.lit("p95")),
            )
        ),
        (
            pl.col("_tail"),
            pl.format(
                "p95 {} ms is {} times the median",
                _number(pl.col("p95_ms"), 0),
                _number(pl.col("p95_ms") / pl.col("p50_ms"), 0),
            ),
        ),
    )
    return pl.concat_list(pl.when(which).then(text) for which, text in told).list.drop_nulls()


_MEDIAN: Final = (
    pl.when(pl.col("entity_kind") == "gateway")
    .then(pl.lit("mean on the way"))
    .otherwise(pl.lit("median"))
)
