"""
Packets that were lost: dropped, or sent again by TCP, of what each entity sent and got.

    legs_1m of the minute --> share of each entity --+--> state, reasons --> beside those of calls
    legs_1h, legs_10m     --> what was usual --------+

A leg counts for the same entities as a call does: the end whose port is a service's
is the server. Only of legs of which somebody tells: where nobody does there is no
row, and no cost. Who has no proxies but tells of packets is judged by them alone.

Before: judge.py (by calls), usual.py. After: causes.py.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from pipeline.health.figures import ENTITY, entities
from pipeline.health.usual import Basis, basis_text, best, spread
from pipeline.schema.health import EDGE_KEY
from pipeline.views.health import FAILING_LOSSES

DEGRADED: Final = 0.02
FAILING: Final = FAILING_LOSSES
"""Share of packets; TCP of today does well with one in a hundred, and badly with one in ten."""
MIN_PACKETS: Final = 200
MIN_LOST: Final = 5
"""Fewer packets, or fewer lost, say nothing."""
TIMES_USUAL: Final = 2.0
ABOVE_USUAL: Final = 0.005
SPREADS: Final = 4.0
"""More than usual is so many times that, so much above, and beyond so many spreads."""

_KEY: Final = (*ENTITY, "measure")
_MEASURES: Final = {
    "retransmit": ("retransmitted_packets", "retransmits_told_packets"),
    "drop": ("dropped_packets", "drops_told_packets"),
}
_COUNTS: Final = tuple(name for names in _MEASURES.values() for name in names)
_PLACE: Final = ("entity", "kind", "cluster", "provider", "region", "network", "gateway")
COLUMNS: Final = (
    *("bucket_start", "src_port", "dst_port", *_COUNTS),
    *(f"{end}_{name}" for end in ("src", "dst") for name in _PLACE),
)
"""What is read of a rollup."""
_DONE: Final = {"retransmit": "sent again", "drop": "dropped"}
_WORSE: Final = ("unknown", "healthy", "degraded", "failing")


def tells() -> pl.Expr:
    """Whether a row of a rollup of legs tells of losses."""
    return pl.any_horizontal(pl.col(told) > 0 for _, told in _MEASURES.values())


def losses(legs: pl.DataFrame) -> pl.DataFrame:
    """
    Packets lost of each entity in each bucket of a rollup.

    Parameters
    ----------
    legs
        Rows with `COLUMNS`.

    Returns
    -------
    DataFrame
        One row a bucket, entity and measure (retransmit, drop) that is told: ``cluster``,
        ``network``, ``packets``, how many of them were ``lost``, and their ``share``.
    """
    of = ["bucket_start", *ENTITY]
    rows = entities(_as_calls(legs))
    return pl.concat(
        rows.filter(pl.col(told) > 0)
        .group_by(of)
        .agg(
            pl.col("cluster", "network").drop_nulls().min(),
            pl.lit(measure).alias("measure"),
            pl.col(told).sum().cast(pl.Int64).alias("packets"),
            pl.col(lost).sum().cast(pl.Int64).alias("lost"),
        )
        .with_columns(share=pl.col("lost") / pl.col("packets"))
        for measure, (lost, told) in _MEASURES.items()
    )


def _as_calls(legs: pl.DataFrame) -> pl.DataFrame:
    """Legs with the columns of calls: which end is the client's, which the server's."""
    back = pl.col("src_port").is_not_null() & pl.col("dst_port").is_null()

    def end(name: str, one: str, other: str) -> pl.Expr:
        return pl.when(back).then(f"{other}_{name}").otherwise(f"{one}_{name}")

    ends = {"client": ("src", "dst"), "server": ("dst", "src")}
    named = {
        f"{side}_{name}": end(name, *of)
        for side, of in ends.items()
        for name in ("cluster", "provider", "region", "network")
    }
    # an end nobody is known to have been is no entity
    known = {
        f"{side}_entity": pl.when(end("kind", *of).is_not_null()).then(end("entity", *of))
        for side, of in ends.items()
    }
    gateway = pl.coalesce(end("gateway", "dst", "src"), end("gateway", "src", "dst"))
    service = pl.lit(None, pl.String)
    every = {**named, **known, "gateway": gateway, "service": service}
    return legs.select("bucket_start", *_COUNTS, *(every[name].alias(name) for name in EDGE_KEY))


def usual_losses(basis: Basis, legs: pl.DataFrame) -> pl.DataFrame:
    """
    What was usual of each entity by one basis, as `usual.usual` tells of calls.

    Returns
    -------
    DataFrame
        One row an entity and measure: ``buckets``, ``basis``, ``usual_share, share_spread``.
    """
    share, enough = pl.col("share"), pl.col("buckets") >= basis.enough
    return (
        losses(legs)
        .filter(pl.col("packets") >= MIN_PACKETS)
        .group_by(_KEY)
        .agg(
            pl.len().cast(pl.Int32).alias("buckets"),
            share.median().alias("usual_share"),
            spread(share).alias("share_spread"),
        )
        .with_columns(
            pl.when(enough).then(pl.lit(basis.name)).alias("basis"),
            pl.when(enough).then(pl.col("usual_share", "share_spread")),
        )
    )


def usually(told: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """What was usual by the best basis that has enough buckets: see `usual.best`."""
    return best(told, _KEY)


def judge_losses(lost: pl.DataFrame, usual: pl.DataFrame) -> pl.DataFrame:
    """
    State, score and reasons by packets alone.

    Parameters
    ----------
    lost
        Of `losses`, of one bucket.
    usual
        Of `usually`.

    Returns
    -------
    DataFrame
        One row an entity of which enough packets are told: ``cluster, network``,
        ``wire_state, wire_score, wire_reasons, wire_regressed``, ``is_lossy``, and for each
        measure ``{}_packets, {}_share, usual_{}_share``, null where it is not told.
    """
    share, enough = pl.col("share"), pl.col("lost") >= MIN_LOST
    above = pl.max_horizontal(pl.col("share_spread") * SPREADS, pl.lit(ABOVE_USUAL))
    more = (share >= pl.col("usual_share") * TIMES_USUAL) & (share >= pl.col("usual_share") + above)
    judged = (
        lost.filter(pl.col("packets") >= MIN_PACKETS)
        .join(usual, on=_KEY, how="left")
        .with_columns(
            more=(enough & more).fill_null(value=False), much=enough & (share >= DEGRADED)
        )
        .with_columns(
            state=pl.when(enough & (share >= FAILING))
            .then(_WORSE.index("failing"))
            .when(pl.any_horizontal("more", "much"))
            .then(_WORSE.index("degraded"))
            .otherwise(_WORSE.index("healthy")),
            reason=_reason(),
        )
        .sort("measure", descending=True)
    )
    is_bad = pl.col("state") > _WORSE.index("healthy")
    of_measure = [
        (pl.col(value).filter(pl.col("measure") == measure).first()).alias(name.format(measure))
        for measure in _MEASURES
        for name, value in (
            ("{}_packets", "packets"),
            ("{}_share", "share"),
            ("usual_{}_share", "usual_share"),
        )
    ]
    return judged.group_by(ENTITY, maintain_order=True).agg(
        pl.col("cluster", "network").first(),
        pl.col("state").max().alias("wire_state"),
        (1 - share.max() / FAILING).clip(0.0, 1.0).round(3).alias("wire_score"),
        pl.col("reason").filter(is_bad).alias("wire_reasons"),
        (pl.col("measure") + "s").filter("more").alias("wire_regressed"),
        is_bad.any().alias("is_lossy"),
        *of_measure,
    )


def with_causes(wire: pl.DataFrame, legs: pl.DataFrame) -> pl.DataFrame:
    """
    Add ``wire_cause``: of an edge that loses packets, the gateway or link it has that does, too.

    Parameters
    ----------
    wire
        Of `judge_losses`.
    legs
        The rows they are of.
    """
    lossy = wire.filter("is_lossy").select(ENTITY)
    of_legs = entities(_as_calls(legs).with_row_index("leg")).join(lossy, on=ENTITY)
    ways = of_legs.filter(pl.col("entity_kind").is_in(["gateway", "cloud_link"])).select(
        "leg", wire_cause=pl.concat_str(ENTITY, separator=" ")
    )
    causes = (
        of_legs.filter(entity_kind="edge")
        .join(ways, on="leg")
        .group_by(ENTITY)
        .agg(pl.col("wire_cause").max())  # a gateway before a link
    )
    return wire.join(causes, on=ENTITY, how="left")


def _percent(name: str) -> pl.Expr:
    return (pl.col(name) * 100).round(1).cast(pl.String)


def _reason() -> pl.Expr:
    done = pl.col("measure").replace_strict(_DONE)
    said = pl.format("{}% of packets {}", _percent("share"), done)
    usual = pl.format("{}, usually {}% ({})", said, _percent("usual_share"), basis_text())
    return pl.when("more").then(usual).otherwise(said)


def with_losses(judged: pl.DataFrame, wire: pl.DataFrame) -> pl.DataFrame:
    """
    Put what packets say beside what calls say: the worse counts, and all reasons.

    Parameters
    ----------
    judged
        One row an entity, of `judge.judge`.
    wire
        Of `judge_losses`, `with_causes`.
    """
    counted = ("requests", "errors", "denied", "timed")
    rows = judged.join(wire, on=ENTITY, how="full", coalesce=True, suffix="_wire")
    of_calls = pl.col("state").replace_strict({name: nth for nth, name in enumerate(_WORSE)})
    bad = pl.when(pl.col("wire_state") > _WORSE.index("healthy")).then("wire_state")
    worse = pl.max_horizontal(of_calls, pl.when(of_calls.is_null()).then("wire_state"), bad)
    names = dict(enumerate(_WORSE))
    return rows.with_columns(
        pl.col(*counted).fill_null(0),
        pl.col("flags").fill_null([]),
        pl.col("is_slow").fill_null(value=False),
        pl.col("is_lossy").fill_null(value=False),
        cause=pl.coalesce("cause", "wire_cause"),
        cluster=pl.coalesce("cluster", "cluster_wire"),
        network=pl.coalesce("network", "network_wire"),
        state=worse.replace_strict(names, return_dtype=pl.String),
        score=pl.when(of_calls.is_null() | bad.is_not_null())
        .then(pl.min_horizontal("score", "wire_score"))
        .otherwise("score"),
        reasons=pl.concat_list(
            pl.col("reasons").fill_null([]), pl.col("wire_reasons").fill_null([])
        ),
        regressed=pl.concat_list(
            pl.col("regressed").fill_null([]), pl.col("wire_regressed").fill_null([])
        ),
    ).drop("cluster_wire", "network_wire", "^wire_.*$")
