"""Stitching of a made-up mesh, held against its truth; `bench.stitch` prints more of it."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bench.stitch import connections, recalls
from bench.stitch_world import World, judged, make, numbered
from pipeline.stitch import Stitched, stitch
from pipeline.stitch.by_id import calls_by_id
from pipeline.stitch.direct import direct
from pipeline.stitch.pairs import ALL, Span

Judged = tuple[World, Stitched, pl.DataFrame]


@pytest.fixture(scope="module", params=[1, 2])
def whole(request: pytest.FixtureRequest) -> Judged:
    """A mesh of 3,000 workloads: overlapping addresses, NAT, loss, ports used again, clocks apart."""
    world = make(request.param, 8_000, 500)
    made = stitch(world.requests, world.gateways, world.flows, world.endpoints)
    return world, made, judged(world, made.legs)


def test_what_is_joined_is_one_conversation(whole: Judged):
    """Of each method, 999 of 1,000 records at least are of the call they were joined to."""
    by_method = whole[2].group_by("match_method").agg(pl.len(), pl.col("right").mean())
    assert set(by_method["match_method"]) == {
        *("request_id", "connection", "nat", "nat_port", "sni", "identity")
    }
    assert by_method.filter(pl.col("len") < 30).height == 0
    assert by_method.filter(pl.col("right") < 0.999).rows() == []


def test_a_port_that_is_used_again_leads_to_no_other_connection(whole: Judged):
    """Within 2 s, at either side of a gateway, which lost every fifth record of these."""
    again = whole[2].filter(pl.col("role") == "gateway", pl.col("is_again"))
    assert again.height > 500
    assert again.select(pl.col("right").mean()).item() >= 0.999


def test_no_join_is_across_networks(whole: Judged):
    """The same addresses are in four networks: a record is of the one that the call went into."""
    joined = whole[2]
    assert joined.height > 30_000
    assert joined.filter(pl.col("network") != pl.col("goes_to")).height == 0


def test_most_of_what_was_logged_at_both_ends_is_joined(whole: Judged):
    """
    With ids 99 of 100; without, what loss leaves certain; behind a silent NAT, what is unique.

    Where an id tells nothing, sockets do; none are left behind a NAT that tells nothing.
    """
    world, _, joined = whole
    shares = {kind: found / asked for kind, (asked, found) in recalls([(joined, world)]).items()}
    assert len(shares) == 15
    for kind, share in shares.items():
        hidden, ids = kind.split(", ")
        if ids == "fixed id" and hidden in {"node", "untold"}:
            continue
        no_id = 0.65 if hidden == "untold" else 0.85
        assert share > {"id": 0.99, "no id": no_id, "fixed id": 0.8}[ids], kind


def test_without_ids_a_connection_tells_its_server(whole: Judged):
    """95 of 100 connections, behind every kind of NAT, and none another's server."""
    world, made, _ = whole
    told = connections(world, made)
    assert told.height > 4_000
    assert told.filter("known", ~pl.col("right")).height == 0
    shares = told.group_by("kind").agg(pl.col("known").mean())
    assert shares.height == 5
    assert shares.filter(pl.col("known") < 0.95).rows() == []


def test_every_record_is_there_once_at_each_end(whole: Judged):
    """Nothing is lost: each client's and server's record, told twice or not, is one leg."""
    world, made, _ = whole
    own = pl.col("record") % 10_000_000
    legs = numbered(made.legs)
    ends = legs.filter(pl.col("role").cast(pl.String) != "gateway")
    assert ends.select(own.is_duplicated().any()).item() is False
    told = world.truth.filter(pl.col("role") != "gateway").select(own.n_unique()).item()
    assert ends.height == told
    assert made.edges["edge_id"].is_duplicated().sum() == 0
    gates = legs.filter(role="gateway").select(own.n_unique()).item()
    assert gates == world.truth.filter(role="gateway").select(own.n_unique()).item()


def test_calls_that_are_certain_are_joined_as_all_others_would_be(whole: Judged):
    """What an id and a socket tell is what their keys tell, if nothing is certain before."""
    world = whole[0]
    calls = calls_by_id(world.requests)
    assert direct(world.requests, calls, ALL).height > 2_000
    told = (world.requests, world.gateways, world.flows, world.endpoints)
    times = world.requests["start_time"].to_physical()
    some = Span(int(times.quantile(0.2) or 0), int(times.quantile(0.4) or 0))
    order = ["edge_id", "hop", "start_time", "vantage_id"]
    for asked in (ALL, some):
        made, slowly = (stitch(*told, asked=asked, calls=known) for known in (calls, calls.clear()))
        assert 0.1 < made.edges.height / whole[1].edges.height <= 1
        assert slowly.edges.sort("edge_id").equals(made.edges.sort("edge_id"))
        assert_frame_equal(slowly.legs.sort(order), made.legs.sort(order))


def test_the_order_of_rows_does_not_matter():
    """Late and shuffled: the same edges."""
    world = make(3, 500, 100)
    there = stitch(world.requests, world.gateways, world.flows, world.endpoints)
    back = stitch(world.requests.reverse(), world.gateways, world.flows, world.endpoints)
    told = ["edge_id", "hops", "match_method", "client_ms", "server_ms"]
    assert there.edges.select(told).sort("edge_id").equals(back.edges.select(told).sort("edge_id"))
