"""
What proxies, NATs and the inventory tell of what happens in the made-up mesh.

Before: stitch_calls.py. After: stitch_world.py.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.stitch_calls import CLUSTERS, FLAT, SECOND_US
from pipeline import schema

_MAPPED: Final = 0xFFFF << 32
_GATE: Final = 99_998
"""Of a cluster's proxies, that of its gateway."""


def recorded(random: np.random.Generator, conn: pl.DataFrame, calls: pl.DataFrame) -> pl.DataFrame:
    """Records of all proxies that were there, with what is true of each."""
    skew = random.integers(-SECOND_US, SECOND_US, CLUSTERS)
    return pl.concat(
        [_clients(calls, skew), _servers(calls, skew), _gates(random, conn, calls, skew)],
        how="diagonal_relaxed",
    )


def declared() -> pl.DataFrame:
    """Each cluster's gateway, as every other network sees it."""
    rows = [
        (f"n{network}", 0, _MAPPED | 0xCB007100 + cluster, 15443, f"c{cluster}", f"n{target}")
        for cluster in range(CLUSTERS)
        for target in [min(cluster, FLAT)]
        for network in range(FLAT + 1)
        if network != target
    ]
    names = ["network", "gateway_ip_hi", "gateway_ip_lo", "port", "cluster", "to_network"]
    types = {name: schema.GATEWAYS.schema[name] for name in names}
    frame = pl.DataFrame(rows, types, orient="row")
    return schema.complete(frame, schema.GATEWAYS.schema)


def flows(conn: pl.DataFrame) -> pl.DataFrame:
    """What NATs that export tell: nineteen of twenty."""
    told = conn.filter("via", pl.col("nat") == "told", pl.col("connection") % 20 != 0)
    return told.select(
        network=pl.format("n{}", pl.col("client").clip(0, FLAT)),
        src_ip_hi=pl.lit(0, pl.UInt64),
        src_ip_lo=_pod("pod", "client"),
        src_port=pl.col("port").cast(pl.UInt16),
        dst_ip_hi=pl.lit(0, pl.UInt64),
        dst_ip_lo=_gate_public("server"),
        dst_port=pl.lit(15443, pl.UInt16),
        post_nat_src_ip_hi=pl.lit(0, pl.UInt64),
        post_nat_src_ip_lo=_sender("client"),
        post_nat_src_port=pl.col("seen_port").cast(pl.UInt16),
        start_time=pl.col("start").cast(schema.TIME),
        end_time=(pl.col("start") + 15 * SECOND_US).cast(schema.TIME),
    )


def endpoints(workloads: int) -> pl.DataFrame:
    """Every cluster's workloads and node."""
    pods = pl.DataFrame({"client": range(CLUSTERS)}).join(
        pl.DataFrame({"pod": range(workloads)}), how="cross"
    )
    nodes = pl.DataFrame({"client": range(CLUSTERS)}).select(
        endpoint_id=_node("client"),
        kind=pl.lit("node"),
        cluster=pl.format("c{}", "client"),
        identity=pl.lit(None, pl.String),
    )
    named = pods.select(
        endpoint_id=_endpoint("client", "pod"),
        kind=pl.lit("pod"),
        cluster=pl.format("c{}", "client"),
        identity=_identity(),
    )
    return pl.concat([named, nodes])


def _address(expr: pl.Expr | int) -> pl.Expr:
    return (pl.lit(_MAPPED) + expr).cast(pl.UInt64)


def _inside(cluster: str, host: pl.Expr | int) -> pl.Expr:
    """10.0.0.0/16 everywhere; in the flat network 10.4.0.0/16 and 10.5.0.0/16."""
    flat = pl.when(pl.col(cluster) >= FLAT).then(pl.col(cluster)).otherwise(0)
    return _address(0x0A000000 + flat * 0x10000 + host)


def _pod(name: str, cluster: str) -> pl.Expr:
    return _inside(cluster, pl.col(name) + 10)


def _gate_public(cluster: str) -> pl.Expr:
    return _address(0xCB007100 + pl.col(cluster))


def _gate_private(cluster: str) -> pl.Expr:
    return _inside(cluster, 2)


def _sender(cluster: str) -> pl.Expr:
    return _address(0xC6120000 + pl.col(cluster))


def _names(cluster: str) -> dict[str, pl.Expr]:
    return {
        "cluster": pl.format("c{}", cluster),
        "network": pl.format("n{}", pl.col(cluster).clip(0, FLAT)),
        "target": pl.format("n{}", pl.col("server").clip(0, FLAT)),
    }


def _asked() -> dict[str, Any]:
    service = pl.format("s{}.shop.svc", "service")
    http = pl.when(~pl.col("is_tcp"))
    return {
        "service": service,
        "service_port": pl.lit(8080),
        "method": http.then(pl.lit("GET")),
        "authority": http.then(pl.format("{}:8080", service)),
        "path": http.then(pl.format("/{}", "path_no")),
        "status": http.then("answer"),
        "request_id": pl.when("has_id").then(pl.format("id-{}", "id")),
        "protocol": http.then(pl.lit("HTTP/1.1")).otherwise(pl.lit("TCP")),
    }


def _endpoint(cluster: str, pod: str) -> pl.Expr:
    return (pl.col(cluster) * 100_000 + pl.col(pod) + 1).cast(pl.UInt64)


def _node(cluster: str) -> pl.Expr:
    return (900_000_000 + pl.col(cluster)).cast(pl.UInt64)


def _identity() -> pl.Expr:
    return pl.format("spiffe://m/sa/{}", pl.col("pod") % 200)


def _time(expr: pl.Expr, cluster: str, skew: NDArray[np.int64]) -> pl.Expr:
    shift = pl.col(cluster).replace_strict(dict(enumerate(skew.tolist())), return_dtype=pl.Int64)
    return (expr + shift).cast(schema.TIME)


def _ms(us: pl.Expr) -> pl.Expr:
    return (us // 1_000).cast(pl.Float64)


def _clients(calls: pl.DataFrame, skew: NDArray[np.int64]) -> pl.DataFrame:
    return (
        calls.filter("observed")
        .with_columns(answer=200)
        .select(
            *("call", "connection", "has_id", "is_fixed", "kind"),
            vantage_id=_endpoint("client", "pod"),
            role=pl.lit("client"),
            reporter=pl.lit("source"),
            start_time=_time(pl.col("begun"), "client", skew),
            received_time=_time(pl.col("begun") + pl.col("took"), "client", skew),
            duration_ms=_ms(pl.col("took")),
            bytes_received="received",
            bytes_sent="sent",
            attempts="tries",
            **_names("client"),
            **_asked(),
            upstream_local_ip_hi=0,
            upstream_local_ip_lo=_pod("pod", "client"),
            upstream_local_port="port",
            upstream_remote_ip_hi=0,
            upstream_remote_ip_lo=pl.when("via")
            .then(_gate_public("server"))
            .otherwise(_pod("server_pod", "server")),
            upstream_remote_port=pl.when("via").then(15443).otherwise(8080),
            upstream_local_identity=_identity(),
            src_endpoint_id=_endpoint("client", "pod"),
            src_method=pl.lit("exact"),
            dst_method=pl.when("via").then(pl.lit("gateway")).otherwise(pl.lit("exact")),
            dst_endpoint_id=pl.when(~pl.col("via")).then(_endpoint("server", "server_pod")),
        )
    )


def _servers(calls: pl.DataFrame, skew: NDArray[np.int64]) -> pl.DataFrame:
    """A record of each attempt: the first took a tenth of the time."""
    first = calls.filter(pl.col("tries") == 2).with_columns(
        begun=pl.col("begun") + 500, took=pl.col("took") // 10, answer=503
    )
    late = (pl.col("took") * (1 - pl.col("inner")) * 0.5).cast(pl.Int64)
    last = calls.with_columns(
        begun=pl.col("begun") + late,
        took=(pl.col("took") * pl.col("inner")).cast(pl.Int64),
        answer=200,
    )
    return pl.concat([first, last]).select(
        *("call", "connection", "has_id", "is_fixed", "kind"),
        vantage_id=_endpoint("server", "server_pod"),
        role=pl.lit("server"),
        reporter=pl.lit("destination"),
        start_time=_time(pl.col("begun"), "server", skew),
        received_time=_time(pl.col("begun") + pl.col("took"), "server", skew),
        duration_ms=_ms(pl.col("took")),
        bytes_received="received",
        bytes_sent="sent",
        **_names("server"),
        **_asked(),
        downstream_remote_ip_hi=0,
        downstream_remote_ip_lo=pl.when("via")
        .then(_gate_private("server"))
        .otherwise(_pod("pod", "client")),
        downstream_remote_port=pl.when("via").then("gate_port").otherwise("port"),
        downstream_local_ip_hi=0,
        downstream_local_ip_lo=_pod("server_pod", "server"),
        downstream_local_port=8080,
        downstream_peer_identity=_identity(),
        src_method=pl.when("via").then(pl.lit("gateway")).otherwise(pl.lit("exact")),
        src_endpoint_id=pl.when(~pl.col("via")).then(_endpoint("client", "pod")),
        dst_endpoint_id=_endpoint("server", "server_pod"),
        dst_method=pl.lit("exact"),
    )


def _gates(
    random: np.random.Generator, conn: pl.DataFrame, calls: pl.DataFrame, skew: NDArray[np.int64]
) -> pl.DataFrame:
    """A record of each connection through a gateway, and of health checks nobody else tells of."""
    end = (pl.col("begun") + pl.col("took")).max()
    sums = calls.group_by("connection").agg(
        last=end, received=pl.col("received").sum(), sent=pl.col("sent").sum()
    )
    through = conn.filter("via").join(sums, on="connection", maintain_order="left")
    checks = through.filter(pl.Series(random.random(through.height) < 0.03)).with_columns(
        connection=pl.lit(-1, pl.Int64),
        seen_port=pl.col("other_port") + 1,
        gate_port=pl.col("gate_port") + 1,
        received=0,
        sent=0,
    )
    every = pl.concat([through, checks], how="vertical_relaxed").with_columns(gate=_GATE)
    return every.select(
        *("connection", "kind", "is_again"),
        vantage_id=_endpoint("server", "gate"),
        call=pl.lit(-1, pl.Int64),
        has_id=pl.lit(value=False),
        role=pl.lit("gateway"),
        reporter=pl.lit("gateway"),
        protocol=pl.lit("TCP"),
        start_time=_time(pl.col("start") + 300, "server", skew),
        received_time=_time(pl.col("last") + 1_000, "server", skew),
        duration_ms=_ms(pl.col("last") - pl.col("start") + 200_000),
        bytes_received=pl.col("received") + 2_000,
        bytes_sent=pl.col("sent") + 4_000,
        **_names("server"),
        service=pl.format("s{}.shop.svc", "service"),
        service_port=pl.lit(8080),
        downstream_remote_ip_hi=0,
        downstream_remote_ip_lo=_sender("client"),
        downstream_remote_port="seen_port",
        downstream_local_ip_hi=0,
        downstream_local_ip_lo=_gate_private("server"),
        downstream_local_port=15443,
        upstream_local_ip_hi=0,
        upstream_local_ip_lo=_gate_private("server"),
        upstream_local_port="gate_port",
        upstream_remote_ip_hi=0,
        upstream_remote_ip_lo=_pod("server_pod", "server"),
        upstream_remote_port=8080,
        src_endpoint_id=pl.when(pl.col("nat") == "node").then(_node("client")),
        dst_endpoint_id=_endpoint("server", "server_pod"),
        dst_method=pl.lit("exact"),
    )
