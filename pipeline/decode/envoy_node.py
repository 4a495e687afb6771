"""
What a proxy that logs by gRPC tells of itself, beside what its agent declares of it.

    sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local    Istio's node id: a sidecar
    router~...                                            a gateway
    waypoint~...                                          a waypoint

Before: als, otlp. After: requests.py.
Source: Istio, pkg/model/context.go (node types).
"""

from collections.abc import Container
from typing import Final

import polars as pl

from pipeline import schema

_MODELS: Final = {"sidecar": "sidecar", "router": "gateway", "waypoint": "waypoint"}
_DIRECTION: Final = "(?i)(?:^|[^a-z])(inbound|outbound)(?:$|[^a-z])"


def read_node() -> dict[str, pl.Expr]:
    """``told_model`` and ``told_direction`` of proxies, out of ``node_id`` and ``log_name``."""
    kind = pl.col("node_id").str.extract("^([a-z]+)~")
    return {
        "told_model": kind.replace_strict(_MODELS, default=None, return_dtype=schema.PROXY_MODEL),
        "told_direction": pl.col("log_name").str.extract(_DIRECTION).str.to_lowercase(),
    }


def told_by_node(given: Container[str]) -> dict[str, pl.Expr]:
    """
    ``mesh``, ``proxy_model`` and ``direction``, of what is declared and what `read_node` read.

    Parameters
    ----------
    given
        Columns there are; a mesh or direction told by the record itself counts first.
    """
    direction = [pl.col("direction")] if "direction" in given else []
    mesh = [pl.col("mesh")] if "mesh" in given else []
    return {
        "mesh": pl.coalesce("declared_mesh", *mesh),
        "proxy_model": pl.coalesce("declared_model", "told_model"),
        "direction": pl.coalesce(*direction, "told_direction"),
    }
