"""Stitching of what a real mesh logged: the recording `crosspane demo` reads."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.lake import connect
from pipeline.stitch import Stitched, stitch

_TRUTH = Path(__file__).parents[3] / "pipeline/demo/truth.json"
_FROM_REQUESTS = (
    "SELECT r.*, v.network, v.cluster FROM requests r JOIN vantages v USING (vantage_id)"
)
_FROM_FLOWS = "SELECT f.*, v.network FROM flows f JOIN vantages v USING (vantage_id)"
ACROSS = 816
"""Calls between clusters of different networks, by the script's truth."""


@pytest.fixture(scope="module")
def tables(demo: tuple[Path, str]) -> list[pl.DataFrame]:
    """What `stitch` reads of the demo's lake."""
    queries = (
        _FROM_REQUESTS,
        "FROM gateways",
        _FROM_FLOWS,
        "SELECT endpoint_id, kind, cluster, identity FROM endpoints",
    )
    with connect(demo[0] / "lake") as lake:
        return [lake.execute(query).pl() for query in queries]


def calls(made: Stitched) -> pl.DataFrame:
    """Clients' and servers' clusters, service, and count; of conversations with both ends."""
    whole = made.edges.filter(pl.col("client_ms").is_not_null() & pl.col("server_ms").is_not_null())
    where = whole.group_by("client_cluster", "server_cluster", "method", "path", "status").len()
    return where.sort(pl.all())


def truth() -> list[tuple[Any, ...]]:
    """The script's calls between proxies, likewise."""
    told = [call for call in json.loads(_TRUTH.read_text())["calls"] if not call["direct"]]
    names = ("client_cluster", "service_cluster", "method", "path", "status", "count")
    frame = pl.DataFrame(
        [tuple(call[name] for name in names) for call in told], names, orient="row"
    )
    return frame.group_by(names[:-1]).agg(pl.col("count").sum()).sort(pl.all()).rows()


def test_every_call_is_stitched_by_its_id(tables: list[pl.DataFrame]):
    """All 1,948 with both ends, 816 with their gateway; none of another cluster's."""
    made = stitch(*tables)
    assert made.edges.height == 1_948
    assert calls(made).rows() == truth()
    assert set(made.edges["match_method"]) == {"request_id"}
    through = made.edges.filter(path_model="gateway")
    assert (through.height, set(through["hops"])) == (ACROSS, {3})
    assert made.legs["unmatched"].drop_nulls().to_list() == []


def test_without_ids_connections_tell_the_same(tables: list[pl.DataFrame]):
    """Ids removed: the same pairs of records, by sockets and, behind nodes, by the port they kept."""
    requests, *others = tables
    with_ids = stitch(*tables)
    without = stitch(requests.with_columns(request_id=pl.lit(None, pl.String)), *others)
    told = ["edge_id", "role", "vantage_id", "start_time", "duration_ms"]
    same = with_ids.legs.select(told).join(without.legs.select(told), on=told, how="semi")
    assert same.height == with_ids.legs.height == without.legs.height
    counts = dict(without.edges["match_method"].value_counts().iter_rows())
    assert counts == {"nat_port": ACROSS, "connection": 1_948 - ACROSS}


def test_with_neither_ids_nor_ports_nothing_is_guessed(tables: list[pl.DataFrame]):
    """A NAT that changes every port: what is joined by names is right, the rest is left open."""
    requests, *others = tables
    hidden = pl.when(pl.col("reporter") == "gateway").then(1).otherwise("downstream_remote_port")
    changed = requests.with_columns(
        request_id=pl.lit(None, pl.String), downstream_remote_port=hidden.cast(pl.UInt16)
    )
    told = ["edge_id", "role", "vantage_id", "start_time", "duration_ms"]
    right = stitch(*tables).legs.select(told)
    made = stitch(changed, *others)
    servers = made.legs.filter(pl.col("role") == "server", pl.col("match_method") == "sni")
    assert servers.height > 0
    assert servers.select(told).join(right, on=told, how="anti").height == 0


def test_the_path_costs_what_the_ends_differ_by(tables: list[pl.DataFrame]):
    """Gateway tax, of real durations: never below what whole milliseconds hide."""
    made = stitch(*tables)
    tax = made.edges["tax_ms"]
    assert tax.null_count() == 0
    assert tax.min() >= -1
    assert (made.edges["client_ms"] - made.edges["server_ms"]).equals(tax, check_names=False)


def test_exporters_at_both_ends_counted_the_same(demo: tuple[Path, str]):
    """Both ways of the 331 connections that gateways logged, behind two NATs, and of 204 pod to pod."""
    query = """SELECT translated, verdict, count(*) FROM v_reconciled
        WHERE to_exporter IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    with connect(demo[0] / "lake") as lake:
        assert lake.execute(query).fetchall() == [(False, "agree", 408), (True, "agree", 662)]
