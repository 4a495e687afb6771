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
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline import schema
from pipeline.stitch.records import NEEDED

CLUSTERS: Final = 6
_FLAT: Final = 4
"""This cluster and those after it share a network; those before have one each."""
_NAT: Final = np.array(["node", "told", "untold", "node", "told", "untold"])
"""How each cluster's senders are hidden."""
BEGAN_US: Final = 1_770_000_000_000_000
_MAPPED: Final = 0xFFFF << 32
_SECOND: Final = 1_000_000
_FIXED: Final = 5
"""Half of the calls to so many services have the same id, always: their clients made it up."""
_COPY: Final = 10_000_000
"""What is added to vantage and number of a row that is told twice."""
_GATE: Final = 99_998
"""Of a cluster's proxies, that of its gateway."""
_AGAIN_US: Final = 300_000, 2_000_000
"""When after a connection is over its port may be used again."""


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


def network_of(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each cluster's network."""
    return np.minimum(cluster, _FLAT)


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
    conn = _connections(random, connections, workloads, seconds)
    calls = _calls(random, conn)
    again = _used_again(random, conn, calls)
    conn, calls = (
        frame.drop("port", "gate_port", "seen_port").join(
            again, on="connection", maintain_order="left"
        )
        for frame in (conn, calls)
    )
    skew = random.integers(-_SECOND, _SECOND, CLUSTERS)
    rows = pl.concat(
        [
            _clients(conn, calls, skew),
            _servers(random, conn, calls, skew),
            _gates(random, conn, calls, skew),
        ],
        how="diagonal_relaxed",
    ).with_row_index("record", offset=1)
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
    return World(full, _declared(), _flows(conn), _endpoints(workloads), truth)


def _connections(
    random: np.random.Generator, count: int, workloads: int, seconds: int
) -> pl.DataFrame:
    client, server = random.integers(0, CLUSTERS, (2, count))
    service = random.integers(0, workloads // 10, count)
    pod = random.integers(0, workloads, count)
    frame = pl.DataFrame(
        {
            "client": client,
            "server": server,
            "pod": pod,
            "service": service,
            "server_pod": service * 10 + random.integers(0, 10, count),
            "port": random.integers(32_768, 61_000, count),
            "gate_port": random.integers(32_768, 61_000, count),
            "other_port": random.integers(1_024, 65_000, count),
            "start": BEGAN_US + random.integers(0, seconds * _SECOND, count),
            "is_tcp": random.random(count) < 0.2,
            "has_id": random.random(count) < 0.5,
            "observed": random.random(workloads * CLUSTERS)[client * workloads + pod] > 0.02,
            "size": random.integers(1, 9, count),
        }
    ).with_columns(has_id=~pl.col("is_tcp") & pl.col("has_id"))
    frame = frame.unique(["client", "pod", "port"], maintain_order=True, keep="first")
    frame = frame.unique(["server", "gate_port", "server_pod"], maintain_order=True, keep="first")
    frame = frame.unique(["client", "server", "other_port"], maintain_order=True, keep="first")
    via = network_of(frame["client"].to_numpy()) != network_of(frame["server"].to_numpy())
    nat = pl.Series(_NAT[frame["client"].to_numpy()])
    first = pl.col("port").cum_count().over("client", "server", "port") == 1
    return frame.with_columns(via=pl.Series(via), nat=nat).with_columns(
        seen_port=pl.when((pl.col("nat") == "node") & first).then("port").otherwise("other_port"),
        kind=pl.when("via")
        .then("nat")
        .otherwise(
            pl.when(pl.col("client") == pl.col("server"))
            .then(pl.lit("local"))
            .otherwise(pl.lit("flat"))
        ),
        connection=pl.int_range(pl.len()),
    )


def _calls(random: np.random.Generator, conn: pl.DataFrame) -> pl.DataFrame:
    """Serial calls of each connection, one of a TCP connection, with what each proxy took."""
    size = pl.when("is_tcp").then(1).otherwise("size")
    calls = conn.with_columns(nth=pl.int_ranges(0, size)).explode("nth")
    count = calls.height
    calls = calls.with_columns(
        took=pl.Series(random.integers(2_000, 400_000, count)),
        pause=pl.Series(random.integers(0, 1_500_000, count)),
        path_no=pl.Series(random.integers(0, 3, count)),
        received=pl.Series(random.integers(0, 5_000, count)),
        sent=pl.Series(random.integers(100, 90_000, count)),
        tries=pl.Series(np.where(random.random(count) < 0.03, 2, 1)),
        inner=pl.Series(random.random(count) * 0.8),
        call=pl.int_range(pl.len()),
        again=pl.Series(random.random(count) < 0.03),
        fans=pl.Series(random.random(count) < 0.3),
    )
    spent = pl.col("took") + pl.col("pause")
    begun = pl.col("start") + (spent.cum_sum() - spent).over("connection")
    calls = calls.with_columns(begun=begun, id=pl.col("call"))
    # One id through several services, and twice to the same one.
    calls = calls.sort("begun").with_columns(
        id=pl.when("fans").then(pl.col("id").shift(1)).otherwise("id").fill_null(0)
    )
    calls = calls.sort("connection", "nth")
    same = pl.col("again") & (pl.col("nth") > 0)
    fixed = (pl.col("service") < _FIXED) & (pl.col("call") % 2 == 0)
    return calls.with_columns(
        is_fixed=pl.col("has_id") & fixed,
        id=pl.when(fixed)
        .then(-1 - pl.col("service"))
        .when(same)
        .then(pl.col("id").shift(1))
        .otherwise("id"),
        path_no=pl.when(same).then(pl.col("path_no").shift(1)).otherwise("path_no"),
    )


def _used_again(
    random: np.random.Generator, conn: pl.DataFrame, calls: pl.DataFrame
) -> pl.DataFrame:
    """``connection``, and ports: of those that can have the port of the one before half do."""
    ended = calls.group_by("connection").agg(last=(pl.col("begun") + pl.col("took")).max())
    found = conn.join(ended, on="connection").with_columns(
        place=pl.when(~pl.col("via")).then("server_pod"), is_again=pl.lit(value=False)
    )
    kept = (pl.col("nat") != "node") | (pl.col("seen_port") == pl.col("port"))
    for to, port, may in (
        (("client", "pod", "server", "place"), "port", kept),
        (("server", "server_pod"), "gate_port", pl.col("via")),
    ):
        found = found.sort(*to, "start")
        waited = (pl.col("start") - pl.col("last").shift(1)).over(to)
        both = may & may.shift(1) & pl.Series(random.random(found.height) < 0.5)
        found = found.with_columns(again=(both & waited.is_between(*_AGAIN_US)).fill_null(False))
        again = pl.col("again") & ~pl.col("again").shift(1, fill_value=False)
        found = found.with_columns(again=again).with_columns(
            pl.when("again").then(pl.col(port).shift(1)).otherwise(port).alias(port),
            is_again=pl.col("is_again")
            | pl.col("again")
            | pl.col("again").shift(-1, fill_value=False),
        )
    node = pl.col("nat") == "node"
    seen = pl.when(node & (pl.col("seen_port") != pl.col("other_port"))).then("port")
    return found.select(
        *("connection", "port", "gate_port", "is_again"), seen_port=seen.otherwise("seen_port")
    )


def _address(expr: pl.Expr | int) -> pl.Expr:
    return (pl.lit(_MAPPED) + expr).cast(pl.UInt64)


def _pod(name: str, cluster: str) -> pl.Expr:
    """10.0.0.0/16 everywhere; in the flat network 10.4.0.0/16 and 10.5.0.0/16."""
    flat = pl.when(pl.col(cluster) >= _FLAT).then(pl.col(cluster)).otherwise(0)
    return _address(0x0A000000 + flat * 0x10000 + pl.col(name) + 10)


def _gate_public(cluster: str) -> pl.Expr:
    return _address(0xCB007100 + pl.col(cluster))


def _gate_private(cluster: str) -> pl.Expr:
    flat = pl.when(pl.col(cluster) >= _FLAT).then(pl.col(cluster)).otherwise(0)
    return _address(0x0A000000 + flat * 0x10000 + 2)


def _sender(cluster: str) -> pl.Expr:
    return _address(0xC6120000 + pl.col(cluster))


def _names(cluster: str) -> dict[str, pl.Expr]:
    return {
        "cluster": pl.format("c{}", cluster),
        "network": pl.format("n{}", pl.col(cluster).clip(0, _FLAT)),
        "target": pl.format("n{}", pl.col("server").clip(0, _FLAT)),
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


def _time(expr: pl.Expr, cluster: str, skew: NDArray[np.int64]) -> pl.Expr:
    shift = pl.col(cluster).replace_strict(dict(enumerate(skew.tolist())), return_dtype=pl.Int64)
    return (expr + shift).cast(schema.TIME)


def _ms(us: pl.Expr) -> pl.Expr:
    return (us // 1_000).cast(pl.Float64)


def _clients(conn: pl.DataFrame, calls: pl.DataFrame, skew: NDArray[np.int64]) -> pl.DataFrame:
    del conn
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
            upstream_local_identity=pl.format("spiffe://m/sa/{}", pl.col("pod") % 200),
            src_endpoint_id=_endpoint("client", "pod"),
            src_method=pl.lit("exact"),
            dst_method=pl.when("via").then(pl.lit("gateway")).otherwise(pl.lit("exact")),
            dst_endpoint_id=pl.when(~pl.col("via")).then(_endpoint("server", "server_pod")),
        )
    )


def _servers(
    random: np.random.Generator, conn: pl.DataFrame, calls: pl.DataFrame, skew: NDArray[np.int64]
) -> pl.DataFrame:
    """A record of each attempt: the first took a tenth of the time."""
    del conn
    first = calls.filter(pl.col("tries") == 2).with_columns(
        begun=pl.col("begun") + 500, took=pl.col("took") // 10, answer=503
    )
    late = (pl.col("took") * (1 - pl.col("inner")) * 0.5).cast(pl.Int64)
    last = calls.with_columns(
        begun=pl.col("begun") + late,
        took=(pl.col("took") * pl.col("inner")).cast(pl.Int64),
        answer=200,
    )
    del random
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
        downstream_peer_identity=pl.format("spiffe://m/sa/{}", pl.col("pod") % 200),
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
        src_endpoint_id=pl.when(pl.col("nat") == "node").then(
            (900_000_000 + pl.col("client")).cast(pl.UInt64)
        ),
        dst_endpoint_id=_endpoint("server", "server_pod"),
        dst_method=pl.lit("exact"),
    )


def _declared() -> pl.DataFrame:
    """Each cluster's gateway, as every other network sees it."""
    rows = [
        (f"n{network}", 0, _MAPPED | 0xCB007100 + cluster, 15443, f"c{cluster}", f"n{target}")
        for cluster in range(CLUSTERS)
        for target in [min(cluster, _FLAT)]
        for network in range(_FLAT + 1)
        if network != target
    ]
    names = ["network", "gateway_ip_hi", "gateway_ip_lo", "port", "cluster", "to_network"]
    types = {name: schema.GATEWAYS.schema[name] for name in names}
    frame = pl.DataFrame(rows, types, orient="row")
    return schema.complete(frame, schema.GATEWAYS.schema)


def _flows(conn: pl.DataFrame) -> pl.DataFrame:
    """What NATs that export tell: nineteen of twenty."""
    told = conn.filter("via", pl.col("nat") == "told", pl.col("connection") % 20 != 0)
    return told.select(
        network=pl.format("n{}", pl.col("client").clip(0, _FLAT)),
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
        end_time=(pl.col("start") + 15 * _SECOND).cast(schema.TIME),
    )


def _endpoints(workloads: int) -> pl.DataFrame:
    pods = pl.DataFrame({"client": range(CLUSTERS)}).join(
        pl.DataFrame({"pod": range(workloads)}), how="cross"
    )
    nodes = pl.DataFrame({"client": range(CLUSTERS)}).select(
        endpoint_id=(900_000_000 + pl.col("client")).cast(pl.UInt64),
        kind=pl.lit("node"),
        cluster=pl.format("c{}", "client"),
        identity=pl.lit(None, pl.String),
    )
    named = pods.select(
        endpoint_id=_endpoint("client", "pod"),
        kind=pl.lit("pod"),
        cluster=pl.format("c{}", "client"),
        identity=pl.format("spiffe://m/sa/{}", pl.col("pod") % 200),
    )
    return pl.concat([named, nodes])


def began() -> datetime:
    """When the world begins."""
    return datetime.fromtimestamp(BEGAN_US / 1e6, UTC)


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
