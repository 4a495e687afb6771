"""
What happens in the made-up mesh: who connects to whom, by what ports, and calls there.

Six clusters: four with the same addresses, each behind a gateway; two in one flat network.

After: stitch_records.py.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

CLUSTERS: Final = 6
FLAT: Final = 4
"""This cluster and those after it share a network; those before have one each."""
SECOND_US: Final = 1_000_000
_NAT: Final = np.array(["node", "told", "untold", "node", "told", "untold"])
"""How each cluster's senders are hidden."""
_BEGAN_US: Final = 1_770_000_000_000_000
_FIXED: Final = 5
"""Half of the calls to so many services have the same id, always: their clients made it up."""
_AGAIN_US: Final = 300_000, 2_000_000
"""When after a connection is over its port may be used again."""


def happened(
    random: np.random.Generator, connections: int, workloads: int, *, seconds: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Connections, and their calls: parameters of `stitch_world.make`."""
    conn = _connections(random, connections, workloads, seconds)
    calls = _calls(random, conn)
    again = _used_again(random, conn, calls)
    conn, calls = (
        frame.drop("port", "gate_port", "seen_port").join(
            again, on="connection", maintain_order="left"
        )
        for frame in (conn, calls)
    )
    return conn, calls


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
            "start": _BEGAN_US + random.integers(0, seconds * SECOND_US, count),
            "is_tcp": random.random(count) < 0.2,
            "has_id": random.random(count) < 0.5,
            "observed": random.random(workloads * CLUSTERS)[client * workloads + pod] > 0.02,
            "size": random.integers(1, 9, count),
        }
    ).with_columns(has_id=~pl.col("is_tcp") & pl.col("has_id"))
    frame = frame.unique(["client", "pod", "port"], maintain_order=True, keep="first")
    frame = frame.unique(["server", "gate_port", "server_pod"], maintain_order=True, keep="first")
    frame = frame.unique(["client", "server", "other_port"], maintain_order=True, keep="first")
    via = _network_of(frame["client"].to_numpy()) != _network_of(frame["server"].to_numpy())
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


def _network_of(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each cluster's network."""
    return np.minimum(cluster, FLAT)
