"""
Edges by the minute, ten minutes, hour and day, as the job works them out of requests.

One lake serves all tests: each has a day of its own.
"""

import math
import random
import shutil
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from two_clusters import INVENTORY

from pipeline import schema
from pipeline.inventory import file as inventory
from pipeline.lake import Commit, Lake, sync_inventory
from pipeline.memory import asked, sources
from pipeline.recorded import recorded
from pipeline.rollup import WRONG_CALLS, of_records, rollup, wrong_calls
from pipeline.schema import rollups
from pipeline.stitch.by_id import others
from pipeline.topology import graph, graphs
from pipeline.windows import Window

EAST, WEST, ROUTER, NODE, SWITCH = 1, 2, 3, 4, 5
VANTAGES = [
    (EAST, "east", "net-east", "a", "frontend.log", "envoy_json", 0),
    (WEST, "west", "net-west", "b", "reviews.log", "envoy_json", 0),
    (ROUTER, "east", "net-east", "a", "10.0.0.1", "ipfix", 0),
    (NODE, "east", "net-east", "a", "10.0.0.2", "ipfix", 0),
    (SWITCH, "east", "net-east", "a", "10.0.0.3", "ipfix", 0),
]
DAY = timedelta(days=1)
MAPPED = 0xFFFF << 32
FRONTEND, GATEWAY = MAPPED | 0x0A00000B, MAPPED | 0xCB007114
KEY = (
    *("client_entity", "client_cluster", "server_entity", "server_cluster"),
    *("service", "path_model", "gateway", "protocol"),
)
COUNTED = (
    *("match_methods", "confidence", "requests", "errors", "client_errors", "denied"),
    *("bytes_received", "bytes_sent", "tls_requests", "retries"),
)
TABLES = {
    "edges_1m": "1 MINUTE",
    "edges_10m": "10 MINUTES",
    "edges_1h": "1 HOUR",
    "edges_1d": "1 DAY",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """Two clusters of the same pod addresses, west behind a gateway."""
    folder = tmp_path_factory.mktemp("rollup")
    (folder / "inventory.toml").write_text(INVENTORY)
    with Lake(folder / "lake") as opened:
        sync_inventory(opened, inventory.load(folder / "inventory.toml").tables)
        rows = pl.DataFrame(VANTAGES, schema.VANTAGES.schema, orient="row")
        opened.commit(Commit({"vantages": rows}))
        yield opened


def day(number: int) -> datetime:
    return datetime(2026, 11, number, tzinfo=UTC)


def log(lake: Lake, *rows: dict[str, Any]) -> None:
    """Put rows into `requests`, as proxies of the two workloads told them."""
    found = dict(lake.read("SELECT cluster, endpoint_id FROM endpoints").rows())
    ends = {
        "source": {
            "vantage_id": EAST,
            "src_endpoint_id": found["east"],
            "upstream_local_ip_hi": 0,
            "upstream_local_ip_lo": FRONTEND,
            "upstream_remote_ip_hi": 0,
            "upstream_remote_ip_lo": GATEWAY,
            "upstream_remote_port": 15443,
        },
        "destination": {"vantage_id": WEST, "dst_endpoint_id": found["west"]},
    }
    base = {
        "received_time": day(30),
        "protocol": "HTTP/1.1",
        "method": "GET",
        "path": "/",
        "authority": "reviews",
        "service": "reviews.shop",
        "response_flags": [],
        "status": 200,
    }
    filled = [base | ends[row["reporter"]] | row for row in rows]
    columns = schema.REQUESTS.schema
    told = [{name: row.get(name) for name in columns} for row in filled]
    lake.commit(Commit({"requests": pl.DataFrame(told, schema=columns)}))


def client(start: datetime, request: str | None, **values: Any) -> dict[str, Any]:
    return {"reporter": "source", "start_time": start, "request_id": request, **values}


def server(start: datetime, request: str | None, **values: Any) -> dict[str, Any]:
    return {"reporter": "destination", "start_time": start, "request_id": request, **values}


def roll(lake: Lake, *minutes: datetime) -> None:
    """What the job does with minutes that are over."""
    for start in minutes:
        lake.commit(rollup(lake, Window(start, start + timedelta(minutes=1))))


def stored(lake: Lake, table: str, start: datetime) -> list[tuple[Any, ...]]:
    """Rows of a day, all columns, in an order that rows alone decide."""
    rows = lake.read(
        f"FROM {table} WHERE bucket_start >= '{start}' AND bucket_start < '{start + DAY}' ORDER BY ALL"
    )
    return rows.rows()


def test_every_measure_of_an_edge(lake: Lake):
    """Three calls by gateway, worked by hand."""
    at = day(1) + timedelta(hours=5, minutes=17, seconds=3)
    told = {"bytes_received": 10, "bytes_sent": 100}
    log(
        lake,
        client(at, "a", duration_ms=10.0, attempts=1, upstream_tls="TLSv1.3", **told),
        server(at, "a", duration_ms=4.0, **told),
        client(at, "b", duration_ms=30.0, attempts=3, status=503, **told),
        server(at, "b", duration_ms=20.0, status=503, **told),
        client(at, "c", duration_ms=0.0, status=403, authz="denied", **told),
    )
    roll(lake, at.replace(second=0))
    edge = ("east/shop/frontend", "east", "west/shop/reviews", "west", "reviews.shop", "gateway")
    columns = (
        "requests, errors, client_errors, denied, retries, bytes_received, bytes_sent, tls_requests"
    )
    for table in TABLES:
        own = f"FROM {table} WHERE bucket_start >= '{day(1)}' AND bucket_start < '{day(2)}'"
        assert lake.read(f"SELECT {', '.join(KEY)} {own}").rows() == [
            (*edge, "west-gateway", "HTTP/1.1")
        ]
        assert lake.read(f"SELECT {columns} {own}").rows() == [(3, 1, 1, 1, 2, 30, 300, 1)]
        matched = "confidence, matched_request_id, matched_service_in_cluster, matched_address"
        assert lake.read(f"SELECT {matched} {own}").rows() == [(0.8, 2, 1, 0)]
        times = "duration_ns, server_timed, server_duration_ns, both_timed, on_the_way_ns"
        assert lake.read(f"SELECT {times} {own}").rows() == [
            (40_000_000, 2, 24_000_000, 2, 16_000_000)
        ]
        # 1.06^39 = 9.70 < 10 <= 1.06^40 = 10.29; 1.06^58 = 29.4 < 30 <= 1.06^59 = 31.1
        assert lake.read(f"SELECT durations {own}").item().to_list() == [
            {"bucket": -32_768, "calls": 1},
            {"bucket": 40, "calls": 1},
            {"bucket": 59, "calls": 1},
        ]
        view = f"FROM v_{table} WHERE bucket_start >= '{day(1)}' AND bucket_start < '{day(2)}'"
        means = lake.read(f"SELECT mean_ms, server_mean_ms, on_the_way_ms {view}").row(0)
        assert means == pytest.approx((40 / 3, 12.0, 8.0))
        assert lake.read(f"SELECT p50_ms {view}").item() == pytest.approx(9.9861, abs=1e-4)
        assert lake.read(f"SELECT match_methods {view}").item().to_list() == [
            "request_id",
            "service_in_cluster",
        ]
    starts = [stored(lake, table, day(1))[0][0].strftime("%H:%M") for table in TABLES]
    assert starts == ["05:17", "05:10", "05:00", "00:00"]


def test_a_call_across_two_minutes_is_of_the_one_its_client_began_in(lake: Lake):
    """Its server's line is read beside, from the next minute, and counts nothing there."""
    at = day(2) + timedelta(minutes=1)
    moment = timedelta(milliseconds=20)
    log(
        lake,
        client(at - moment, "later", duration_ms=60.0),
        server(at + moment, "later", duration_ms=10.0),
        client(at + moment, "ahead", duration_ms=60.0),  # the server's clock is behind
        server(at - moment, "ahead", duration_ms=20.0),
        client(at - moment, None, protocol="TCP"),
        server(at + moment, None, protocol="TCP", src_endpoint_id=1),
    )
    roll(lake, at - timedelta(minutes=1), at)
    columns = "strftime(bucket_start, '%H:%M'), requests, server_duration_ns, path_model"
    rows = lake.read(
        f"SELECT {columns} FROM edges_1m WHERE bucket_start >= '{day(2)}' AND bucket_start < '{day(3)}'"
        " ORDER BY ALL"
    ).rows()
    assert rows[0] == ("00:00", 1, 10_000_000, "gateway")  # HTTP; TCP is an edge of its own
    assert ("00:00", 1, None, "gateway") in rows
    assert ("00:01", 1, 20_000_000, "gateway") in rows
    assert lake.read(
        f"SELECT sum(requests)::INT FROM edges_1d WHERE bucket_start = '{day(2)}'"
    ).item() == len(
        lake.read(f"SELECT 1 FROM v_calls WHERE start_time BETWEEN '{day(2)}' AND '{day(3)}'")
    )


def random_rows(seed: int, start: datetime, minutes: int, calls: int) -> list[dict[str, Any]]:
    """Calls with and without ids, seen by both proxies, one, or with a skew of up to 2 s."""
    dice = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(calls):
        at = start + timedelta(seconds=dice.uniform(2, minutes * 60 - 2))
        status = dice.choice([200, 200, 200, 404, 403, 500, 503, None])
        name = None if dice.random() < 0.2 else f"{seed}-{number}"
        call = {
            "protocol": "HTTP/1.1" if name else dice.choice(["TCP", "HTTP/1.1"]),
            "path": dice.choice(["/", "/a"]),
            "service": dice.choice(["reviews.shop", "ratings.shop", None]),
            "bytes_received": dice.choice([None, dice.randrange(10**6)]),
            "bytes_sent": dice.randrange(10**9),
        }
        flags = {"response_flags": dice.choice([[], [], ["UF"], ["DC"], ["UO"]])}
        if dice.random() < 0.9:
            more = {"attempts": dice.choice([None, 0, 1, 4]), "duration_ms": dice.expovariate(0.1)}
            tls = {"upstream_tls": dice.choice([None, "TLSv1.3"])}
            direct = {"upstream_remote_port": dice.choice([15443, 9080])}
            rows.append(client(at, name, status=status, **call, **more, **tls, **direct, **flags))
        if dice.random() < 0.8:
            skew = timedelta(seconds=dice.uniform(-2, 2))
            denied = {"authz": dice.choice([None, "allowed", "denied"])}
            took = {"duration_ms": dice.choice([None, dice.expovariate(0.2)])}
            rows.append(server(at + skew, name, status=status, **call, **denied, **took))
    return rows


def counted(lake: Lake, start: datetime) -> int:
    """Calls of a day, once every bucket of every length was found to count them rightly."""
    calls = f"FROM v_calls WHERE start_time >= '{start}' AND start_time < '{start + DAY}'"
    measures = """list_sort(list(DISTINCT match_method)), min(confidence)::DOUBLE, count(*)::UBIGINT,
        count(*) FILTER (error)::UBIGINT, count(*) FILTER (status BETWEEN 400 AND 499)::UBIGINT,
        count(*) FILTER (denied)::UBIGINT, sum(bytes_received)::UBIGINT, sum(bytes_sent)::UBIGINT,
        count(*) FILTER (tls IS NOT NULL OR error AND contains(blame_reason, 'not logged at the server')
            AND list_has_any(response_flags, ['UH', 'UF', 'UO']))::UBIGINT, (sum(greatest(attempts, 1) - 1) FILTER (attempts >= 0))::UBIGINT"""
    key = ", ".join(KEY)
    lake.connection.execute(f"CREATE OR REPLACE TEMP TABLE told AS {calls}")
    for table, length in TABLES.items():
        bucket = f"time_bucket(INTERVAL {length}, start_time)"
        asked = f"SELECT {bucket} AS b, {key}, {measures} FROM told GROUP BY b, {key} ORDER BY ALL"
        told = f"""SELECT bucket_start, {key}, {", ".join(COUNTED)} FROM v_{table}
            WHERE bucket_start >= '{start}' AND bucket_start < '{start + DAY}' ORDER BY ALL"""
        assert lake.read(told).rows() == lake.read(asked).rows()
    return lake.read("SELECT count(*) FROM told").item()


def test_counts_are_those_of_the_calls_themselves(lake: Lake):
    """In every bucket of every length, whatever order minutes are worked out in, and how often."""
    start = day(3) + timedelta(hours=3, minutes=58)
    log(lake, *random_rows(1, start, 4, 600))
    minutes = [start + timedelta(minutes=n) for n in (2, 0, 3, 1)]
    roll(lake, *minutes)
    assert counted(lake, day(3)) > 500
    once = {table: stored(lake, table, day(3)) for table in TABLES}
    roll(lake, minutes[0])
    assert {table: stored(lake, table, day(3)) for table in TABLES} == once
    assert {table: len({row[0] for row in once[table]}) for table in TABLES} == {
        "edges_1m": 4,
        "edges_10m": 2,
        "edges_1h": 2,
        "edges_1d": 1,
    }


def test_rows_that_come_late_are_in_all_four(lake: Lake):
    """When their minute is done again, and in none before."""
    start = day(5) + timedelta(hours=23, minutes=58)
    rows = random_rows(4, start, 1, 80)
    log(lake, *random_rows(5, start + timedelta(minutes=1), 1, 80), *rows[:60])
    roll(lake, start, start + timedelta(minutes=1))
    before = counted(lake, day(5))
    log(lake, *rows[60:])
    roll(lake, start)
    assert counted(lake, day(5)) > before


def test_new_minutes_are_added_to_the_rows_there_are(lake: Lake):
    """Which gives the rows that doing all of it again does, of calls and of flows, in all lengths."""
    start = day(6) + timedelta(hours=3, minutes=58)
    minutes = [start + timedelta(minutes=n) for n in range(4)]
    log(lake, *random_rows(6, start, 4, 200))
    capture(lake, *(flow(minute, 100 + n) for n, minute in enumerate(minutes)))
    for minute in minutes:
        end = minute + timedelta(minutes=1)
        lake.commit(rollup(lake, Window(minute, end, is_new=True)))
    assert counted(lake, day(6)) > 150
    tables = [*TABLES, "legs_1m", "legs_10m", "legs_1h", "legs_1d"]
    new = {table: stored(lake, table, day(6)) for table in tables}
    assert [len(new[table]) for table in tables[4:]] == [4, 2, 2, 1]
    roll(lake, *reversed(minutes))
    assert {table: stored(lake, table, day(6)) for table in tables} == new


def test_a_minute_without_calls_has_no_edges(lake: Lake):
    """Where there were some, that are no calls any more, they go, in all four."""
    at = day(8) + timedelta(hours=1)
    log(lake, client(at, "gone"), client(at + timedelta(minutes=1), "stays"))
    roll(lake, at, at + timedelta(minutes=1))
    lake.connection.execute("DELETE FROM requests WHERE request_id = 'gone'")
    roll(lake, at)
    counts = "SELECT list(requests) FROM {} WHERE bucket_start >= '{}' AND bucket_start < '{}'"
    left = [lake.read(counts.format(table, day(8), day(9))).item().to_list() for table in TABLES]
    assert left == [[1], [1], [1], [1]]


def test_what_is_no_duration_is_counted_and_not_timed(lake: Lake):
    """The call is one; no sum, mean or quantile is made of it."""
    for number, duration in enumerate((None, -1.0, 1e12, 1e300, math.inf, math.nan)):
        told = {"duration_ms": duration, "service": f"service-{number}"}
        log(lake, client(day(9), f"{number}", **told), server(day(9), f"{number}", **told))
    roll(lake, day(9))
    this = f"WHERE bucket_start = '{day(9)}'"
    measured = "requests, duration_ns, durations, server_timed, both_timed"
    rows = lake.read(f"SELECT {measured} FROM edges_1h {this}").rows()
    assert rows == [(1, None, None, 0, 0)] * 6
    told = "p50_ms, p95_ms, p99_ms, mean_ms, server_mean_ms, on_the_way_ms"
    assert lake.read(f"SELECT {told} FROM v_edges_1d {this}").rows() == [(None,) * 6] * 6


def flow(start: datetime, octets: int, **values: Any) -> dict[str, Any]:
    """From the frontend to the gateway, as its node saw it."""
    ends = {"src_ip_lo": FRONTEND, "dst_ip_lo": GATEWAY, "src_port": 40_000, "dst_port": 15443}
    times = dict.fromkeys(("start_time", "end_time", "received_time"), start)
    counts = {"bytes": octets, "packets": 1, "sampling_factor": 1.0, "protocol": 6}
    how = {"src_method": "exact", "dst_method": "none", "src_ip_hi": 0, "dst_ip_hi": 0}
    return {"vantage_id": ROUTER} | ends | times | counts | how | values


def capture(lake: Lake, *rows: dict[str, Any]) -> None:
    """Put rows into `flows`."""
    ((frontend,),) = lake.read("SELECT endpoint_id FROM endpoints WHERE cluster = 'east'").rows()
    columns = schema.FLOWS.schema
    told = [
        {name: ({"src_endpoint_id": frontend} | row).get(name) for name in columns} for row in rows
    ]
    lake.commit(Commit({"flows": pl.DataFrame(told, schema=columns)}))


def test_a_leg_is_what_one_exporter_saw_of_each_pair(lake: Lake):
    """Whichever minute the clocks of two put it in; other pairs of the same two add up."""
    at, second = day(10) + timedelta(minutes=1), timedelta(seconds=1)
    capture(
        lake,
        flow(at, 700),
        flow(at - second, 700, vantage_id=NODE),  # the same, by a clock that is behind
        flow(at + second, 40, vantage_id=NODE, sampling_factor=10.0, dst_ip_lo=GATEWAY + 1),
        flow(at + second, 5, src_port=9080, dst_port=40_001, dst_ip_lo=GATEWAY + 2),
    )
    roll(lake, at - timedelta(minutes=1), at)
    told = "src_entity, dst_entity, src_port, dst_port, flows, bytes, packets, exporters"
    ends = ("east/shop/frontend", "unknown in net-east")
    for table in ("legs_1m", "legs_10m", "legs_1h", "legs_1d"):
        own = f"FROM {table} WHERE bucket_start >= '{day(10)}' AND bucket_start < '{day(11)}'"
        rows = lake.read(f"SELECT {told} {own} ORDER BY dst_port NULLS FIRST").rows()
        assert rows == [(*ends, 9080, None, 1, 5, 1, 1), (*ends, None, 15443, 2, 1_100, 11, 2)]


def test_losses_of_a_leg_are_told_by_who_knows_them(lake: Lake):
    """Octets of the exporter that saw most, drops of each that drops, what was sent again of TCP itself."""
    at, later = day(14) + timedelta(minutes=1), day(14) + timedelta(minutes=12)
    tells = {"retransmitted_packets": 4, "rtt_us": 2_000, "min_rtt_us": 1_500}
    less = {"retransmitted_packets": 1, "rtt_us": 9_000}
    capture(
        lake,
        flow(at, 1_200, packets=50, dropped_packets=2),
        flow(at, 1_100, packets=48, dropped_packets=1, vantage_id=SWITCH),
        flow(at, 1_000, packets=50, vantage_id=NODE, **tells),
        flow(at, 20, packets=2, vantage_id=SWITCH, **less),  # another who tells, and saw less of it
        flow(later, 400, packets=30, vantage_id=NODE, **tells | {"min_rtt_us": None}),
        flow(later, 400, packets=30),
    )
    roll(lake, at, later)
    told = (
        *("bytes", "packets", "dropped_packets", "drops_told_packets", "retransmitted_packets"),
        *("retransmits_told_packets", "rtt_timed", "rtt_us", "min_rtt_us"),
    )
    own = f"WHERE bucket_start >= '{day(14)}' AND bucket_start < '{day(15)}' ORDER BY bucket_start"
    assert lake.read(f"SELECT {', '.join(told)} FROM legs_1m {own}").rows() == [
        (1_200, 50, 3, 50, 4, 50, 1, 2_000, 1_500),
        (400, 30, None, None, 4, 30, 1, 2_000, 2_000),
    ]
    assert lake.read(f"SELECT {', '.join(told)} FROM legs_1d {own}").rows() == [
        (1_600, 80, 3, 50, 8, 80, 2, 4_000, 1_500)
    ]
    shares = "retransmit_share, drop_share, rtt_ms, min_rtt_ms"
    span = f"topology_edges('workload', '{day(14)}', '{day(15)}')"
    assert lake.read(f"SELECT {shares} FROM {span} WHERE kind = 'leg'").rows() == [
        (0.1, 0.06, 2.0, 1.5)
    ]
    others = f"FROM legs_1d WHERE bucket_start <> '{day(14)}' AND coalesce({', '.join(told[2:])}) IS NOT NULL"
    assert lake.read(others).rows() == []


def test_a_scan_of_ports_is_some_rows(lake: Lake):
    """Of two nodes, the 32 ports that carried most; the rest are one row, and nothing is lost."""
    ports = [flow(day(11), n, dst_port=n) for n in range(1, 101)]
    capture(lake, *ports)
    roll(lake, day(11))
    counted = f"count(*), min(dst_port), sum(flows)::INT, sum(bytes)::INT FROM legs_1d WHERE bucket_start = '{day(11)}'"
    assert lake.read(f"SELECT {counted}").rows() == [(33, 69, 100, 5_050)]


def test_connections_tell_the_server_of_what_has_no_id(lake: Lake):
    """Through a gateway to a service nobody runs: stitched, it is known who served, and how long."""
    found = dict(lake.read("SELECT cluster, endpoint_id FROM endpoints").rows())
    at = day(13)
    tcp = {"protocol": "TCP", "service": "db.shop", "duration_ms": 9.0}
    log(lake, client(at, None, **tcp), client(at + timedelta(seconds=1), None, **tcp))
    ends = {"client_endpoint_id": found["east"], "server_endpoint_id": found["west"]}
    told = {"start_time": at, "protocol": "TCP", "server_ms": 4.0, "confidence": 0.9}
    edges = schema.complete(pl.DataFrame([ends | told]), schema.EDGES.schema)
    lake.commit(rollup(lake, Window(at, at + timedelta(minutes=1), {"edges": edges})))
    columns = "server_entity, path_model, matched_stitched, confidence, server_duration_ns"
    assert lake.read(
        f"SELECT {columns} FROM edges_1d WHERE bucket_start = '{at}' ORDER BY ALL"
    ).rows() == [
        ("service:db.shop", "gateway", 0, 0.0, None),
        ("west/shop/reviews", "gateway", 1, 0.9, 4_000_000),
    ]


def test_failed_calls_are_the_same_when_they_are_asked_for_again(lake: Lake):
    """Of a minute whose conversations are in the lake by then: their servers, too."""
    found = dict(lake.read("SELECT cluster, endpoint_id FROM endpoints").rows())
    at = day(13) + timedelta(hours=1)
    log(lake, client(at, None, protocol="TCP", service="db.shop", response_flags=["UF"]))
    ends = {"client_endpoint_id": found["east"], "server_endpoint_id": found["west"]}
    told = {"start_time": at, "window_start": at, "protocol": "TCP", "confidence": 0.9}
    edges = schema.complete(pl.DataFrame([ends | told]), schema.EDGES.schema)
    window = Window(at, at + timedelta(minutes=1))
    first = rollup(lake, window._replace(made={"edges": edges})).aside[WRONG_CALLS]
    assert first.select("server_entity", "error").rows() == [("west/shop/reviews", True)]
    lake.commit(Commit({"edges": edges}))
    assert_frame_equal(wrong_calls(lake, window), first)


@pytest.mark.parametrize(
    ("nth", "calls", "elsewhere", "expected"),
    [
        (1, [{"attempts": 2}], False, (1, 1, 0, 1, 20_000_000)),
        (2, [{"attempts": 1}, {}], False, (2, 2, 0, 0, None)),
        (3, [{"attempts": 1}, {}], True, (2, 0, 2, 0, None)),
    ],
    ids=["tried twice", "two calls", "two calls, two servers"],
)
def test_an_id_that_others_have_too_tells_no_more_than_they_have_in_common(
    lake: Lake,
    nth: int,
    calls: list[dict[str, Any]],
    elsewhere: bool,
    expected: tuple[int | None, ...],
):
    """Two servers' records of one id: of two calls nobody knows whose is which."""
    at = day(14) + timedelta(hours=nth)
    found = dict(lake.read("SELECT cluster, endpoint_id FROM endpoints").rows())
    other = {"dst_endpoint_id": found["east"]} if elsewhere else {}
    log(
        lake,
        *(client(at, "fixed", duration_ms=50.0, **values) for values in calls),
        server(at, "fixed", duration_ms=4.0),
        server(at + timedelta(seconds=1), "fixed", duration_ms=20.0, **other),
    )
    roll(lake, at)
    columns = (
        "requests, matched_request_id, matched_service_in_cluster, server_timed, server_duration_ns"
    )
    assert lake.read(f"SELECT {columns} FROM edges_1m WHERE bucket_start = '{at}'").rows() == [
        expected
    ]


@pytest.mark.parametrize("shared", [0.1, 0.7], ids=["most have an id", "few have"])
def test_a_minute_is_added_up_as_all_records_are(lake: Lake, shared: float):
    """Ids that one call has, that several have, that few records have; whichever way it is read."""
    at = day(16) + shared * timedelta(hours=10)
    dice = random.Random(16)
    rows = random_rows(16, at - timedelta(seconds=10), 2, 400)
    for row in rows:
        if dice.random() < shared:
            row["request_id"] = f"shared-{dice.randrange(40)}"
        if dice.random() < 0.1:
            row["authority"] = dice.choice(["reviews.shop:80", None])
            row["log_type"] = dice.choice([None, "end", "start"])
            row["is_health_check"] = dice.choice([None, False, True])
        row["policy"] = dice.choice([None, "ns/only-frontend"])
        row[f"{'up' if row['reporter'] == 'source' else 'down'}stream_peer_identity"] = dice.choice(
            [None, "spiffe://mesh/someone"]
        )
    log(lake, *rows)
    window = Window(at, at + timedelta(minutes=1))
    told = recorded(lake, window)
    left = others(*told).height / told.requests.height
    assert 0.05 < left < 0.45 if shared < 0.5 else 0.55 < left < 0.95
    sql = of_records(window.start, window.end, "lake.crosspane.")
    expected = asked(lake, sql[rollups.EDGES], {})
    assert expected["requests"].sum() > 100
    order = [column.name for column in rollups.EDGES.key]
    of_lake = rollup(lake, window).frames["edges_1m"]
    aside = rollup(lake, window._replace(made=told.aside())).frames["edges_1m"]
    for made in (of_lake, aside):
        assert_frame_equal(made.sort(order), expected.sort(order), check_row_order=True)


@pytest.mark.parametrize("level", ["service", "gateway"])
def test_a_graph_of_rollups_is_that_of_records(lake: Lake, level: str):
    """Whichever minutes are worked out; what a span cuts of a minute is of records anyway."""
    at = day(12) + timedelta(hours=7, minutes=9)
    minutes = [at + timedelta(minutes=n) for n in range(3)]
    if level == "service":
        log(lake, *random_rows(12, at, 3, 150))
        capture(lake, *(flow(minute, 100 + n) for n, minute in enumerate(minutes)))
        roll(lake, *minutes)
    since, until = at + timedelta(seconds=30), at + timedelta(minutes=2, seconds=40)
    of_records = graph(lake.connection, level, since, until)
    assert of_records.edges["requests"].sum() > 50
    exact = pl.exclude("p50_ms", "p95_ms", "state")
    for worked_out in ([0, 1, 2], [0, 2]):
        rows = [(start, n not in worked_out, day(30)) for n, start in enumerate(minutes)]
        frame = pl.DataFrame(rows, schema.WINDOWS.schema, orient="row")
        lake.commit(Commit({"windows": frame}, replaced={"windows": "window_start"}))
        of_rollups = graph(lake.connection, level, since, until)
        assert_frame_equal(of_rollups.edges.select(exact), of_records.edges.select(exact))
        assert_frame_equal(of_rollups.nodes, of_records.nodes)
    parts = [(since, minutes[1]), (since, until)]
    for of_both, span in zip(graphs(lake.connection, level, parts), parts, strict=True):
        alone = graph(lake.connection, level, *span)
        assert_frame_equal(of_both.edges, alone.edges)
        assert_frame_equal(of_both.observers, alone.observers)
    lake.connection.execute("DELETE FROM windows")


def test_a_minute_copies_what_names_need_and_no_conversations():
    """Whole tables go into memory for it: those of the inventory, never `legs`, which grow."""
    queries = of_records(day(24), day(24) + timedelta(minutes=1), "lake.crosspane.")
    names = {"clusters", "endpoints", "gateways", "vantages"}
    assert [sources(query) for query in queries.values()] == [names, names | {"prefixes"}]


def test_counts_are_those_of_the_demo(demo: tuple[Path, str], tmp_path: Path):
    """Of 1,948 calls that real proxies logged in three minutes, all are in one edge of each."""
    shutil.copytree(demo[0] / "lake", tmp_path / "lake")
    with Lake(tmp_path / "lake") as lake:
        minutes = lake.read(
            "SELECT DISTINCT time_bucket(INTERVAL 1 MINUTE, start_time) FROM requests"
        )
        roll(lake, *minutes.to_series())
        assert counted(lake, day(24)) == 1_948
        near = lake.read("""SELECT max(abs(m.p95_ms - e.p95_ms) / e.p95_ms), count(*) FROM v_edges e
            JOIN v_edges_1m m ON m.bucket_start = e.minute AND m.client_entity = e.client_entity
            AND m.server_entity = e.server_entity AND m.gateway IS NOT DISTINCT FROM e.gateway""")
        assert near.row(0)[0] <= 0.03
        assert near.row(0)[1] > 20
