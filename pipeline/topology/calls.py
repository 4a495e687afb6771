"""
Logical calls of a span, by pair of nodes and path.

A call is one row however many proxies logged it (`views.topology.paired_sql`).
At the level of gateways a call through one is two hops (`views.graph.calls_named`).

Before: covered.py. After: graph.py.
"""

from typing import Final

import duckdb
import polars as pl

from pipeline.views.graph import calls_named
from pipeline.views.rollups import each_bucket_once

_KEY: Final = "source, target, path AS path_model, gateway"
_COUNTS: Final = ", ".join(
    f"sum({name})::BIGINT AS {name}" for name in ("requests", "errors", "client_errors", "denied")
)


def calls(connection: duckdb.DuckDBPyConnection, level: str, rows: str) -> pl.DataFrame:
    """
    Calls that began in a span.

    Parameters
    ----------
    rows
        SQL of rows that tell of it: `covered.Covered.edges`.

    Returns
    -------
    DataFrame
        One row a source, target, path model and gateway, with the columns of
        `graph.EDGES` that calls give.
    """
    summed = f"""SELECT {_KEY}, {_COUNTS},
            sum(bytes_received)::UBIGINT AS bytes_received, sum(bytes_sent)::UBIGINT AS bytes_sent,
            sum(tls_requests) FILTER (hop < 2) / sum(requests) FILTER (hop < 2) AS tls_share,
            list_distinct(flatten(list(DISTINCT clusters))) AS clusters,
            min(first_time) AS first_time, max(last_time) AS last_time,
            flatten(list(durations)) AS durations
        FROM hops GROUP BY ALL"""
    return connection.execute(
        f"""WITH hops AS MATERIALIZED (
            SELECT *, coalesce(protocol, 'unknown') AS protocol_name,
                CASE hop WHEN 0 THEN [client_cluster, server_cluster] WHEN 1 THEN [client_cluster]
                    ELSE [server_cluster] END AS clusters
            FROM ({calls_named(rows, f"'{level}'", nodes=level == "node")})
        ), by_protocol AS (
            SELECT {_KEY}, protocol_name, sum(requests)::UBIGINT AS calls FROM hops GROUP BY ALL
        ), spoken AS (
            SELECT source, target, path_model, gateway,
                map_from_entries(list((protocol_name, calls) ORDER BY protocol_name)) AS protocols
            FROM by_protocol GROUP BY ALL
        )
        SELECT told.* EXCLUDE (durations), protocols,
            histogram_quantile(durations, 0.5) AS p50_ms, histogram_quantile(durations, 0.95) AS p95_ms
        FROM ({each_bucket_once(summed, ["durations"])}) told JOIN spoken
            ON (told.source, told.target) = (spoken.source, spoken.target)
            AND told.path_model IS NOT DISTINCT FROM spoken.path_model
            AND told.gateway IS NOT DISTINCT FROM spoken.gateway"""
    ).pl()
