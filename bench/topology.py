"""
A graph of a day of records, of a quarter of an hour of it, and what changed at 14:05.

Ten clusters of 200 workloads, each its own network behind a gateway; half the
calls stay inside. Every call is told by both proxies, so it is two rows. An hour
is a commit, as maintenance leaves them. Beside ours: the view of all time, asked
for the same quarter of an hour.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from bench.measure import measure
from pipeline import schema
from pipeline.lake import Commit, Lake, connect
from pipeline.schema.literals import literal, within
from pipeline.topology import diff, graph

_DAY: Final = datetime(2026, 11, 24, tzinfo=UTC)
_AT: Final = _DAY + timedelta(hours=14, minutes=5)
_QUARTER: Final = timedelta(minutes=15)
_CLUSTERS: Final = 10
_WORKLOADS: Final = 200
_CALLS: Final = 1_000_000
_FLOWS: Final = 500_000
_TEN: Final = 0xFFFF << 32 | 10 << 24
_GATEWAYS: Final = 0xFFFF << 32 | 203 << 24 | 113 << 8
_HOURS: Final = 24
_ROUNDS: Final = 3
_AS_OF_TEN_MILLION: Final = _QUARTER * (10_000_000 / (2 * _CALLS + _FLOWS))
"""As many records as a quarter of an hour holds of a day of 10 million."""

_CALL: Final = f"""SELECT n, hash(n) % {_CLUSTERS} AS client, hash(n + 1) % {_WORKLOADS} AS caller,
        CASE WHEN hash(n + 2) % 2 = 0 THEN client ELSE hash(n + 3) % {_CLUSTERS} END AS server,
        hash(n + 4) % {_WORKLOADS} AS called, 'r' || n AS request_id,
        {literal(_DAY)} + to_microseconds((n * 86_400_000_000 / {{total}})::BIGINT) AS start_time,
        exp(hash(n + 5) % 1000 / 200.0) AS duration_ms
    FROM range({{first}}, {{last}}) AS numbers(n)"""
_REQUEST: Final = """start_time, start_time + INTERVAL 1 SECOND AS received_time, 'HTTP/2' AS protocol,
    'GET' AS method, 'w' || called AS authority, '/' AS path, 'w' || called || '.c' || server AS service,
    CASE WHEN hash(n + 6) % 100 = 0 THEN 503 ELSE 200 END AS status, [] AS response_flags, request_id,
    300 AS bytes_received, 4_000 AS bytes_sent, 'TLSv1.3' AS upstream_tls,
    'resolved' AS src_resolution, 'resolved' AS dst_resolution"""


def _endpoints() -> pl.DataFrame:
    """A pod a workload; pods of different clusters share addresses."""
    rows = [
        {
            "endpoint_id": cluster * _WORKLOADS + workload,
            "network": f"net-{cluster}",
            "endpoint_ip_hi": 0,
            "endpoint_ip_lo": _TEN + workload,
            "kind": "pod",
            "cluster": f"c{cluster}",
            "namespace": f"ns{workload % 20}",
            "workload": f"w{workload}",
            "service": f"w{workload}.c{cluster}",
            "node": f"n{workload % 10}",
        }
        for cluster in range(_CLUSTERS)
        for workload in range(_WORKLOADS)
    ]
    return schema.complete(pl.DataFrame(rows), schema.ENDPOINTS.schema)


def _world() -> dict[str, pl.DataFrame]:
    """Clusters, pods, gateways, and who observes."""
    numbers = range(_CLUSTERS)
    clusters = [{"cluster": f"c{n}", "provider": "aws", "network": f"net-{n}"} for n in numbers]
    gateways = [
        {
            "gateway_id": to,
            "network": f"net-{seen}",
            "gateway_ip_hi": 0,
            "port": 15443,
            "gateway_ip_lo": _GATEWAYS + to,
            "cluster": f"c{to}",
            "name": f"gw{to}",
        }
        for seen in numbers
        for to in numbers
        if seen != to
    ]
    vantages = [
        {"vantage_id": n + at, "cluster": f"c{n}", "network": f"net-{n}", "format": name}
        for n in numbers
        for at, name in ((0, "envoy_json"), (100, "ipfix"))
    ]
    made = ((schema.CLUSTERS, clusters), (schema.GATEWAYS, gateways), (schema.VANTAGES, vantages))
    frames = {table.name: schema.complete(pl.DataFrame(rows), table.schema) for table, rows in made}
    return frames | {"endpoints": _endpoints()}


def _hour(hour: int, total: int) -> str:
    """SQL of what is called in an hour, of so many in the day."""
    first, last = (total * n // _HOURS for n in (hour, hour + 1))
    return _CALL.format(first=first, last=last, total=total)


def _fill(lake: Lake) -> None:
    """A day of calls and flows, an hour a commit."""
    lake.commit(Commit(_world()))
    for hour in range(_HOURS):
        call = _hour(hour, _CALLS)
        lake.connection.execute(
            f"""INSERT INTO requests BY NAME SELECT {_REQUEST}, client AS vantage_id, duration_ms,
                'source' AS reporter, client * {_WORKLOADS} + caller AS src_endpoint_id,
                CASE WHEN client = server THEN server * {_WORKLOADS} + called END AS dst_endpoint_id,
                0 AS upstream_remote_ip_hi, CASE WHEN client = server THEN {_TEN} + called
                    ELSE {_GATEWAYS} + server END AS upstream_remote_ip_lo,
                CASE WHEN client = server THEN 80 ELSE 15443 END AS upstream_remote_port
            FROM ({call})"""
        )
        lake.connection.execute(
            f"""INSERT INTO requests BY NAME SELECT {_REQUEST}, server AS vantage_id,
                duration_ms / 2 AS duration_ms, 'destination' AS reporter,
                server * {_WORKLOADS} + called AS dst_endpoint_id FROM ({call})"""
        )
        lake.connection.execute(
            f"""INSERT INTO flows BY NAME SELECT client + 100 AS vantage_id, start_time,
                start_time AS end_time, start_time AS received_time, 6 AS protocol, 5_000 AS bytes,
                10 AS packets, 1.0 AS sampling_factor, 0 AS src_ip_hi, 0 AS dst_ip_hi,
                {_TEN} + caller AS src_ip_lo, {_TEN} + called AS dst_ip_lo,
                client * {_WORKLOADS} + caller AS src_endpoint_id,
                client * {_WORKLOADS} + called AS dst_endpoint_id, 'resolved' AS src_resolution,
                'resolved' AS dst_resolution, 'exact' AS src_method, 'exact' AS dst_method
            FROM ({_hour(hour, _FLOWS)})"""
        )


def _changed(lake: duckdb.DuckDBPyConnection, level: str, window: timedelta) -> None:
    before = graph(lake, level, _AT - window, _AT)
    diff(before, graph(lake, level, _AT, _AT + window))


def main() -> None:
    """Print what each question costs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        with Lake(root) as lake:
            _fill(lake)
        reader = connect(root, threads=1)
        print(
            f"topology: a day of {2 * _CALLS + _FLOWS:,} records, {2 * _CALLS:,} of them requests"
        )
        filtered = f"""SELECT client_cluster, server_cluster, count(*) FROM v_calls
            WHERE {within("start_time", _AT - _QUARTER, _AT)} GROUP BY ALL"""
        for name, work in {
            "15 min, by cluster": partial(graph, reader, "cluster", _AT - _QUARTER, _AT),
            "15 min, by workload": partial(graph, reader, "workload", _AT - _QUARTER, _AT),
            "what changed at 14:05, 15 min, by cluster": partial(
                _changed, reader, "cluster", _QUARTER
            ),
            "the same, of 10 million a day": partial(
                _changed, reader, "cluster", _AS_OF_TEN_MILLION
            ),
            "the same, by workload": partial(_changed, reader, "workload", _AS_OF_TEN_MILLION),
            "the whole day, by cluster": partial(graph, reader, "cluster"),
            "15 min of v_calls alone, filtered": lambda: reader.execute(filtered).fetchall(),
        }.items():
            costs = sorted(measure(work) for _ in range(_ROUNDS))
            cost = costs[_ROUNDS // 2]
            print(f"  {name:<42}{cost.wall_s:>10.2f} s{cost.cpu_s:>10.2f} CPU-s")
        print()
