"""
A day of ten clusters, as a lake: flows and requests made by the column, rolled up in bulk.

Each of 400 workloads calls five others, half of them elsewhere: flat between clusters
of one network, else through a gateway. Both proxies tell of a call; node exporters of
either end tell of its flows, there and back. Between 14:05 and 14:20 one gateway fails;
calls of one pair are in plaintext.

Rollups are made by the SQL that the job has (`pipeline.rollup.of_records`), an hour at a
time instead of a minute. Health and security of one minute are worked out by their
stages, and stand for every minute.

Before: pane.py. Not a bench by itself.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from pipeline import schema
from pipeline.health.stage import health
from pipeline.lake import Commit, Lake
from pipeline.rollup import of_records
from pipeline.schema import rollups
from pipeline.schema.literals import literal, within
from pipeline.views.rollups import merged
from pipeline.windows import Window

DAY: Final = datetime(2026, 11, 24, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_CLUSTERS: Final = 10
_WORKLOADS: Final = 40
_REPLICAS: Final = 3
_CALLED: Final = 5
_EDGES: Final = _CLUSTERS * _WORKLOADS * _CALLED
_EXPORTERS: Final = 1_000
"""From here on ids are of exporters of flows; below, of proxies."""
_TEN: Final = 0xFFFF << 32 | 10 << 24
_GATEWAYS: Final = 0xFFFF << 32 | 203 << 24 | 113 << 8
_PROVIDERS: Final = (
    *(("aws", "us-east-1"), ("aws", "eu-west-1"), ("gcp", "us-west1"), ("gcp", "europe-west1")),
    *(("azure", "westeurope"), ("azure", "eastus"), ("aws", "ap-south-1"), ("onprem", "dc1")),
    *(("gcp", "asia-east1"), ("azure", "japaneast")),
)
_DOORS: Final = 100_000
"""From here on ids are of gateways, as each network sees them."""
_FAILING: Final = 3
"""The cluster whose gateway fails."""

_NETWORK: Final = "greatest({}, 1) - 1"  # the first two clusters share one
_TIME: Final = "TIMESTAMPTZ '{start}' + to_microseconds((n - {first}) * 3600000000 // greatest({last} - {first}, 1))"
_CALL: Final = f"""
    SELECT *, {_NETWORK.format("client")} AS client_net, {_NETWORK.format("server")} AS server_net,
        client_net <> server_net AS through,
        through AND server = {_FAILING} AND start_time BETWEEN {literal(DAY + timedelta(hours=14, minutes=5))}
            AND {literal(DAY + timedelta(hours=14, minutes=20))} AS lost,
        (client * {_WORKLOADS} + caller) * {_REPLICAS} + hash(n) % {_REPLICAS} AS client_pod,
        (server * {_WORKLOADS} + called) * {_REPLICAS} + hash(n + 1) % {_REPLICAS} AS server_pod
    FROM (
        SELECT n, (hash(n + 2) % {_EDGES}) AS edge, edge // {_CALLED} // {_WORKLOADS} AS client,
            edge // {_CALLED} % {_WORKLOADS} AS caller,
            CASE WHEN hash(edge) % 2 = 0 THEN client ELSE hash(edge + 1) % {_CLUSTERS} END AS server,
            hash(edge + 2) % {_WORKLOADS} AS called, {_TIME} AS start_time
        FROM range({{first}}, {{last}}) AS numbers(n))"""
_REQUEST: Final = """start_time, start_time + INTERVAL 1 SECOND AS received_time, 'HTTP/2' AS protocol,
    'GET' AS method, 'w' || called AS authority, '/' AS path, 'w' || called || '.c' || server AS service,
    CASE WHEN lost THEN 503 WHEN hash(n + 6) % 1000 = 0 THEN 500 ELSE 200 END AS status, 'r' || n AS request_id,
    300 AS bytes_received, 4_000 AS bytes_sent, CASE WHEN edge <> 7 THEN 'TLSv1.3' END AS upstream_tls,
    'resolved' AS src_resolution, 'resolved' AS dst_resolution"""


def world() -> dict[str, pl.DataFrame]:
    """Networks, clusters, pods, gateways, and who observes."""
    numbers = range(_CLUSTERS)
    net = [max(n, 1) - 1 for n in numbers]
    clusters = [
        {"cluster": f"c{n}", "provider": cloud, "region": region, "network": f"net-{net[n]}"}
        for n, (cloud, region) in enumerate(_PROVIDERS)
    ]
    pods = [
        {
            "endpoint_id": (n * _WORKLOADS + workload) * _REPLICAS + replica,
            "network": f"net-{net[n]}",
            "cluster": f"c{n}",
            "kind": "pod",
            "endpoint_ip_hi": 0,
            "endpoint_ip_lo": _address(n, workload * _REPLICAS + replica),
            "namespace": f"ns{workload % 8}",
            "workload": f"w{workload}",
            "service": f"w{workload}.c{n}",
            "node": f"n{replica}",
            "pod": f"w{workload}-{replica}",
        }
        for n in numbers
        for workload in range(_WORKLOADS)
        for replica in range(_REPLICAS)
    ]
    gateways = [
        {
            "gateway_id": to,
            "network": f"net-{net[seen]}",
            "gateway_ip_hi": 0,
            "port": 15443,
            "gateway_ip_lo": _GATEWAYS + to,
            "cluster": f"c{to}",
            "name": f"gw{to}",
            "to_network": f"net-{net[to]}",
        }
        for seen in numbers
        for to in numbers
        if net[seen] != net[to] and seen != 1
    ]
    doors = [
        {
            "endpoint_id": _DOORS + seen * 100 + to,
            "network": f"net-{seen}",
            "cluster": f"c{to}",
            "endpoint_ip_hi": 0,
            "endpoint_ip_lo": _GATEWAYS + to,
            "kind": "load_balancer",
            "namespace": "istio-system",
            "workload": "eastwest",
        }
        for seen in sorted(set(net))
        for to in numbers
    ]
    vantages = [
        {
            "vantage_id": n + at,
            "cluster": f"c{n}",
            "network": f"net-{net[n]}",
            "agent": f"agent-{n}",
            "exporter": f"{told}-{n}-{at}",
            "format": told,
        }
        for n in numbers
        for at, told in ((0, "envoy_json"), *((_EXPORTERS + k * 100, "ipfix") for k in range(3)))
    ]
    networks = [{"network": f"net-{n}", "model": "flat" if n == 0 else "gateway"} for n in set(net)]
    made = (
        (schema.NETWORKS, networks),
        (schema.CLUSTERS, clusters),
        (schema.ENDPOINTS, [*pods, *doors]),
        (schema.GATEWAYS, gateways),
        (schema.VANTAGES, vantages),
    )
    return {table.name: schema.complete(pl.DataFrame(rows), table.schema) for table, rows in made}


def _address(cluster: int, number: int) -> int:
    """Pods of clusters with networks of their own share addresses."""
    return _TEN + number + (1 << 16 if cluster == 1 else 0)


def _pod_address(cluster: str, pod: str) -> str:
    """SQL of the same, of a pod's endpoint id."""
    return f"({_TEN} + {pod} % {_WORKLOADS * _REPLICAS} + CASE WHEN {cluster} = 1 THEN 65536 ELSE 0 END)"


def _spans(hours: int) -> list[str]:
    """Conditions on buckets, so long each: what is merged at a time fits in memory."""
    starts = [DAY + n * hours * _HOUR for n in range(24 // hours)]
    return [within("bucket_start", start, start + hours * _HOUR) for start in starts]


_LENGTHS: Final = ("10 MINUTES", "1 HOUR", "1 DAY")
_SPANS: Final = (_spans(1), _spans(6), _spans(24))


def fill(lake: Lake, flows: int, requests: int) -> None:
    """The day, an hour a commit, as maintenance leaves them."""
    lake.connection.execute("SET enable_progress_bar = false")
    lake.commit(Commit(world()))
    for hour in range(24):
        start = DAY + hour * _HOUR
        _write_requests(lake, start, *(requests // 2 * n // 24 for n in (hour, hour + 1)))
        _write_flows(lake, start, *(flows // 4 * n // 24 for n in (hour, hour + 1)))
        for of, rows in of_records(start, start + _HOUR).items():
            lake.connection.execute(f"INSERT INTO {of.tables[0].name} BY NAME {rows}")
        _say(f"{start:%H}:00 written")
    for of in (rollups.EDGES, rollups.LEGS):
        for finer, table, length, hours in zip(
            of.tables, of.tables[1:], _LENGTHS, _SPANS, strict=False
        ):
            for span in hours:
                begun = f"time_bucket(INTERVAL {length}, bucket_start)"
                rows = merged(of, begun, f"FROM {finer.name} WHERE {span}")
                lake.connection.execute(f"INSERT INTO {table.name} BY NAME {rows}")
    minutes = pl.datetime_range(
        DAY, DAY + 24 * _HOUR, "1m", closed="left", eager=True, time_zone="UTC"
    )
    windows = minutes.cast(schema.TIME).alias("window_start").to_frame()
    done = windows.with_columns(pl.lit(value=False).alias("stale"))
    lake.commit(Commit({"windows": schema.complete(done, schema.WINDOWS.schema)}))
    _judge(lake)
    calls = lake.read("SELECT sum(requests)::BIGINT FROM edges_1d").item()
    told = lake.read("SELECT count(*) FROM requests WHERE reporter = 'source'").item()
    assert calls == told, (calls, told)  # noqa: S101


def _write_requests(lake: Lake, start: datetime, first: int, last: int) -> None:
    call = _CALL.format(start=start.isoformat(), first=first, last=last)
    took = "exp(hash(n + 5) % 1000 / 200.0)"
    lake.connection.execute(
        f"""INSERT INTO requests BY NAME SELECT {_REQUEST}, client AS vantage_id, {took} AS duration_ms,
            'source' AS reporter, client_pod AS src_endpoint_id,
            CASE WHEN NOT through THEN server_pod END AS dst_endpoint_id, 0 AS upstream_remote_ip_hi,
            CASE WHEN lost THEN ['UH'] ELSE [] END AS response_flags,
            CASE WHEN through THEN {_GATEWAYS} + server ELSE {_pod_address("server", "server_pod")} END
                AS upstream_remote_ip_lo,
            CASE WHEN through THEN 15443 ELSE 8080 END AS upstream_remote_port
        FROM ({call})"""
    )
    lake.connection.execute(
        f"""INSERT INTO requests BY NAME SELECT {_REQUEST}, server AS vantage_id, {took} / 2 AS duration_ms,
            'destination' AS reporter, [] AS response_flags, server_pod AS dst_endpoint_id
        FROM ({call}) WHERE NOT lost"""
    )


def _write_flows(lake: Lake, start: datetime, first: int, last: int) -> None:
    """There and back, each told by the exporters of both ends; where a gateway is, of one."""
    call = _CALL.format(start=start.isoformat(), first=first, last=last)
    for src, dst, octets in (("client", "server", 900), ("server", "client", 9_000)):
        for side in (src, dst):
            ports = ("30000 + hash(n + 7) % 20000", "8080")
            src_port, dst_port = ports if src == "client" else ports[::-1]
            lake.connection.execute(
                f"""INSERT INTO flows BY NAME SELECT start_time, start_time + INTERVAL 2 SECOND AS end_time,
                    start_time + INTERVAL 5 SECOND AS received_time, 6 AS protocol, 1.0 AS sampling_factor,
                    {octets} + hash(n + 8) % 1000 AS bytes, 10 AS packets,
                    {_EXPORTERS} + {side} + 100 * ({side}_pod % 3) AS vantage_id,
                    {src_port} AS src_port, {dst_port} AS dst_port, 0 AS src_ip_hi, 0 AS dst_ip_hi,
                    {_end(src, side, "src")}, {_end(dst, side, "dst")}
                FROM ({call})"""
            )


def _end(end: str, seen_from: str, side: str) -> str:
    """An end as an exporter of one side sees it: what is behind a gateway, as the gateway."""
    hidden = f"through AND {'true' if end != seen_from else 'false'}"
    return f"""CASE WHEN {hidden} THEN {_GATEWAYS} + {end} ELSE {_pod_address(end, f"{end}_pod")} END
            AS {side}_ip_lo,
        CASE WHEN {hidden} THEN {_DOORS} + {seen_from}_net * 100 + {end} ELSE {end}_pod END
            AS {side}_endpoint_id,
        CASE WHEN {hidden} THEN 'gateway' ELSE 'exact' END AS {side}_method,
        'resolved' AS {side}_resolution"""


def _judge(lake: Lake) -> None:
    """Health and security of the last minute, for every minute."""
    last = DAY + 24 * _HOUR - _MINUTE
    rows = lake.read(f"FROM edges_1m WHERE bucket_start = {literal(last)}")
    found = health(lake, Window(last, last + _MINUTE, {"edges_1m": rows}))
    if found is None:
        return
    for name, frame in found.frames.items():
        lake.connection.register("judged", frame.to_arrow())
        lake.connection.execute(
            f"""INSERT INTO {name} BY NAME SELECT judged.* REPLACE (window_start AS minute)
            FROM judged CROSS JOIN (SELECT window_start FROM windows)"""
        )
        lake.connection.unregister("judged")


def _say(text: str) -> None:
    """Progress, where somebody waits for it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"  {text}\n")
