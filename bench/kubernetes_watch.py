"""
A watch of an API server: how many changes a second it takes, and whether any is missed.

First the watch alone: another process writes events of pods of 8 kB, as a real
kube-apiserver has them, as fast as they are read, and then ``--rate`` a second.
Beside it the least a program does that reads them: `json.loads` of each line.

Then a real kube-apiserver with etcd, on this machine, whose pods several
processes make, patch and delete: as many changes a second as it takes, up to
``--rate``. In the end what was shipped must be what a fresh list says.

``python -m bench.kubernetes_watch --seconds 60`` is the long run.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.measure import clock
from collectors import change
from collectors.batch import Batcher
from collectors.config import BatchConfig, KubernetesInput
from collectors.envelope import Header
from collectors.kubernetes.resources import RESOURCES
from collectors.kubernetes.run import watch
from collectors.ship import Parcel

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from apiserver import ApiServer, Client, run_apiserver

EVENTS = 100_000
SCRIPTED = 501
WRITERS = 4
PODS = "/api/v1/namespaces/default/pods"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
_CONTAINER = {
    "name": "app",
    "image": "registry.example/shop/checkout:1.27.3",
    "env": [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(20)],
    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
}
_STATUS = {
    "phase": "Running",
    "podIPs": [{"ip": "10.0.0.7"}],
    "podIP": "10.0.0.7",
    "startTime": "2026-11-26T10:00:00Z",
}


def pod(name: str) -> dict[str, Any]:
    """A pod to make."""
    spec = {"nodeName": "node-1", "containers": [_CONTAINER, _CONTAINER | {"name": "proxy"}]}
    return {"metadata": {"name": name, "labels": {"app": "checkout"}}, "spec": spec}


class Taken:
    """A shipper that keeps what an API server's objects come to."""

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()
        self.trouble = ""
        self.count = 0
        self.there: dict[str, int] = {}
        self.dropped: dict[str, int] = {}

    def offer(self, parcel: Parcel) -> bool:
        """Take an envelope."""
        self.dropped |= parcel.envelope.header.dropped
        for text in parcel.envelope.payloads["payload"].to_pylist():
            one = change.decode(text)
            self.count += one.op in {"put", "delete"}
            if one.op == "put":
                self.there[one.uid] = one.version
            elif one.op == "delete":
                self.there.pop(one.uid, None)
        return True


@contextmanager
def watching(taken: Taken, **settings: Any) -> Iterator[None]:
    """Watch pods, in a thread."""
    config = KubernetesInput(
        without=tuple(name for name in RESOURCES if name != "pods"), **settings
    )
    batcher = Batcher(Header("bench", "bench", "bench", "kubernetes"), BatchConfig())
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(config, batcher, taken, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until(what: Callable[[], bool], limit_s: float = 120.0) -> None:
    """Wait until this is so."""
    end_s = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > end_s:
            raise TimeoutError("it did not come to that")
        time.sleep(0.005)


def events(line: bytes, first: int, count: int) -> bytes:
    """Lines of ``count`` changes of `SCRIPTED` pods; one in ten deletes its pod."""
    return b"".join(
        line.replace(b"@uid", b"uid-%d" % (number % SCRIPTED))
        .replace(b"@version", b"%d" % (number + 2))
        .replace(b"@type", b"DELETED" if is_deleted(number) else b"MODIFIED")
        for number in range(first, first + count)
    )


def is_deleted(number: int) -> bool:
    """Whether the change of that number is a deletion: not of the same pods each time."""
    return number * 7 // SCRIPTED % 10 == number % 10


def serve(line: bytes, count: int, rate: float, port: Connection) -> None:
    """Answer a list with nothing, and a watch with ``count`` events, ``rate`` a second."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(_HEAD)
        if b"watch=1" in asked:
            began_s = time.monotonic()
            for first in range(0, count, 50):
                await asyncio.sleep(max(0.0, began_s + first / rate - time.monotonic()))
                writer.write(events(line, first, 50))
                await writer.drain()
            await asyncio.sleep(3_600)
        writer.write(b'{"metadata":{"resourceVersion":"1"},"items":[]}')
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await asyncio.sleep(3_600)

    asyncio.run(run())


def alone(server: ApiServer, seconds: float, rate: float) -> None:
    """The watch by itself, with an event of a real server: as fast as it goes, and at a rate."""
    server.make(PODS, pod("sample"))
    made = server.patch(f"{PODS}/sample/status", {"status": _STATUS})
    server.delete(f"{PODS}/sample")
    made["metadata"] |= {"uid": "@uid", "resourceVersion": "@version"}
    line = json.dumps({"type": "@type", "object": made}).encode() + b"\n"
    print(f"watch alone: events of {len(line):,} bytes, trimmed, shipped and read again")
    for name, count, at in (
        ("as fast as it goes", EVENTS, float("inf")),
        (f"{rate:,.0f} a second", int(seconds * rate) // 50 * 50, rate),
    ):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(line, count, at, theirs), daemon=True)
        process.start()
        taken = Taken()
        began = clock()
        with watching(taken, server=f"http://127.0.0.1:{ours.recv()}"):
            until(lambda: taken.count >= count, seconds + 120)  # noqa: B023 called at once
        ended = clock()
        process.kill()
        process.join()
        last = {f"uid-{number % SCRIPTED}": number for number in range(count)}
        there = {uid: number + 2 for uid, number in last.items() if not is_deleted(number)}
        if taken.there != there or taken.dropped:
            raise AssertionError("what was shipped is not what was sent")
        tell(name, count, ended.wall_s - began.wall_s, ended.cpu_s - began.cpu_s)
    began = clock()
    for _ in range(EVENTS // 10):
        json.loads(line)
    ended = clock()
    tell("json.loads alone", EVENTS // 10, ended.wall_s - began.wall_s, ended.cpu_s - began.cpu_s)


def tell(name: str, count: int, wall_s: float, cpu_s: float) -> None:
    """One line for people."""
    print(f"  {name:<24}{count / wall_s:>12,.0f} changes/s{cpu_s / count * 1e6:>10.1f} CPU-µs each")


def write(url: str, ca_file: Path, *, number: int, seconds: float, rate: float, done: Any) -> None:
    """Make, patch and delete pods; how many changes that were."""
    client, count, began_s = Client(url, ca_file), 0, time.monotonic()
    while (passed_s := time.monotonic() - began_s) < seconds:
        if count > passed_s * rate:
            time.sleep(0.001)
            continue
        name = f"bench-{number}-{count // 10 % 100}"
        if client.ask("POST", PODS, pod(name))[0] == 201:
            count += 1
        for part in range(8):
            status = _STATUS | {"podIPs": [{"ip": f"10.0.{part}.7"}], "podIP": f"10.0.{part}.7"}
            client.patch(f"{PODS}/{name}/status", {"status": status})
            count += 1
        if count // 10 % 4:
            client.delete(f"{PODS}/{name}")
            count += 1
    client.close()
    done.put(count)


def real(server: ApiServer, seconds: float, rate: float) -> None:
    """Against a real server: every change of it, and the state in the end."""
    taken = Taken()
    done: Any = multiprocessing.Queue()
    with watching(
        taken,
        server=server.url,
        ca_file=str(server.ca_file),
        token_file=str(server.admin_token_file),
    ):
        time.sleep(1)
        began = clock()
        writers = [
            multiprocessing.Process(
                target=write,
                args=(server.url, server.ca_file),
                kwargs={"number": number, "seconds": seconds, "rate": rate / WRITERS, "done": done},
            )
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        made = sum(done.get() for _ in writers)
        for writer in writers:
            writer.join()
        wrote_s = clock().wall_s - began.wall_s
        fresh = {
            one["metadata"]["uid"]: int(one["metadata"]["resourceVersion"])
            for one in server.get(PODS)["items"]
        }
        until(lambda: taken.there == fresh)
        ended = clock()
    print(
        f"real kube-apiserver on this machine: {made:,} changes in {wrote_s:.0f} s,"
        f" {WRITERS} writers"
    )
    tell("crosspane", taken.count, wrote_s, ended.cpu_s - began.cpu_s)
    print(
        f"  {len(fresh):,} pods in the end, as a fresh list has them;"
        f" lost: {taken.dropped or 'none'}"
    )


def main() -> None:
    """Both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=5_000.0, help="changes a second, at most")
    options = parser.parse_args()
    with run_apiserver() as server:
        alone(server, options.seconds, options.rate)
        real(server, options.seconds, options.rate)


if __name__ == "__main__":
    main()
