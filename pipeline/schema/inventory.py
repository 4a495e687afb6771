"""
How the inventory is known: changes, objects, sources, and what they corrected.

Before: entities.py. After: job.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import I64, TEXT, TIME, U64, Column, Table

CHANGES: Final = pl.Schema(
    {
        "vantage": pl.Int32(),  # index into Decoded.vantages
        "payload": pl.Int32(),  # index into `Payloads`
        "received_ns": pl.Int64(),
        "kind": pl.String(),  # of the source: kubernetes, aws...
        "cluster": pl.String(),  # of its agent
        "network": pl.String(),
        "op": pl.String(),
        "scope": pl.String(),
        "resource": pl.String(),
        "uid": pl.String(),
        "version": pl.Int64(),
        "count": pl.Int64(),
        "time_ns": pl.Int64(),  # 0 where the source gave none
        "object": pl.Binary(),
    }
)
"""`collectors.change.Change`s of a batch, in log order."""

OBJECTS: Final = Table(
    "objects",
    "Every object of every source, as it was told last.",
    (
        Column("object_id", U64, "hash of kind, cluster, scope, resource and uid"),
        Column("kind", TEXT, "source: kubernetes, aws, gcp, azure, netbox"),
        Column("cluster", TEXT, "cluster of the agent that asks the source"),
        Column("network", TEXT, "network of that agent"),
        Column("scope", TEXT, "account and region, or what else the source lists by itself"),
        Column("resource", TEXT, "pods, ec2.subnets..."),
        Column("uid", TEXT, "identity of the object in its source"),
        Column("version", I64, "the source's version of it"),
        Column("changed_time", TIME, "when that version began"),
        Column("gone_time", TIME, "when it was gone; null: it is there"),
        Column("object", pl.Binary(), "what is kept of it, JSON"),
    ),
)

INVENTORY_SOURCES: Final = Table(
    "inventory_sources",
    "Who tells the inventory, and when it was last heard.",
    (
        Column("source_id", U64, "hash of kind, cluster, scope and resource"),
        Column("kind", TEXT, "kubernetes, aws, gcp, azure, netbox"),
        Column("cluster", TEXT, "cluster of the agent that asks"),
        Column("scope", TEXT, "part of the source"),
        Column("resource", TEXT, "what was listed"),
        Column("listed_time", TIME, "end of the last whole list; null: none yet"),
        Column("heard_time", TIME, "last time it said anything, be it that nothing changed"),
        Column("objects", I64, "objects that are there now"),
    ),
)

CORRECTIONS: Final = Table(
    "corrections",
    "Rows that were written before their inventory came, and were named again when it did.",
    (
        Column("corrected_time", TIME, "when"),
        Column("table_name", TEXT, "flows, requests, verdicts..."),
        Column("side", TEXT, "src, dst, peer..."),
        Column("from_resolution", TEXT, "what it was"),
        Column("to_resolution", TEXT, "what it is now"),
        Column("rows", I64, "how many rows"),
        Column("oldest_time", TIME, "start of the oldest of them"),
    ),
)
