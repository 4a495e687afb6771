"""
Measures of every entity, of rows of a rollup.

An edge's row counts for each entity it concerns: its server's service, its client's
workload, itself, its gateway, the server's cluster, and the link between two regions.
Sums add up and histograms merge, so the figures of an entity are those of its calls.

Before: stage.py (which reads the rollup). After: usual.py, judge.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.health import EDGE_KEY
from pipeline.schema.rollups import GROWTH, ZERO_BUCKET

ENTITY: Final = ("entity_kind", "entity")
SUMS: Final = (
    *("requests", "errors", "denied", "unserved_errors", "server_timed", "server_duration_ns"),
    *("both_timed", "on_the_way_ns"),
)
_TIMES: Final = ("durations", "server_durations")
COLUMNS: Final = ("bucket_start", *EDGE_KEY, *SUMS, *_TIMES)
"""What is read of a rollup."""

_NS_PER_MS: Final = 1e6


def _region(end: str) -> pl.Expr:
    return pl.concat_str([f"{end}_provider", f"{end}_region"], separator="/", ignore_nulls=True)


_EDGE: Final = pl.concat_str(
    [pl.col("client_entity").fill_null("unknown"), "server_entity"], separator=" -> "
)
_LINK: Final = pl.when(
    pl.col("client_provider").is_not_null()
    & pl.col("server_provider").is_not_null()
    & (_region("client") != _region("server"))
).then(pl.concat_str([_region("client"), _region("server")], separator=" -> "))

_KINDS: Final[dict[str, tuple[pl.Expr, str]]] = {
    "service": (pl.col("server_entity"), "server"),
    "workload": (pl.col("client_entity"), "client"),
    "edge": (_EDGE, "server"),
    "gateway": (pl.col("gateway"), "server"),
    "cluster": (pl.col("server_cluster"), "server"),
    "cloud_link": (_LINK, "server"),
}
"""Kind of entity to its name in an edge's row, and the end whose cluster and network are its."""


def entities(edges: pl.DataFrame) -> pl.DataFrame:
    """
    Every row once for each entity it concerns.

    Parameters
    ----------
    edges
        n rows with the columns of `EDGE_KEY`.

    Returns
    -------
    DataFrame
        At most 6 n rows: those columns, ``entity_kind``, ``entity``, ``cluster``, ``network``.
    """
    rows = edges.lazy()
    return pl.concat(
        rows.with_columns(
            entity_kind=pl.lit(kind),
            entity=name,
            cluster=pl.col("server_cluster" if kind == "cloud_link" else f"{end}_cluster"),
            network=pl.col(f"{end}_network"),
        ).filter(pl.col("entity").is_not_null())
        for kind, (name, end) in _KINDS.items()
    ).collect()


def figures(edges: pl.DataFrame) -> pl.DataFrame:
    """
    Figures of each entity in each bucket of a rollup.

    Parameters
    ----------
    edges
        Rows with `COLUMNS`.

    Returns
    -------
    DataFrame
        One row a bucket and entity: ``requests, errors, denied, timed`` counts (``errors``
        of a gateway: those no server's proxy saw; ``timed``: calls the times are of),
        ``error_share``, ``p50_ms, p95_ms``: as `schema.HEALTH_1M` says,
        ``server_p95_ms``, and means ``server_ms, way_ms``; null where nobody timed a call.
    """
    of = ["bucket_start", *ENTITY]
    numbered = edges.with_row_index("edge")
    rows = entities(numbered.drop(_TIMES))
    way = pl.col("on_the_way_ns").sum() / _NS_PER_MS / pl.col("both_timed").sum()
    told = (
        rows.group_by(of)
        .agg(
            pl.col("cluster").drop_nulls().min(),
            pl.col("network").drop_nulls().min(),
            *(pl.col(name).fill_null(0).sum().cast(pl.Int64) for name in ("requests", "denied")),
            pl.when(pl.col("entity_kind") == "gateway")
            .then("unserved_errors")
            .otherwise("errors")
            .fill_null(0)
            .sum()
            .cast(pl.Int64)
            .alias("errors"),
            (pl.col("server_duration_ns").sum() / _NS_PER_MS / pl.col("server_timed").sum()).alias(
                "server_ms"
            ),
            way.alias("way_ms"),
            pl.col("both_timed").fill_null(0).sum().cast(pl.Int64),
            "edge",
        )
        .with_row_index("nth")
    )
    of_edges = told.select("nth", "edge").explode("edge")
    calls, server = (_quantiles(numbered.select("edge", name), of_edges) for name in _TIMES)
    for times in (calls, server.select("nth", server_p95_ms="p95_ms")):
        told = told.join(times, on="nth", how="left")
    gateway = pl.col("entity_kind") == "gateway"
    return told.with_columns(
        pl.col("server_ms", "way_ms").fill_nan(None),
        timed=pl.when(gateway).then("both_timed").otherwise(pl.col("timed").fill_null(0)),
        p50_ms=pl.when(gateway).then(pl.col("way_ms").fill_nan(None)).otherwise("p50_ms"),
        p95_ms=pl.when(~gateway).then("p95_ms"),
        error_share=pl.col("errors") / pl.col("requests"),
    ).drop("both_timed", "edge", "nth")


def with_lost(figures: pl.DataFrame, failed: pl.DataFrame) -> pl.DataFrame:
    """
    Add, to what gateways are told to have taken, calls that they would have; less others' errors.

    A proxy whose health checks do not come through a gateway sends no call there any
    more: no row of the rollup names it. Of calls that are blamed on it, it is the gateway.
    Of calls that no server's proxy saw, those that somebody else is blamed for (a limit of
    the client's, a server's certificate) are no errors of the gateway they went to.

    Parameters
    ----------
    figures
        One row an entity, of one minute: `figures`.
    failed
        Rows of `views.failed.failed_sql`.
    """
    errors = failed.filter("error")
    if not errors.height:
        return figures
    lost = (
        errors.filter(pl.col("gateway").is_null(), pl.col("blame") == "network")
        .group_by(pl.col("blamed_entity").alias("entity"))
        .agg(pl.len().cast(pl.Int64).alias("lost"))
        .drop_nulls("entity")
    )
    own = (
        errors.filter(~pl.col("server_seen"))
        .group_by(pl.col("gateway").alias("entity"))
        .agg(own=pl.col("blame").is_in(["network", "unknown"]).mean())
        .drop_nulls("entity")
    )
    told = lost.join(own, on="entity", how="full", coalesce=True).with_columns(
        pl.col("lost").fill_null(0), pl.col("own").fill_null(1.0), entity_kind=pl.lit("gateway")
    )
    counts = ("requests", "errors", "denied", "timed")
    return (
        figures.join(told, on=ENTITY, how="full", coalesce=True)
        .with_columns(pl.col(counts).fill_null(0), pl.col("lost").fill_null(0))
        .with_columns(
            requests=pl.col("requests") + pl.col("lost"),
            errors=(pl.col("errors") * pl.col("own").fill_null(1.0)).round().cast(pl.Int64)
            + pl.col("lost"),
        )
        .with_columns(error_share=pl.col("errors") / pl.col("requests"))
        .drop("lost", "own")
    )


def _quantiles(histograms: pl.DataFrame, of_edges: pl.DataFrame) -> pl.DataFrame:
    """
    ``timed, p50_ms, p95_ms`` of merged histograms, as `histogram_quantile` tells them.

    Parameters
    ----------
    histograms
        One row an ``edge``, and its histogram.
    of_edges
        Each ``edge`` of each ``nth`` entity: one row an entity is returned, if it has any.
    """
    _, durations = histograms.columns
    merged = (
        histograms.lazy()
        .explode(durations)
        .unnest(durations)
        .drop_nulls("bucket")
        .join(of_edges.lazy(), on="edge")
        .group_by("nth", "bucket")
        .agg(pl.col("calls").sum().cast(pl.Int64))
        .sort("bucket")
        .with_columns(
            until=pl.col("calls").cum_sum().over("nth"),
            timed=pl.col("calls").sum().over("nth"),
            ms=pl.when(pl.col("bucket") > ZERO_BUCKET)
            .then(2 / (GROWTH + 1) * pl.lit(GROWTH).pow(pl.col("bucket").cast(pl.Float64)))
            .otherwise(0.0),
        )
    )

    def quantile(share: float) -> pl.Expr:
        rank = (pl.col("timed") - 1) * share
        low, high = (
            pl.when(pl.col("until") > end, pl.col("until") - pl.col("calls") <= end)
            .then("ms")
            .max()
            for end in (rank.floor().cast(pl.Int64), rank.ceil().cast(pl.Int64))
        )
        return low + (high - low) * (rank - rank.floor()).first()

    quantiles = merged.group_by("nth").agg(
        pl.col("timed").first(),
        quantile(0.5).alias("p50_ms"),
        quantile(0.95).alias("p95_ms"),
    )
    return quantiles.collect()
