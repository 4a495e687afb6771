"""
Control planes, as they are now: who serves whose proxies, and which clusters each reads.

Before: graph.py. After: export.py.
"""

from typing import Final

import duckdb
import polars as pl

from pipeline.topology.graph import Graph

LINKS: Final = {
    "control_plane": "who serves or reads; ``unnamed, of <cluster>`` where only proxies tell",
    "cluster": "cluster of the proxies it serves, or whose endpoints it reads",
    "link": "serves: its proxies follow it; discovers: it reads the cluster's endpoints",
    "state": "serves: degraded if a proxy is behind, refused or lost it; discovers: as the control plane says; null if not told",
    "proxies": "proxies it serves there",
    "proxies_behind": "of those, not connected, stale, or refusing",
    "services": "services of which it knows an endpoint there",
    "endpoints": "endpoints it knows there",
    "endpoints_healthy": "of those, healthy",
    "last_seen_time": "when that was told last",
}
"""Columns of `links`."""


def links(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """
    Edges from control planes to clusters, from `v_control_plane`.

    Returns
    -------
    DataFrame
        Columns `LINKS`; one row a control plane, cluster and kind of link.
    """
    return connection.execute(
        f"""WITH told AS (
            SELECT *, coalesce(control_plane, 'unnamed, of ' || observer_cluster) AS plane,
                coalesce(NOT connected, false) OR coalesce(state IN ('stale', 'rejected'), false) AS is_behind
            FROM v_control_plane
        )
        SELECT {", ".join(LINKS)} FROM (
            SELECT plane AS control_plane, coalesce(proxy_cluster, observer_cluster) AS cluster,
                'serves' AS link, CASE WHEN bool_or(is_behind) THEN 'degraded' ELSE 'healthy' END AS state,
                count(DISTINCT proxy) AS proxies, count(DISTINCT proxy) FILTER (is_behind) AS proxies_behind,
                max(last_seen_time) AS last_seen_time
            FROM told WHERE subject = 'proxy' GROUP BY ALL
            UNION ALL BY NAME
            SELECT plane AS control_plane, remote_cluster AS cluster, 'discovers' AS link,
                max(cluster_state) AS state, max(services) AS services, max(endpoints) AS endpoints,
                max(endpoints_healthy) AS endpoints_healthy, max(last_seen_time) AS last_seen_time
            FROM told WHERE subject = 'cluster' GROUP BY ALL
        ) ORDER BY control_plane, cluster, link"""
    ).pl()


def add(graph: Graph, found: pl.DataFrame) -> Graph:
    """
    A graph of clusters, with control planes as nodes and what they do as edges.

    Their names begin with ``control_plane:``; the path model of their edges is the
    kind of link, and their state healthy or degraded where it is told.
    """
    state = pl.col("state").replace_strict(
        {"healthy": "healthy", "synced": "healthy"},
        default=pl.lit("degraded"),
        return_dtype=pl.String,
    )
    edges = found.filter(pl.col("cluster").is_not_null()).select(
        source="control_plane:" + pl.col("control_plane"),
        target="cluster",
        path_model="link",
        state=pl.when(pl.col("state").is_not_null()).then(state),
        last_time="last_seen_time",
    )
    missing = (
        edges["target"]
        .unique()
        .filter(~edges["target"].unique().is_in(graph.nodes["entity"].implode()))
    )
    nodes = [
        edges.select(entity="source", kind=pl.lit("control_plane")).unique(),
        pl.DataFrame({"entity": missing}, schema={"entity": pl.String}).with_columns(
            kind=pl.lit("cluster"), cluster="entity"
        ),
    ]
    return graph._replace(
        nodes=pl.concat([graph.nodes, *nodes], how="diagonal").sort("entity"),
        edges=pl.concat([graph.edges, edges], how="diagonal_relaxed"),
        control_planes=found,
    )
