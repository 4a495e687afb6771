"""
What follows from the minutes, beside what it costs to take their records in.

Access log lines of both proxies of each call and of gateways are read from files by an
agent of each cluster; they, and flow records, go from the log into the lake, where as many
of each minute of the hour before are; then each minute is stitched, rolled up, judged and
searched for findings, as the job does it. The minute before them is worked out first, and told
by itself: a job that starts copies the inventory.
Besides: a minute of which only probes tell, and one question asked of rows and of rollups.
"""

import argparse
import json
import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa

from bench.access_log import fields
from bench.measure import Result, measure, report
from bench.traffic import EXPORT_S, PODS, flow_messages, make_inventory, network_of
from collectors import envelope
from collectors.agent import Status
from collectors.agent import run as run_agent
from collectors.config import AgentConfig, SpoolConfig
from collectors.config.inputs import TailInput
from collectors.log.local import LocalReader, LocalWriter
from pipeline import schema
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.known import Known
from pipeline.lake import Commit, Lake, sync_inventory
from pipeline.run import run
from pipeline.schema.literals import literal
from pipeline.windows import STAGES, Stage, Window, Windows

_CALLS: Final = 300_000
_MINUTES: Final = 5
_BEFORE: Final = 60
_EDGES: Final = 1_000
_A_BATCH: Final = 5_000
_ERRORS: Final = 100
"""One call in so many fails."""
_VIA: Final = 5
"""One edge in so many goes through a gateway, and the gateway tells of connections of so many."""
_A_CONNECTION: Final = 100
_PROXIES: Final = 50
"""Files that the agent of a cluster reads."""
_QUIET: Final = 3
"""Minutes of which probes tell."""
_TARGETS: Final = 20
_BEGIN: Final = datetime.fromtimestamp(EXPORT_S // 60 * 60, UTC)
_MINUTE: Final = timedelta(minutes=1)
_HERE, _BEYOND = 0, 1
_GATEWAY: Final = "203.0.113.1"
_COMMIT: Final = "commit"
_ASKED: Final = ("stitch", "rollup", "health")
"""Stages that shall together take no more than 30% of what ingest takes."""


class _Timed(Windows):
    """CPU seconds of each stage, and of the commit."""

    spent: Counter[str]

    def _part(self, stage: Stage, window: Window) -> Commit | None:
        part: list[Commit | None] = []
        cost = measure(lambda: part.append(super(_Timed, self)._part(stage, window)))
        self.spent[next(name for name, one in STAGES.items() if one is stage)] += cost.cpu_s
        return part[0]


def main(calls: int = _CALLS, minutes: int = _MINUTES, before: int = _BEFORE) -> None:
    """Print costs, and their ratio to the cost of ingest; ``before``: minutes of records before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inventory").mkdir()
        _gateways().write_parquet(folder / "inventory" / "gateways.parquet")
        loaded = make_inventory(folder / "inventory")
        where = LakeConfig(directory=str(folder / "lake"))
        config = Config(lake=where, job=JobConfig(work_out=()))
        lines = _write(folder, config.topic_prefix, calls, minutes)
        carried = [measure(partial(_carry, folder, cluster, lines[cluster])) for cluster in lines]
        agents_s = sum(cost.cpu_s for cost in carried)
        with Lake(folder / "lake") as lake, LocalReader(folder / "log") as reader:
            sync_inventory(lake, loaded.tables)
            known, stop = Known(loaded), threading.Event()
            taken = measure(lambda: run(reader, lake, known, config, stop=stop, until_idle=True))
            records = lake.read(
                "SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM flows)"
            ).item()
            _repeat(lake, minutes, before)
            print(f"stages: {records:,} records of {calls:,} calls, {minutes} minutes")
            counted = "SELECT coalesce(sum(requests), 0)::BIGINT FROM edges_1d"
            first = _work_out(lake, _within(-1, 0))
            before_them = lake.read(counted).item()
            spent = _work_out(lake, _within(0, minutes))
            told = lake.read(counted).item() - before_them
            assert told == calls, told  # noqa: S101 - a bench of wrong results is none
            spent[", ".join(_ASKED)] = sum(spent[stage] for stage in _ASKED)
            for stage, cpu_s in spent.items():
                print(
                    f"  {stage:<22}{cpu_s / minutes * 1e3:>10,.0f} ms CPU a minute"
                    f"{cpu_s / (agents_s + taken.cpu_s):>8.1%} of the CPU of ingest"
                    f"{cpu_s / taken.cpu_s:>8.1%} of the job's part of it"
                )
            print(
                f"  {'first':<22}{first['together'] * 1e3:>10,.0f} ms CPU, the minute before these:"
                " the inventory is copied to memory, once"
            )
            results = [
                Result(f"ingest: agent of cluster-{cluster}, files to the log", told, cost)
                for (cluster, told), cost in zip(lines.items(), carried, strict=True)
            ]
            results.append(Result("ingest: log to named rows in the lake", records, taken))
            report("", results)
            probes = _probes(_BEGIN + timedelta(hours=2))
            lake.commit(Commit({"probes": probes}))
            quiet = _work_out(lake, {"probes": probes})
            told = ", ".join(f"{name} {cpu / _QUIET * 1e3:,.0f}" for name, cpu in quiet.items())
            print(f"  a minute of probes alone, ms CPU: {told}")
            _ask(lake)


def _write(folder: Path, topic_prefix: str, calls: int, minutes: int) -> Counter[int]:
    """Lines to files of each cluster's proxies, flow records to the log; how many lines."""
    count: Counter[int] = Counter()
    topic = envelope.topic(topic_prefix, "netflow", f"cluster-{_HERE}")
    sent = 0
    with LocalWriter(folder / "log", fsync="never") as log:
        for first in range(0, calls, _A_BATCH):
            numbers = np.arange(first, first + _A_BATCH)
            at_us = _BEGIN.timestamp() * 1e6 + minutes * 60e6 * numbers / calls
            at_us = at_us.astype(np.int64)
            for cluster, told in _told(first, at_us).items():
                for proxy in range(_PROXIES):
                    path = _file(folder, cluster, proxy)
                    path.parent.mkdir(exist_ok=True)
                    with path.open("ab") as file:
                        file.write(b"".join(line + b"\n" for line in told[proxy::_PROXIES]))
                count[cluster] += len(told)
            flows = _flows(numbers, at_us, first)
            log.append(topic, b"node-1", _envelope(sent, flows, int(at_us[-1]) * 1_000))
            sent += len(flows)
    return count


def _file(folder: Path, cluster: int, proxy: int | str) -> Path:
    return folder / f"cluster-{cluster}" / f"pod-{proxy}.log"


def _carry(folder: Path, cluster: int, lines: int) -> None:
    """What the agent of a cluster does: lines of files to the log, without what is private."""
    stop = threading.Event()
    agent = AgentConfig(
        name=f"node-{cluster}",
        cluster=f"cluster-{cluster}",
        network=network_of(cluster),
        inputs=(TailInput(paths=(str(_file(folder, cluster, "*")),)),),
        spool=SpoolConfig(directory=str(folder / f"agent-{cluster}")),
    )

    def look(status: Status) -> None:
        if status.received["access_log"] == lines:
            stop.set()

    with LocalWriter(folder / "log", fsync="never") as log:
        status = run_agent(agent, log, stop, look, spooling=False)
    assert status.shipped == lines, status  # noqa: S101 - a bench of wrong results is none


def _repeat(lake: Lake, minutes: int, before: int) -> None:
    """Let the same have been recorded in so many minutes before."""
    span = f"start_time >= {literal(_BEGIN)}"
    for back in range(minutes, before + 1, minutes):
        for table, times in (("requests", ["start_time"]), ("flows", ["start_time", "end_time"])):
            earlier = ", ".join(f"{time} - INTERVAL {back} MINUTE AS {time}" for time in times)
            lake.connection.execute(
                f"INSERT INTO {table} SELECT * REPLACE ({earlier}) FROM {table} WHERE {span}"  # noqa: S608
            )


def _work_out(lake: Lake, rows: dict[str, pl.DataFrame]) -> Counter[str]:
    """CPU seconds by stage of the minutes that rows are of."""
    windows = _Timed(lake, timedelta(0), timedelta(days=1), tuple(STAGES.values()))
    windows.spent = Counter()
    marked = windows.mark({name: _typed(frame) for name, frame in rows.items()}, None)
    lake.commit(Commit({"windows": marked}, replaced={"windows": "window_start"}))
    whole = measure(lambda: windows.close(None, everything=True))
    windows.spent[_COMMIT] = whole.cpu_s - windows.spent.total()
    windows.spent["together"] = whole.cpu_s
    return windows.spent


def _within(since: int, until: int) -> dict[str, pl.DataFrame]:
    """Rows of which the minutes of a span are, by their numbers."""
    starts = [_BEGIN + (number + 0.5) * _MINUTE for number in range(since, until)]
    return {"requests": pl.DataFrame({"start_time": starts})}


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col("start_time").cast(schema.TIME))


def _ask(lake: Lake) -> None:
    """The ten slowest edges, of rows and of rollups."""
    asked = """SELECT client_entity, server_entity, sum(requests), max(p95_ms) AS worst FROM {}
        GROUP BY ALL ORDER BY worst DESC LIMIT 10"""
    for view in ("v_edges", "v_edges_1m", "v_edges_1h"):
        lake.read(asked.format(view))
        cost = measure(lambda view=view: lake.read(asked.format(view)))
        print(f"  slowest edges of {view:<12}{cost.wall_s * 1e3:>10,.0f} ms")


def _gateways() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "network": [network_of(_HERE)],
            "ip": [_GATEWAY],
            "port": [15443],
            "cluster": [f"cluster-{_BEYOND}"],
            "to_network": [network_of(_BEYOND)],
            "name": ["gateway-1"],
        }
    )


def _probes(first: datetime) -> pl.DataFrame:
    """Tries of an agent to reach its targets, once in each quiet minute."""
    rows = [
        {
            "start_time": first + minute * _MINUTE,
            "received_time": first + minute * _MINUTE,
            "vantage_id": target,
            "target": f"target-{target}",
            "kind": "tcp",
            "outcome": "ok",
            "connect_ms": 1.0,
            "total_ms": 1.0,
        }
        for minute in range(_QUIET)
        for target in range(_TARGETS)
    ]
    return schema.complete(pl.DataFrame(rows), schema.PROBES.schema)


def _told(first: int, at_us: np.ndarray) -> dict[int, list[bytes]]:
    """By cluster the lines that its proxies write of calls that began then."""
    times = np.datetime_as_string(at_us.astype("M8[us]"))
    lines: dict[int, list[bytes]] = {_HERE: [], _BEYOND: []}
    for number, time in enumerate(times, first):
        for cluster, line in _lines(number):
            lines[cluster].append(json.dumps(line | {"start_time": f"{time}Z"}).encode())
    return lines


def _envelope(first: int, flows: list[bytes], received_ns: int) -> bytes:
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(np.full(len(flows), received_ns)),
            pa.array(["192.0.2.1"] * len(flows)).dictionary_encode(),
            pa.array(flows, pa.binary()),
        ],
        schema=envelope.SCHEMA,
    )
    header = envelope.Header(
        agent="node-1",
        cluster=f"cluster-{_HERE}",
        network=network_of(_HERE),
        kind="netflow",
        first_sequence=first,
    )
    return envelope.encode(envelope.Envelope(header, batch))


def _edge(number: int) -> int:
    return number * 7919 % _EDGES


def _lines(number: int) -> list[tuple[int, dict[str, object]]]:
    """Cluster and line of each proxy that tells of one call."""
    edge = _edge(number)
    assert edge < PODS  # noqa: S101
    client, server = f"10.0.0.{edge % 250}", f"10.0.{1 + edge // 250}.{edge % 250}"
    via, service = edge % _VIA == 0, f"s-{edge % 40}.shop.svc"
    port = 40_000 + number // _A_CONNECTION % 10_000
    failed = number % _ERRORS == 0
    same = fields(number) | {
        "authority": f"{service}:9080",
        "response_code": 503 if failed else 200,
        "response_flags": "UF" if failed else "-",
        "upstream_host": f"{server}:9080",
    }
    asked = same | {
        "upstream_cluster": f"outbound|9080||{service}",
        "upstream_local_address": f"{client}:{port}",
        "downstream_remote_address": f"{client}:{port - 10_000}",
        "upstream_host": f"{_GATEWAY}:15443" if via else f"{server}:9080",
    }
    served = same | {
        "upstream_cluster": "inbound|9080||",
        "downstream_local_address": f"{server}:9080",
        "downstream_remote_address": f"10.0.0.2:{port}" if via else f"{client}:{port}",
        "upstream_local_address": "127.0.0.6:40000",
    }
    told = [(_HERE, asked), (_BEYOND if via else _HERE, served)]
    if via and number // _EDGES % _A_CONNECTION == 0:
        passed = dict.fromkeys(same) | {
            "traffic_direction": "gateway",
            "requested_server_name": f"outbound_.9080_._.{service}",
            "upstream_cluster": f"outbound_.9080_._.{service}",
            "upstream_host": f"{server}:9080",
            "upstream_local_address": f"10.0.0.2:{port}",
            "downstream_local_address": "10.0.0.2:15443",
            "downstream_remote_address": f"198.18.0.1:{port}",
            "response_code": 0,
            "response_flags": "-",
            "duration": 1_000,
            "bytes_received": 100_000,
            "bytes_sent": 200_000,
        }
        told.append((_BEYOND, passed))
    return told


def _flows(numbers: np.ndarray, at_us: np.ndarray, first: int) -> list[bytes]:
    """Datagrams about a connection of each call."""
    edge = numbers * 7919 % _EDGES
    client = (10 << 24) + edge % 250
    server = (10 << 24) + ((1 + edge // 250) << 8) + edge % 250
    target = np.where(edge % _VIA == 0, 203 << 24 | 113 << 8 | 1, server)
    port = 40_000 + numbers // _A_CONNECTION % 10_000
    return flow_messages(client, target, port, at_us // 1_000, first_sequence=first)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=_CALLS)
    parser.add_argument("--minutes", type=int, default=_MINUTES)
    parser.add_argument("--before", type=int, default=_BEFORE)
    given = parser.parse_args()
    main(given.calls, given.minutes, given.before)
