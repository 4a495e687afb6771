"""
Conversations joined, held against the truth of a made-up mesh; and what that costs.

Precision: of the records joined to a client's call, the share that are its own.
Recall: of the calls of which both ends were logged, the share that were joined.
"""

import json

import polars as pl

from bench.access_log import fields, payloads
from bench.measure import alternate, report
from bench.stitch_world import World, judged, make, numbered
from pipeline.decode.access_log import AccessLog
from pipeline.stitch import Stitched, stitch

_SEEDS = (1, 2, 3)
_LINES = 50_000


def main() -> None:
    """Print precision and recall by method, then the cost."""
    worlds = [make(seed, 20_000, 1_000) for seed in _SEEDS]
    parts, without = [], []
    for world in worlds:
        made = stitch(world.requests, world.gateways, world.flows, world.endpoints)
        parts.append((judged(world, made.legs), world))
        without.append(connections(world, made))
    every = pl.concat([part for part, _ in parts])
    print("stitch: precision by role and method")
    table = every.group_by("role", "match_method").agg(
        joined=pl.len(), wrong=(~pl.col("right")).sum(), precision=pl.col("right").mean()
    )
    for row in table.sort("role", "match_method").iter_rows():
        print(f"  {row[0]:<9}{row[1]:<12}{row[2]:>10,}{row[3]:>6} wrong{row[4]:>10.5f}")
    print("stitch: recall of servers' records, by how the sender was hidden")
    for key, (asked, found) in recalls(parts).items():
        print(f"  {key:<24}{asked:>10,}{found / asked:>10.4f}")
    print("stitch: gateways of connections whose port was used again within 2 s")
    again = every.filter(role="gateway").filter("is_again")
    wrong = again.filter(~pl.col("right")).height
    print(f"  joined to a call        {again.height:>10,}{wrong:>4} wrong")
    print("stitch: connections without ids whose server is known, by the same")
    for kind, known in pl.concat(without).group_by("kind", maintain_order=True):
        wrong = known.filter("known", ~pl.col("right")).height
        print(f"  {kind[0]:<24}{known.height:>10,}{known['known'].mean():>10.4f}{wrong:>4} wrong")
    world = worlds[0]
    lines = payloads([json.dumps(fields(number)) for number in range(_LINES)])
    report(
        "stitch: cost beside ingest's largest part",
        alternate(
            {
                "stitch, records of all proxies": (
                    world.requests.height,
                    lambda: stitch(world.requests, world.gateways, world.flows, world.endpoints),
                ),
                "decode of such records, JSON": (_LINES, lambda: AccessLog().decode(lines)),
            }
        ),
    )


def connections(world: World, made: Stitched) -> pl.DataFrame:
    """
    Connections without ids that both ends logged: whose server is known of all calls, and right.

    Returns
    -------
    DataFrame
        ``kind``, ``connection``, ``known``, ``right``.
    """
    told = numbered(world.requests).select("record", "dst_endpoint_id")
    rows = world.truth.join(told, on="record")
    servers = rows.filter(role="server").unique("connection")
    servers = servers.select("connection", true="dst_endpoint_id")
    edges = made.edges.select("edge_id", "server_endpoint_id")
    legs = numbered(made.legs.filter(role="client"))
    clients = legs.select("edge_id", "record").join(edges, on="edge_id")
    calls = clients.join(rows.filter(~pl.col("has_id")), on="record")
    known, right = (
        pl.col("server_endpoint_id").is_not_null(),
        pl.col("server_endpoint_id") == pl.col("true"),
    )
    return (
        calls.join(servers, on="connection")
        .group_by("kind", "connection")
        .agg(known=known.all(), right=right.all())
        .sort("kind", "connection")
    )


def recalls(parts: list[tuple[pl.DataFrame, World]]) -> dict[str, tuple[int, int]]:
    """Of each kind of call: how many were logged at both ends, how many of these joined."""
    counts: dict[str, tuple[int, int]] = {}
    for joined, world in parts:
        ends = world.truth.filter(pl.col("role") != "gateway", pl.col("call") >= 0)
        both = ends.group_by("call").agg(
            pl.col("role").n_unique() == 2,
            kind=pl.col("kind").first(),
            ids=pl.when(pl.col("is_fixed").first())
            .then(pl.lit("fixed id"))
            .when(pl.col("has_id").first())
            .then(pl.lit("id"))
            .otherwise(pl.lit("no id")),
        )
        right = joined.filter((pl.col("role") == "server") & pl.col("right"))[
            "client_call"
        ].unique()
        asked = both.filter("role").with_columns(found=pl.col("call").is_in(right.implode()))
        for ids, kind, total, found in (
            asked.group_by("ids", "kind")
            .agg(pl.len(), pl.col("found").sum())
            .sort("ids", "kind")
            .iter_rows()
        ):
            key = f"{kind}, {ids}"
            before = counts.get(key, (0, 0))
            counts[key] = before[0] + total, before[1] + found
    return counts


if __name__ == "__main__":
    main()
