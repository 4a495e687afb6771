"""
From the log to committed, named rows, beside nfcapd.

nfcapd receives the same datagrams by UDP and stores raw records, and does
nothing else; ours begins at the log (receiving is `python -m bench receive`'s
matter, not built yet) and ends after the last commit.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.measure import Cost, Result, clock, measure, report
from bench.traffic import RECORDS_A_DATAGRAM, datagrams, make_inventory, network_of
from collectors import envelope
from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.known import Known
from pipeline.lake import Lake, sync_inventory
from pipeline.run import run

_DATAGRAMS = 50_000
_A_BATCH = 1_000
_EXPORTERS = 10
_A_SECOND = 40_000


def main() -> None:
    """Print the comparison."""
    streams = datagrams(_DATAGRAMS, _EXPORTERS)
    messages = [stream[number] for number in range(len(streams[0])) for stream in streams]
    records = len(messages) * RECORDS_A_DATAGRAM
    with tempfile.TemporaryDirectory() as folder:
        results = [
            Result(
                "crosspane: log to named rows in the lake", records, _ours(messages, Path(folder))
            )
        ]
        if shutil.which("nfcapd"):
            received, cost = _nfcapd(messages, Path(folder) / "nfcapd")
            results.append(Result("nfcapd: UDP to raw records in a file", received, cost))
        else:
            sys.stderr.write("no nfcapd to compare with: apt-get install nfdump\n")
    report(f"end to end: {records:,} records of {_EXPORTERS} exporters", results)


def _ours(messages: list[bytes], folder: Path) -> Cost:
    loaded = make_inventory(folder / "inventory")
    where = LakeConfig(directory=str(folder / "lake"))
    config = Config(lake=where, job=JobConfig(work_out=()))
    with LocalWriter(folder / "log", fsync="never") as log:
        topic = envelope.topic(config.topic_prefix, "netflow", "cluster-0")
        for first in range(0, len(messages), _A_BATCH):
            log.append(topic, b"node-1", _envelope(messages[first : first + _A_BATCH], first))
    with Lake(folder / "lake") as lake, LocalReader(folder / "log") as reader:
        sync_inventory(lake, loaded.tables)
        known = Known(loaded)
        cost = measure(
            lambda: run(reader, lake, known, config, stop=threading.Event(), until_idle=True)
        )
        found = lake.read("SELECT count(*), count(src_endpoint_id) FROM flows").row(0)
        expected = len(messages) * RECORDS_A_DATAGRAM
        assert found == (expected, expected), found  # noqa: S101 - a bench of wrong results is none
        parts = lake.read("SELECT sum(decode_ms), sum(enrich_ms), sum(write_ms) FROM commits").row(
            0
        )
    print(f"  of it decode {parts[0]:,.0f} ms, enrich {parts[1]:,.0f} ms, write {parts[2]:,.0f} ms")
    return cost


def _envelope(messages: list[bytes], first: int) -> bytes:
    exporters = pa.array(
        [f"192.0.2.{n % _EXPORTERS}" for n in range(len(messages))]
    ).dictionary_encode()
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(np.full(len(messages), 1_764_000_001_000_000_000, np.int64)),
            exporters,
            pa.array(messages, pa.binary()),
        ],
        schema=envelope.SCHEMA,
    )
    header = envelope.Header(
        agent="node-1",
        cluster="cluster-0",
        network=network_of(0),
        kind="netflow",
        first_sequence=first,
    )
    return envelope.encode(envelope.Envelope(header, batch))


def _nfcapd(messages: list[bytes], folder: Path) -> tuple[int, Cost]:
    """Records stored and the CPU of nfcapd; paced, since nobody else's loss is our gain."""
    folder.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["nfcapd", "-w", str(folder), "-p", str(port), "-b", "127.0.0.1", "-B", "16000000"]
    collector = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    before = clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number, message in enumerate(messages):
            sender.sendto(message, ("127.0.0.1", port))
            ahead_s = number / _A_SECOND - (clock().wall_s - before.wall_s)
            if ahead_s > 0.005:
                time.sleep(ahead_s)
    time.sleep(1)
    wall_s = clock().wall_s - before.wall_s
    collector.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(collector.pid, 0)
    collector.returncode = 0
    done = subprocess.run(
        ["nfdump", "-R", str(folder), "-I"], capture_output=True, text=True, check=True
    )
    stored = sum(
        int(line.split(":")[1]) for line in done.stdout.splitlines() if line.startswith("Flows:")
    )
    return stored, Cost(wall_s, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()
