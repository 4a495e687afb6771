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
from pipeline.views.security import security_sql

if TYPE_CHECKING:  # which lists the stage
    from pipeline.windows import Window

_EDGES, _LEGS = "conversations_of_minute", "legs_of_minute"
_PAIR: Final = ("client_entity", "server_entity")
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
    told = _conversations(lake, window)
    if not told.height:
        return SECURITY_1M.schema.to_frame()
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


def _conversations(lake: Lake, window: "Window") -> pl.DataFrame:
    """Of the stage that stitched them, which are not in the lake yet; or of the lake."""
    minute = f"WHERE window_start = TIMESTAMPTZ '{window.start.isoformat()}'"
    made: dict[str, pl.DataFrame] = {}

    def rows(table: str, name: str) -> str:
        if (frame := window.made.get(table)) is None:
            return f"(FROM {FACTS}{table} {minute})"
        made[name] = frame
        return f"(FROM {name} {minute})"

    edges, legs = rows(schema.EDGES.name, _EDGES), rows(schema.LEGS.name, _LEGS)
    kept = memory(lake)
    with kept.cursor() as cursor:
        verdicts = not kept.is_empty(cursor, schema.VERDICTS.name)
    query = security_sql(window.start, window.end, edges, legs, FACTS, verdicts=verdicts)
    return asked(lake, query, made)
