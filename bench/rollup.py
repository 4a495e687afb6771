"""
Edges by the minute and coarser, beside what it costs to take the same lines in.

Access log lines of both proxies of each call go from the log into the lake, and
then their minutes are rolled up; then one question is asked of rows and of rollups.
"""

import json
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.access_log import fields
from bench.measure import Result, measure, report
from bench.traffic import EXPORT_S, PODS, make_inventory, network_of
from collectors import envelope
from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, LakeConfig
from pipeline.known import Known
from pipeline.lake import Lake, sync_inventory
from pipeline.rollup import rollup
from pipeline.run import run
from pipeline.windows import Window

_CALLS = 300_000
_MINUTES = 5
_EDGES = 1_000
_A_BATCH = 5_000
_BEGIN = datetime.fromtimestamp(EXPORT_S // 60 * 60, UTC)
_CLIENTS, _SERVERS = 0, 1


def main() -> None:
    """Print costs, their ratio, and how long a question takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loaded = make_inventory(folder / "inventory")
        config = Config(lake=LakeConfig(directory=str(folder / "lake"), threads=1))
        with LocalWriter(folder / "log", fsync="never") as log:
            for cluster in (_CLIENTS, _SERVERS):
                topic = envelope.topic(config.topic_prefix, "access_log", f"cluster-{cluster}")
                for first in range(0, _CALLS, _A_BATCH):
                    log.append(topic, b"node-1", _envelope(cluster, first))
        with Lake(folder / "lake", threads=1) as lake, LocalReader(folder / "log") as reader:
            sync_inventory(lake, loaded.tables)
            known, stop = Known(loaded), threading.Event()
            taken = measure(lambda: run(reader, lake, known, config, stop=stop, until_idle=True))
            lines = lake.read("SELECT count(*) FROM requests").item()
            windows = [
                Window(start, start + timedelta(minutes=1))
                for start in (_BEGIN + timedelta(minutes=n) for n in range(_MINUTES))
            ]
            rolled = measure(lambda: [lake.commit(rollup(lake, window)) for window in windows])
            calls = lake.read("SELECT sum(requests)::BIGINT FROM edges_1d").item()
            assert (lines, calls) == (2 * _CALLS, _CALLS), (lines, calls)  # noqa: S101
            quiet = Window(_BEGIN + timedelta(hours=2), _BEGIN + timedelta(hours=2, minutes=1))
            nothing = measure(lambda: lake.commit(rollup(lake, quiet)))
            report(
                f"rollup: {lines:,} lines of {calls:,} calls, {_MINUTES} minutes, {_EDGES:,} edges",
                [
                    Result("ingest: log to named rows in the lake", lines, taken),
                    Result("rollup: to 1 min, 10 min, 1 h and 1 day", lines, rolled),
                ],
            )
            share = (rolled.cpu_s - _MINUTES * nothing.cpu_s) / taken.cpu_s
            print(f"  a minute without calls: {nothing.cpu_s * 1e3:,.0f} ms CPU")
            print(f"  what calls add to it: {share:.0%} of the CPU of ingest")
            _ask(lake)


def _ask(lake: Lake) -> None:
    """The ten slowest edges, of rows and of rollups."""
    asked = """SELECT client_entity, server_entity, sum(requests), max(p95_ms) AS worst FROM {}
        GROUP BY ALL ORDER BY worst DESC LIMIT 10"""
    for view in ("v_edges", "v_edges_1m", "v_edges_1h"):
        lake.read(asked.format(view))
        cost = measure(lambda view=view: lake.read(asked.format(view)))
        print(f"  slowest edges of {view:<12}{cost.wall_s * 1e3:>10,.0f} ms")


def _envelope(cluster: int, first: int) -> bytes:
    """Lines of one cluster's proxies about a batch of calls."""
    at = (_BEGIN.timestamp() + np.arange(first, first + _A_BATCH) / _CALLS * _MINUTES * 60) * 1e6
    times = np.datetime_as_string(at.astype("M8[us]"))
    lines = [json.dumps(_line(cluster, first + n, time)) for n, time in enumerate(times)]
    exporters = pa.array([f"pod-{n % 50}" for n in range(_A_BATCH)]).dictionary_encode()
    received = (at * 1_000).astype(np.int64) + 1_000_000_000
    batch = pa.RecordBatch.from_arrays(
        [pa.array(received), exporters, pa.array([line.encode() for line in lines], pa.binary())],
        schema=envelope.SCHEMA,
    )
    header = envelope.Header(
        agent="node-1",
        cluster=f"cluster-{cluster}",
        network=network_of(cluster),
        kind="access_log",
        first_sequence=first,
    )
    return envelope.encode(envelope.Envelope(header, batch))


def _line(cluster: int, number: int, time: str) -> dict[str, object]:
    """A line of the client's proxy, or of the server's, about one call."""
    edge = number * 7919 % _EDGES
    client, server = f"10.0.0.{edge % 250}", f"10.0.{edge // 250}.{edge % 250}"
    assert edge < PODS  # noqa: S101
    ends: dict[str, object] = (
        {
            "upstream_cluster": f"outbound|9080||s-{edge % 40}.shop.svc",
            "upstream_local_address": f"{client}:40000",
        }
        if cluster == _CLIENTS
        else {
            "upstream_cluster": "inbound|9080||",
            "downstream_local_address": f"{server}:9080",
            "upstream_local_address": "127.0.0.6:40000",
        }
    )
    hosts = {"upstream_host": f"{server}:9080", "downstream_remote_address": f"{client}:40000"}
    return fields(number) | ends | hosts | {"start_time": f"{time}Z"}


if __name__ == "__main__":
    main()
