"""
Octets on the wire of a span, by pair of nodes and path.

What two exporters saw of one pair of addresses is not added: the one that saw
most of it counts. Which that is, is decided by pair of addresses, before there
are nodes: exporters of different machines see different pods of one workload.
Only between pods (or VMs) of two clusters is a path flat: what two machines
exchange may be anything's, translated.

Before: span.py. After: graph.py.
"""

from typing import Final

import duckdb
import polars as pl

from pipeline.views.levels import LEVELS, endpoints
from pipeline.topology.span import Span

_PAIR: Final = ", ".join(
    f"{side}_{column}"
    for side in ("src", "dst")
    for column in ("endpoint_id", "prefix_id", "method", "ip_hi", "ip_lo")
)

_PROTOCOL: Final = """CASE protocol WHEN 1 THEN 'ICMP' WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP'
        WHEN 58 THEN 'ICMPv6' WHEN 132 THEN 'SCTP'
        ELSE coalesce('IP protocol ' || protocol, 'unknown') END"""

_SIZE: Final = "coalesce(bytes, 0)"  # some exporters tell packets alone

_SUMS: Final = """sum(flows)::BIGINT AS flows, sum(bytes) AS bytes, sum(packets) AS packets,
            min(first_time) AS first_time, max(last_time) AS last_time,
            list_distinct(flatten(list(clusters))) AS clusters"""


def legs(connection: duckdb.DuckDBPyConnection, name: str, span: Span, lake: str) -> pl.DataFrame:
    """
    Flows that began in a span.

    Parameters
    ----------
    name
        Level.
    lake
        Catalog and schema of the tables, quoted (`span.place`).

    Returns
    -------
    DataFrame
        One row a source, target, path model and gateway, one direction, with the
        columns of `graph.EDGES` that flows give.
    """
    hops = f"(passed IS NOT NULL AND {name == 'gateway'})"
    return connection.execute(
        f"""WITH v_endpoints AS ({endpoints(LEVELS[name], lake)}),
        seen AS (
            SELECT vantage_id, {_PAIR}, protocol, count(*) AS flows,
                sum(bytes * sampling_factor) AS bytes, sum(packets * sampling_factor) AS packets,
                min(start_time) AS first_time, max(end_time) AS last_time
            FROM {lake}.flows WHERE {span.holds()} GROUP BY ALL
        ), once AS (
            SELECT network, {_PAIR}, protocol, arg_max(flows, {_SIZE}) AS flows, max(bytes) AS bytes,
                arg_max(packets, {_SIZE}) AS packets, min(first_time) AS first_time,
                max(last_time) AS last_time
            FROM seen LEFT JOIN vantages USING (vantage_id) GROUP BY ALL
        ), named AS (
            SELECT once.*, {_PROTOCOL} AS protocol_name,
                {_node("src")} AS source, {_node("dst")} AS target,
                [src.cluster, dst.cluster] AS clusters, coalesce(dst.gateway, src.gateway) AS passed,
                CASE WHEN 'external' IN (src_method, dst_method, src.kind, dst.kind) THEN 'external'
                    WHEN src.cluster = dst.cluster AND NOT {hops} THEN 'local'
                    WHEN passed IS NOT NULL THEN 'gateway'
                    WHEN src.cluster = dst.cluster THEN 'local'
                    WHEN src.cluster <> dst.cluster AND src.kind IN ('pod', 'vm')
                        AND dst.kind IN ('pod', 'vm')
                        THEN 'flat' END AS path_model
            FROM once {_joins("src")} {_joins("dst")}
        ), by_protocol AS (
            SELECT source, target, path_model, CASE WHEN path_model = 'gateway' THEN passed END AS gateway,
                protocol_name, {_SUMS} FROM named GROUP BY ALL
        )
        SELECT source, target, path_model, gateway, {_SUMS},
            map_from_entries(list((protocol_name, flows::UBIGINT))) AS flow_protocols
        FROM by_protocol GROUP BY source, target, path_model, gateway"""
    ).pl()


def _node(side: str) -> str:
    """A flow's end as a node: an endpoint, a range outside, or unknown in its network."""
    return f"""coalesce({side}.entity, CASE WHEN {side}_method = 'external' THEN {side}_range.name END,
                'unknown in ' || coalesce({side}_range.network, once.network), 'unknown')"""


def _joins(side: str) -> str:
    return f"""
                LEFT JOIN v_endpoints {side} ON {side}.endpoint_id = {side}_endpoint_id
                LEFT JOIN prefixes {side}_range ON {side}_range.prefix_id = {side}_prefix_id"""
