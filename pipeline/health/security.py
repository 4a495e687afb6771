"""
How safely each pair of workloads talked in a minute, of its stitched conversations.

Before: stage.py. After: schema/health.py (the rows), views/security.py.
"""

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline import schema
from pipeline.lake import Lake
from pipeline.memory import FACTS, asked, memory
from pipeline.schema.health import SECURITY_1M
from pipeline.stitch.keys import hashed
from pipeline.stitch.stage import stitched
from pipeline.views.security import security_sql

if TYPE_CHECKING:  # which lists the stage
    from pipeline.windows import Window

_EDGES, _LEGS = "conversations_of_minute", "legs_of_minute"
_PAIR: Final = ("client_entity", "server_entity")
_ENDS: Final = (
    *("client_endpoint_id", "client_cluster", "server_endpoint_id", "server_cluster"),
    *("service", "path_model", "error"),
)
_HOP: Final = ("hop", "role", "vantage_id", "downstream_peer_identity", "upstream_peer_identity")
_TLS: Final = ("downstream_tls", "upstream_tls")
"""What is read of edges, and of legs; of TLS only whether it is told."""
_NONE: Final = pl.lit([], pl.List(pl.String))


def security(
    lake: Lake, window: "Window", edges: pl.DataFrame, failed: pl.DataFrame
) -> pl.DataFrame:
    """
    Rows of ``security_1m`` of a minute.

    Parameters
    ----------
    edges
        The rollup's rows of the minute: how gateways are called.
    failed
        Rows of `views.failed.failed_sql`: what was denied.
    """
    conversations, legs = _alike(
        stitched(lake, window, schema.EDGES, ("edge_id", *_ENDS)),
        stitched(lake, window, schema.LEGS, ("edge_id", *_HOP, *_TLS)),
    )
    if not conversations.height:
        return SECURITY_1M.schema.to_frame()
    told = _told(lake, window, conversations, legs)
    named = (
        edges.drop_nulls("gateway")
        .group_by(_PAIR)
        .agg(pl.col("gateway").unique().sort().str.join(", "))
    )
    denied = (
        failed.filter("denied")
        .group_by(_PAIR)
        .agg(
            pl.len().cast(pl.UInt64).alias("denied"),
            pl.col("policy").drop_nulls().unique().sort().alias("denied_by"),
        )
    )
    exporters = pl.col("exporters").list.join(", ")
    by_gateway = pl.col("path_model") == "gateway"
    rows = (
        told.join(named, on=_PAIR, how="left")
        .join(denied, on=_PAIR, how="left")
        .with_columns(
            gateway=pl.when(by_gateway).then(
                pl.coalesce("gateway", pl.when(exporters != "").then(exporters))
            ),
            denied=pl.col("denied").fill_null(0),
            denied_by=pl.col("denied_by").fill_null(_NONE),
        )
        .sort(*_PAIR, "path_model")
    )
    return schema.complete(rows, SECURITY_1M.schema)


def _told(
    lake: Lake, window: "Window", conversations: pl.DataFrame, legs: pl.DataFrame
) -> pl.DataFrame:
    """What conversations tell of each pair of workloads, and policies that let it in."""
    kept = memory(lake)
    with kept.cursor() as cursor:
        verdicts = not kept.is_empty(cursor, schema.VERDICTS.name)
    query = security_sql(window.start, window.end, _EDGES, _LEGS, FACTS, verdicts=verdicts)
    return asked(lake, query, {_EDGES: conversations, _LEGS: legs})


def _alike(edges: pl.DataFrame, legs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """
    One of all conversations that differ in nothing that is asked of them, and its legs.

    They are told apart by two hashes of 64 bits, of the edge and of its legs.

    Parameters
    ----------
    edges, legs
        Rows of a minute: n of them, which ends, hops and identities make far fewer of.

    Returns
    -------
    DataFrame, DataFrame
        Edges, with ``alike``: how many are as this one; and their legs.
    """
    tls = [pl.col(name).is_not_null() for name in _TLS]
    # the order of legs tells nothing: each has its hop
    ways = legs.lazy().group_by("edge_id").agg(way=hashed(*_HOP, *tls).sum())
    alike = (
        edges.lazy()
        .select("edge_id", ends=hashed(*_ENDS))
        .join(ways, on="edge_id")
        .group_by("ends", "way")
        .agg(pl.col("edge_id").min(), alike=pl.len())
        .select("edge_id", "alike")
        .collect(engine="streaming")
    )
    return edges.join(alike, on="edge_id"), legs.join(alike, on="edge_id", how="semi")
