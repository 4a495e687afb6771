"""
Logical calls of a span, by pair of nodes and path.

A call is one row however many proxies logged it (`views.topology.calls_sql`).
At the level of gateways a call through one is two hops: client to gateway, as
the client's proxy saw it, and gateway to server, as the server's proxy saw it;
a failed call that no server's proxy logged is not known to have gone on.

Before: span.py. After: graph.py.
"""

from typing import Final

import duckdb
import polars as pl

from pipeline.views.levels import LEVELS, Level, endpoints
from pipeline.topology.span import Span
from pipeline.views.topology import calls_sql

_HOPS: Final = """
    SELECT * FROM named WHERE gateway IS NULL
    UNION ALL
    SELECT * REPLACE ('gateway:' || gateway AS target, [client_cluster] AS clusters)
    FROM named WHERE gateway IS NOT NULL
    UNION ALL
    SELECT * REPLACE ('gateway:' || gateway AS source, [server_cluster] AS clusters,
        server_duration_ms AS duration_ms, NULL AS told_tls)
    FROM named WHERE gateway IS NOT NULL AND NOT (error AND server_duration_ms IS NULL)"""


def calls(connection: duckdb.DuckDBPyConnection, name: str, span: Span, lake: str) -> pl.DataFrame:
    """
    Calls that began in a span.

    Parameters
    ----------
    name
        Level.
    lake
        Catalog and schema of the tables, quoted (`span.place`).

    Returns
    -------
    DataFrame
        One row a source, target, path model and gateway, with the columns of
        `graph.EDGES` that calls give.
    """
    level = LEVELS[name]
    hops = _HOPS if name == "gateway" else "SELECT * FROM named"
    return connection.execute(
        f"""WITH spanned AS (SELECT * FROM {lake}.requests WHERE {span.around()}),
        v_endpoints AS ({endpoints(level, lake)}),
        placed AS (SELECT entity, min(node_kind) AS kind FROM v_endpoints GROUP BY entity),
        call AS (SELECT * FROM ({calls_sql("spanned")}) WHERE {span.holds()}),
        named AS ({_named(level)})
        SELECT source, target, path_model, gateway, count(*) AS requests,
            count(*) FILTER (error) AS errors,
            count(*) FILTER (status BETWEEN 400 AND 499) AS client_errors,
            count(*) FILTER (denied) AS denied,
            quantile_cont(duration_ms, 0.5) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms,
            sum(bytes_received)::UBIGINT AS bytes_received, sum(bytes_sent)::UBIGINT AS bytes_sent,
            count(*) FILTER (told_tls) / nullif(count(told_tls), 0) AS tls_share,
            histogram(protocol) AS protocols,
            list_distinct(flatten(list(DISTINCT clusters))) AS clusters,
            min(start_time) AS first_time, max(start_time) AS last_time
        FROM ({hops}) GROUP BY source, target, path_model, gateway"""
    ).pl()


def _named(level: Level) -> str:
    """Calls with ``source`` and ``target``, nodes of the level."""
    elsewhere = f"'{level.elsewhere}'" if level.elsewhere else "server_entity"
    of_client, of_server = (
        level.cluster.replace("at.", f"{end}_at.") for end in ("client", "server")
    )
    return f"""SELECT
            coalesce(client.entity, {of_client}, 'unknown in ' || client_network, 'unknown') AS source,
            coalesce({level.called}, server.entity, {of_server}, {elsewhere}, 'unknown') AS target,
            CASE WHEN server.kind = 'external' THEN 'external' ELSE path_model END AS path_model,
            gateway, error, denied, status, duration_ms, server_duration_ms, bytes_received,
            bytes_sent, tls IS NOT NULL AS told_tls, coalesce(call.protocol, 'unknown') AS protocol,
            client_cluster, server_cluster, [client_cluster, server_cluster] AS clusters, start_time
        FROM call
        LEFT JOIN placed client ON client.entity = client_entity
        LEFT JOIN placed server ON server.entity = server_entity
        LEFT JOIN clusters client_at ON client_at.cluster = client_cluster
        LEFT JOIN clusters server_at ON server_at.cluster = server_cluster"""
