"""
Istio's names.

    outbound|PORT|SUBSET|HOST      the client's proxy; the service called
    inbound|PORT||                 the server's proxy; port only, service by SNI
    inbound|PORT|NAME|HOST         the same before 1.7
    outbound_.PORT_.SUBSET_.HOST   an east-west gateway; also what an SNI says
    inbound-vip|PORT|NAME|HOST     a waypoint; NAME is http, tcp, http/SUBSET...
    inbound-pod|PORT|NAME|HOST     a waypoint, called by the pod's address

Cut three times: a host may hold ``_.``. HOST is the same in every cluster, so
it does not say where the service is.

Before: names.py. After: __init__.py.
Source: istio/pilot/pkg/model/service.go, BuildSubsetKey and BuildDNSSrvSubsetKey.
"""

import polars as pl

from pipeline.decode.meshes.names import Names


def read(name: pl.Expr) -> Names:
    """Read names of clusters and SNI."""
    bar, dot = name.str.splitn("|", 4), name.str.splitn("_.", 4)
    outbound, passed = name.str.starts_with("outbound|"), name.str.starts_with("outbound_.")
    inbound = name.str.starts_with("inbound|")
    waypoint = name.str.starts_with("inbound-vip|") | name.str.starts_with("inbound-pod|")
    left = outbound | name.is_in(["PassthroughCluster", "BlackHoleCluster"])
    arrived = inbound | name.str.starts_with("InboundPassthroughCluster")
    _, port, subset, host = (
        pl.when(outbound | inbound | waypoint)
        .then(bar.struct[part])
        .when(passed)
        .then(dot.struct[part])
        for part in range(4)
    )
    return Names(
        known=left | passed | arrived | waypoint,
        service=host,
        port=pl.when((host != "") | inbound).then(port),
        subset=pl.when(host != "").then(
            pl.when(waypoint).then(subset.str.splitn("/", 2).struct[1]).when(~inbound).then(subset)
        ),
        reporter=pl.when(left)
        .then(pl.lit("source"))
        .when(arrived)
        .then(pl.lit("destination"))
        .when(passed)
        .then(pl.lit("gateway"))
        .when(waypoint)
        .then(pl.lit("waypoint")),
    )
