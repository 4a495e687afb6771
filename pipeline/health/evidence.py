"""
Queries for the rows behind a state: calls of an entity, or what went over the wire.

Before: judge.py, losses.py. After: stage.py.
"""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from pipeline.schema.literals import within

BEFORE: Final = timedelta(minutes=15)
"""How far back evidence goes."""


def _link(one: str, other: str) -> str:
    return (
        f"concat_ws(' -> ', concat_ws('/', {one}_provider, {one}_region),"
        f" concat_ws('/', {other}_provider, {other}_region))"
    )


_CALLS: Final = {
    "service": "server_entity = '{}'",
    "workload": "client_entity = '{}'",
    "edge": "concat_ws(' -> ', coalesce(client_entity, 'unknown'), server_entity) = '{}'",
    "gateway": "gateway = '{}'",
    "cluster": "server_cluster = '{}'",
    "cloud_link": f"{_link('client', 'server')} = '{{}}'",
}
_LEGS: Final = {
    "service": "'{}' IN (src_entity, dst_entity)",
    "workload": "'{}' IN (src_entity, dst_entity)",
    "edge": "'{}' IN (src_entity || ' -> ' || dst_entity, dst_entity || ' -> ' || src_entity)",
    "gateway": "'{}' IN (src_gateway, dst_gateway)",
    "cluster": "'{}' IN (src_cluster, dst_cluster)",
    "cloud_link": f"'{{}}' IN ({_link('src', 'dst')}, {_link('dst', 'src')})",
}
"""Kind of entity to which rows of ``v_edges_1m`` and ``legs_1m`` are its own."""


def evidence_sql(until: datetime) -> pl.Expr:
    """Of what is not healthy, a query of the minutes before: of packets where no calls fail."""
    since = until - BEFORE
    times = f"{within('bucket_start', since, until)} ORDER BY bucket_start"
    by_packets = pl.col("is_lossy") & (pl.col("errors") == 0)
    return pl.when(pl.col("state") != "healthy").then(
        pl.when(by_packets)
        .then(_of_kind("legs_1m", _LEGS, times))
        .otherwise(_of_kind("v_edges_1m", _CALLS, times))
    )


def _of_kind(relation: str, where: dict[str, str], times: str) -> pl.Expr:
    quoted = pl.col("entity").str.replace_all("'", "''", literal=True)
    return pl.coalesce(
        pl.when(pl.col("entity_kind") == kind).then(
            pl.format(f"FROM {relation} WHERE {own} AND {times}", quoted)
        )
        for kind, own in where.items()
    )
