"""
A made-up mesh whose truth is known: what its proxies would log, with all that goes wrong.

Six clusters: four with the same addresses, each behind a gateway; two in one
flat network. Calls go over pooled connections, with ids or without, some of them
retried, some with the id of another service's call or of the one before. Senders
are hidden: behind nodes that keep a port where they can, behind a NAT that
exports what it did, behind one that does not. Clocks are up to 2 s apart, rows
are lost and told twice, some clients have no proxy, gateways are health-checked.
Clients and gateways use a port again soon, and of such connections a gateway loses
every fifth record.

Before: stitch_records.py. After: stitch.py.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from bench.stitch_calls import happened
from bench.stitch_records import declared, endpoints, flows, recorded
from pipeline import schema
from pipeline.stitch.records import NEEDED

_COPY: Final = 10_000_000
"""What is added to vantage and number of a row that is told twice."""


@dataclass(frozen=True)
class World:
    """
    What `stitch` is given, and the truth.

    Attributes
    ----------
    truth
        ``record`` (each row's own number, which its leg has as ``downstream_tls``), ``role``,
        ``call``, ``connection``, ``network``, ``target`` (of the call), ``has_id``, ``kind``
        (local, flat, or how its sender was hidden), ``is_again`` (of a gateway: the port was used
        before, or is later), ``is_fixed`` (whether its id is always the same).
    """

    requests: pl.DataFrame
    gateways: pl.DataFrame
    flows: pl.DataFrame
    endpoints: pl.DataFrame
    truth: pl.DataFrame


def make(seed: int, connections: int, workloads: int, *, seconds: int = 60) -> World:
    """
    A world.

    Parameters
    ----------
    connections
        How many, of one to eight calls each; a fifth of them TCP.
    workloads
        In each cluster.
    """
    random = np.random.default_rng(seed)
    conn, calls = happened(random, connections, workloads, seconds=seconds)
    rows = recorded(random, conn, calls).with_row_index("record", offset=1)
    lost = pl.when((pl.col("role") == "gateway") & pl.col("is_again")).then(0.2).otherwise(0.01)
    kept = rows.filter(pl.Series(random.random(rows.height)) > lost)
    twice = kept.filter(pl.Series(random.random(kept.height) < 0.02))
    twice = twice.with_columns(pl.col("vantage_id", "record") + _COPY)
    told = pl.concat([kept, twice]).sample(fraction=1, shuffle=True, seed=seed)
    told = told.with_columns(downstream_tls=pl.format("{}", "record"))
    types = {name: schema.REQUESTS.schema[name] for name in NEEDED}
    full = schema.complete(
        told, pl.Schema({**types, "network": pl.String(), "cluster": pl.String()})
    )
    truth = told.select(
        *("record", "role", "call", "connection", "network", "has_id", "kind", "target"),
        *("is_fixed", "is_again"),
    )
    return World(full, declared(), flows(conn), endpoints(workloads), truth)


def numbered(legs: pl.DataFrame) -> pl.DataFrame:
    """With ``record``, which record each leg is."""
    return legs.with_columns(record=pl.col("downstream_tls").cast(pl.UInt32))


def judged(world: World, legs: pl.DataFrame) -> pl.DataFrame:
    """
    Each leg that was joined to a client's call, held against the truth.

    Returns
    -------
    DataFrame
        ``edge_id``, ``role``, ``match_method``, ``kind``, ``has_id``, ``is_again``, ``right``, and
        networks: ``network`` (where this leg was seen), ``goes_to`` (where the client's call went).
    """
    known = numbered(legs).select("edge_id", "record", "match_method")
    known = known.join(world.truth, on="record")
    clients = known.filter(role="client").select(
        "edge_id",
        client_call="call",
        client_connection="connection",
        goes_to="target",
        client_kind="kind",
        client_has_id="has_id",
    )
    joined = known.filter(pl.col("role") != "client").join(clients, on="edge_id")
    same = pl.when(pl.col("role") == "server").then(pl.col("call") == pl.col("client_call"))
    return joined.with_columns(
        right=same.otherwise(pl.col("connection") == pl.col("client_connection"))
    )
