"""
Octets on the wire of a span, by pair of nodes and path.

What two exporters saw of one pair of addresses is not added: the one that saw
most of it counts (`views.wire`). Only between pods (or VMs) of two clusters is a
path flat: what two machines exchange may be anything's, translated.

Before: covered.py. After: graph.py.
"""

from typing import Final

import duckdb
import polars as pl

from pipeline.views.graph import legs_named

_SUMS: Final = """sum(flows)::BIGINT AS flows, sum(bytes)::DOUBLE AS bytes, sum(packets)::DOUBLE AS packets,
            min(first_time) AS first_time, max(last_time) AS last_time,
            list_distinct(flatten(list(clusters))) AS clusters"""
_LOSSES: Final = (
    *("retransmitted_packets", "retransmits_told_packets", "dropped_packets", "drops_told_packets"),
    *("rtt_us", "rtt_timed"),
)
_SUMS_OF_LOSSES: Final = ", ".join(f"sum({name}) AS {name}" for name in _LOSSES)


def legs(connection: duckdb.DuckDBPyConnection, level: str, rows: str) -> pl.DataFrame:
    """
    Flows that began in a span.

    Parameters
    ----------
    rows
        SQL of rows that tell of it: `covered.Covered.legs`.

    Returns
    -------
    DataFrame
        One row a source, target, path model and gateway, one direction, with the
        columns of `graph.EDGES` that flows give.
    """
    return connection.execute(
        f"""WITH by_protocol AS (
            SELECT source, target, path AS path_model, gateway, protocol, {_SUMS}, {_SUMS_OF_LOSSES}
            FROM (SELECT *, [src_cluster, dst_cluster] AS clusters
                FROM ({legs_named(rows, f"'{level}'", nodes=level == "node")}))
            GROUP BY ALL
        )
        SELECT source, target, path_model, gateway, {_SUMS},
            sum(retransmitted_packets) / nullif(sum(retransmits_told_packets), 0) AS retransmit_share,
            sum(dropped_packets) / nullif(sum(drops_told_packets), 0) AS drop_share,
            sum(rtt_us) / nullif(sum(rtt_timed), 0) / 1e3 AS rtt_ms,
            map_from_entries(list((protocol, flows::UBIGINT))) AS flow_protocols
        FROM by_protocol GROUP BY source, target, path_model, gateway"""
    ).pl()
