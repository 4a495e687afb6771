"""
Envoy's access log service, received and shipped on one core, with and without redaction.

A client in another process, on another core, sends as fast as flow control
lets it, over several streams; messages of 30 entries with the fields Envoy
fills. Ours goes all the way: to a batch, compressed, into the local log. Every
message that was sent must be in it. The peer is the least a program does that
decodes what it receives: a loop over the entries that reads a few fields of
each, and keeps nothing.

``python -m bench.als_receive --seconds 600`` is the long run.
"""

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from envoy.service.accesslog.v3 import als_pb2

from bench.measure import clock
from collectors import als
from collectors.batch import Batcher
from collectors.config import AlsInput, BatchConfig, Redact
from collectors.envelope import Header
from collectors.log.local import LocalWriter
from collectors.ship import Shipper

ENTRIES = 30
"""Of a message: Envoy's 16 KiB of buffer, about."""
STREAMS = 8
_KEEP = Redact(query="keep", headers="keep", field_treatment="keep", keep_metadata=("*",))


class Received(NamedTuple):
    """One round: what a receiver took in how long."""

    name: str
    entries: int
    wall_s: float
    cpu_s: float
    memory_mb: float

    def line(self) -> str:
        """One line for people."""
        return (
            f"  {self.name:<42}{self.entries / self.wall_s:>12,.0f} entries/s"
            f"{self.cpu_s / self.entries * 1e6:>9.2f} CPU-s per million"
            f"{self.memory_mb:>8.0f} MB"
        )


def message(number: int, entries: int = ENTRIES) -> bytes:
    """Some entries of a sidecar that calls a service of a mesh."""
    found = als_pb2.StreamAccessLogsMessage()
    for place in range(entries):
        n = number * entries + place
        entry = found.http_logs.log_entry.add(protocol_version=2)
        common = entry.common_properties
        for address, host, port in (
            (common.downstream_remote_address, "10.1.0.7", 32_768 + n % 20_000),
            (common.downstream_local_address, "10.1.3.9", 8080),
            (common.downstream_direct_remote_address, "10.1.0.7", 32_768 + n % 20_000),
            (common.upstream_local_address, "10.1.0.7", 40_000 + n % 20_000),
            (common.upstream_remote_address, f"10.2.{n % 256}.8", 9080),
        ):
            address.socket_address.address, address.socket_address.port_value = host, port
        common.start_time.FromNanoseconds(1_764_000_000_000_000_000 + n * 1_000_003)
        for duration, nanos in (
            (common.time_to_last_rx_byte, 41_000),
            (common.time_to_first_upstream_tx_byte, 512_000),
            (common.time_to_last_upstream_tx_byte, 530_000),
            (common.time_to_first_upstream_rx_byte, 4_000_000 + n % 1_000_000),
            (common.time_to_last_upstream_rx_byte, 4_100_000 + n % 1_000_000),
            (common.time_to_first_downstream_tx_byte, 4_050_000 + n % 1_000_000),
            (common.time_to_last_downstream_tx_byte, 4_150_000 + n % 1_000_000),
            (common.duration, 4_200_000 + n % 1_000_000),
        ):
            duration.nanos = nanos
        common.upstream_cluster = "outbound|9080||reviews.shop.svc.cluster.local"
        common.route_name = "default"
        common.stream_id = f"6f1c2a9e-8d4b-4f7a-9c3e-{n:012x}"
        common.upstream_request_attempt_count = 1
        common.downstream_wire_bytes_received, common.downstream_wire_bytes_sent = 812, 1_930
        common.upstream_wire_bytes_received, common.upstream_wire_bytes_sent = 1_880, 1_020
        tls = common.tls_properties
        tls.tls_version = tls.TLSv1_3
        tls.tls_sni_hostname = "outbound_.9080_._.reviews.shop.svc.cluster.local"
        for certificate, account in (
            (tls.local_certificate_properties, "reviews"),
            (tls.peer_certificate_properties, "web"),
        ):
            certificate.subject_alt_name.add(uri=f"spiffe://cluster.local/ns/shop/sa/{account}")
        request, response = entry.request, entry.response
        request.request_method, request.scheme = 1, "http"
        request.authority, request.path = "reviews:9080", f"/reviews/{n % 1_000}?user={n}&sort=asc"
        request.user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
        request.request_id = f"0b5b8f2e-3f35-4c17-8a31-{n:012x}"
        request.request_headers_bytes, response.response_headers_bytes = 640, 180
        response.response_code.value, response.response_body_bytes = 200, 1_650
        response.response_code_details = "via_upstream"
    return bytes(found.SerializeToString())


def main(seconds: float = 10.0) -> None:
    """Print the comparison."""
    entry_bytes = len(message(1)) / ENTRIES
    print(
        f"als_receive: {ENTRIES} entries a message, {entry_bytes:.0f} bytes each, {STREAMS} streams"
    )
    for name, config in (
        ("crosspane, what is private left out", AlsInput(listen="127.0.0.1:0")),
        ("crosspane, everything kept", AlsInput(listen="127.0.0.1:0", redact=_KEEP)),
    ):
        print(_ours(name, config, seconds).line(), flush=True)
    print(_peer(seconds).line(), flush=True)
    print()


def _ours(name: str, config: AlsInput, seconds: float) -> Received:
    header = Header(agent="bench", cluster="c", network="n", kind="als", epoch_ns=1)
    with tempfile.TemporaryDirectory() as folder:
        log = LocalWriter(Path(folder), retention_bytes=1 << 28)
        batcher = Batcher(header, BatchConfig())
        shipper = Shipper(log, key=b"bench")
        stop, bound, ports = threading.Event(), threading.Event(), []

        def on_bound(port: int) -> None:
            ports.append(port)
            bound.set()

        receiver = threading.Thread(
            target=als.receive, args=(config, batcher, shipper, stop, on_bound)
        )
        with _one_core():
            shipper.start()
            receiver.start()
            bound.wait()
            before = clock()
            sent = _send(ports[0], seconds)
            stop.set()
            receiver.join()
            shipper.close()
            after = clock()
        log.close()
        assert shipper.shipped == sent, f"{shipper.shipped} of {sent} messages"  # noqa: S101
        assert not batcher.lost, batcher.lost  # noqa: S101
    return _received(name, sent, before, after)


def _peer(seconds: float) -> Received:
    """Decode each entry with the library, read ten fields, keep nothing."""
    counted = [0]

    async def handle(_: object, call: Any) -> bytes:
        while (raw := await call.read()) is not grpc.aio.EOF:
            for entry in als_pb2.StreamAccessLogsMessage.FromString(raw).http_logs.log_entry:
                _fields(entry)
            counted[0] += 1
        return b""

    async def serve(stop: threading.Event, ports: list[int], bound: threading.Event) -> None:
        server = grpc.aio.server()
        handlers = {"StreamAccessLogs": grpc.stream_unary_rpc_method_handler(handle)}
        service = als.METHOD[1:].rpartition("/")[0]
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        bound.set()
        await asyncio.to_thread(stop.wait)
        await server.stop(0.5)

    stop, ports, bound = threading.Event(), [], threading.Event()
    server = threading.Thread(target=lambda: asyncio.run(serve(stop, ports, bound)))
    with _one_core():
        server.start()
        bound.wait()
        before = clock()
        sent = _send(ports[0], seconds)
        after = clock()
        stop.set()
        server.join()
    assert counted[0] == sent  # noqa: S101
    return _received("a loop over the entries, kept nowhere", sent, before, after)


def _fields(entry: Any) -> tuple[object, ...]:
    common, request, response = entry.common_properties, entry.request, entry.response
    return (
        common.start_time.ToNanoseconds(),
        common.duration.ToNanoseconds(),
        common.downstream_remote_address.socket_address.address,
        common.upstream_remote_address.socket_address.address,
        common.upstream_cluster,
        request.authority,
        request.path,
        request.request_id,
        response.response_code.value,
        response.response_body_bytes,
    )


def _received(name: str, messages: int, before: Any, after: Any) -> Received:
    wall_s, cpu_s = after.wall_s - before.wall_s, after.cpu_s - before.cpu_s
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    memory_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Received(name, messages * ENTRIES, wall_s, cpu_s, memory_mb)


class _one_core:  # noqa: N801 - reads as a statement
    """Keeps threads started meanwhile on the first core this process may use."""

    def __enter__(self) -> None:
        self._cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(self._cores)})

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._cores)


def _send(port: int, seconds: float) -> int:
    """Messages a client in another process sent, each stream answered at its end."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    client = context.Process(target=_client, args=(port, seconds, answers))
    client.start()
    sent: int = answers.get()
    client.join()
    return sent


def _client(port: int, seconds: float, answers: Any) -> None:
    cores = sorted(os.sched_getaffinity(0) | set(range(os.cpu_count() or 1)))
    os.sched_setaffinity(0, {cores[-1]})
    messages = [message(number) for number in range(200)]
    first = als_pb2.StreamAccessLogsMessage()
    first.identifier.log_name = "http"

    def stream(number: int) -> int:
        sent = 0

        def send() -> Iterator[bytes]:
            nonlocal sent
            first.identifier.node.id = f"sidecar~10.1.0.{number}~web-{number}.shop~shop.local"
            until_s = time.monotonic() + seconds
            yield first.SerializeToString()
            sent += 1
            while time.monotonic() < until_s:
                yield messages[sent % len(messages)]
                sent += 1

        with grpc.insecure_channel(
            f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            channel.stream_unary(als.METHOD)(send())
        return sent

    with ThreadPoolExecutor(STREAMS) as pool:
        answers.put(sum(pool.map(stream, range(STREAMS))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10.0, help="of each contender")
    main(parser.parse_args().seconds)
