"""TCP connections of real kernels: what a look tells is what `ss` and `nstat` of the same namespace say."""

import fcntl
import os
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab.netns import inside

from collectors import inet_diag, sockets
from collectors.batch import Batcher
from collectors.config import BatchConfig, SocketsInput
from collectors.envelope import Envelope, Header
from collectors.errors import InputError
from collectors.inet_diag import Connection, Counts, Ends
from collectors.sockets import Sample, Watched, follow

DROPPING = """table inet lossy {
    chain arriving {
        type filter hook prerouting priority raw
        tcp dport 7000 numgen inc mod 10 == 0 drop
    }
}"""


class Told:
    """What a namespace's connections were told to have done, and what was lost."""

    def __init__(self, namespace: str = "", **config: Any) -> None:
        self.samples: list[Sample] = []
        self.lost: dict[str, int] = {}
        self.watched = Watched(namespace, SocketsInput(**config), self._tell, self._lose)

    def _tell(self, name: str, sample: Sample) -> None:
        assert name == self.watched.name
        self.samples.append(sample)

    def _lose(self, reason: str, count: int) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + count

    def of(self, port: int) -> list[Sample]:
        """Samples of connections to a port."""
        return [one for one in self.samples if one.remote.endswith(f":{port}")]

    def heard(self, port: int) -> list[Sample]:
        """Samples of those connections, when one of them is told to have ended."""
        until(lambda: self.watched.hear() or any(one.closed for one in self.of(port)))
        return self.of(port)


@contextmanager
def told(namespace: str = "", **config: Any) -> Iterator[Told]:
    one = Told(f"/run/netns/{namespace}" if namespace else "", **config)
    with closing(one.watched):
        yield one


def until(holds: Callable[[], object]) -> None:
    """Wait for a state, for 30 seconds at most."""
    end_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def is_acknowledged(one: socket.socket) -> bool:
    """Whether everything that was sent has arrived, and that is known here."""
    return not struct.unpack("i", fcntl.ioctl(one, 0x5411, bytes(4)))[0]  # SIOCOUTQ


def drained(one: socket.socket) -> int:
    """Octets until the other side closes or says no more."""
    total = 0
    while octets := one.recv(1 << 20):
        total += len(octets)
    return total


class Pair(NamedTuple):
    """A connection between two sockets of this process."""

    client: socket.socket
    server: socket.socket
    port: int


@contextmanager
def connected(
    server_namespace: str = "", client_namespace: str = "", ip: str = "127.0.0.1", port: int = 0
) -> Iterator[Pair]:
    with within(server_namespace), socket.create_server((ip, port)) as listening:
        with within(client_namespace):
            client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        with client, server:
            yield Pair(client, server, listening.getsockname()[1])


@contextmanager
def within(namespace: str) -> Iterator[None]:
    if not namespace:
        yield
        return
    with inside(namespace):
        yield


@pytest.mark.root
def test_octets_of_a_connection_are_those_that_were_sent_and_received(apart):
    """What a program wrote and read between two looks, to the octet; nothing of before."""
    a, _ = apart
    with told(a, loopback=True) as here, connected(a, a) as pair:
        pair.client.sendall(b"a" * 700)
        assert len(pair.server.recv(700, socket.MSG_WAITALL)) == 700
        here.watched.look()
        assert here.samples == []
        pair.client.sendall(b"b" * 1_000)
        assert len(pair.server.recv(1_000, socket.MSG_WAITALL)) == 1_000
        pair.server.sendall(b"c" * 50)
        assert len(pair.client.recv(50, socket.MSG_WAITALL)) == 50
        here.watched.look()
        (client,) = here.of(pair.port)
        (host, port), (peer, _) = pair.client.getsockname(), pair.server.getsockname()
        assert (client.local, client.remote) == (f"{host}:{port}", f"{peer}:{pair.port}")
        assert (client.bytes_sent, client.bytes_received) == (1_000, 50)
        assert client.segments_sent >= 1
        assert (client.bytes_retransmitted, client.segments_retransmitted) == (0, 0)
        assert client.rtt_us is not None
        assert client.min_rtt_us is not None
        assert client.start_ns < client.end_ns
        assert not client.closed
        count = len(here.samples)
        until(lambda: is_acknowledged(pair.client) and is_acknowledged(pair.server))
        here.watched.look()
        settled = len(here.samples)
        here.watched.look()
        assert len(here.samples) == settled >= count


@pytest.mark.root
def test_what_a_connection_did_last_is_told_when_it_ends(apart):
    """The kernel tells the counters of one that is gone: nothing after the last look is lost."""
    a, _ = apart
    with told(a, loopback=True) as here:
        with connected(a, a) as pair:
            here.watched.look()
            pair.client.sendall(b"d" * 300)
            assert len(pair.server.recv(300, socket.MSG_WAITALL)) == 300
        assert [(one.bytes_sent, one.closed) for one in here.heard(pair.port)] == [(300, True)]


@pytest.mark.root
def test_a_connection_no_look_has_seen_is_told_from_its_beginning(apart):
    """Begun and ended between two looks: it is told once, whole."""
    a, _ = apart
    with told(a, loopback=True) as here:
        here.watched.look()
        with connected(a, a) as pair:
            pair.client.sendall(b"e" * 200)
            assert len(pair.server.recv(200, socket.MSG_WAITALL)) == 200
        (one,) = here.heard(pair.port)
        assert (one.bytes_sent, one.closed) == (200, True)
        assert one.bytes_received <= 1  # the kernel counts the end itself, if it came, as an octet
        here.watched.look()
        assert here.of(pair.port) == [one]


def test_connections_of_a_machine_with_itself_are_left_out():
    """Loopback is no network: not told unless asked for."""
    with told() as here, connected() as pair:
        here.watched.look()
        pair.client.sendall(b"f")
        assert pair.server.recv(1) == b"f"
        here.watched.look()
        assert here.of(pair.port) == []


@pytest.mark.root
def test_more_connections_than_are_remembered_are_counted(apart):
    """Of two one is kept, the other counted at each look, and not told when it ends."""
    a, _ = apart
    with told(a, loopback=True, max_sockets=1) as here:
        with connected(a, a) as pair:
            here.watched.look()
            assert (len(here.watched), here.lost) == (1, {"too_many_sockets": 1})
            pair.client.sendall(b"g" * 9)
            here.watched.look()
            assert here.lost == {"too_many_sockets": 2}
            known = {(one.local, one.remote) for one in here.samples}
        until(lambda: here.watched.hear() or not len(here.watched))
        assert len({(one.local, one.remote) for one in here.samples} | known) == 1


@pytest.mark.root
def test_a_kernel_that_had_no_room_to_tell_of_ends_is_counted(apart, monkeypatch):
    """An overrun is a loss of its own; connections that were known and are gone are counted."""
    a, _ = apart
    with told(a, loopback=True) as here:
        with connected(a, a):
            here.watched.look()
            known = len(here.watched)

        def overrun(_: socket.socket) -> Iterator[Connection]:
            raise OSError(105, "No buffer space available")

        with monkeypatch.context() as patch:
            patch.setattr(sockets, "gone", overrun)
            here.watched.hear()
            assert here.lost["kernel"] == 1
            until(lambda: here.watched.look() or len(here.watched) <= known - 2)
        assert here.lost["socket_gone"] >= 2


def test_a_socket_that_connects_once_more_begins_anew():
    """Counters that go back are those of another connection; segments alone wrap at 2^32."""
    old = Counts(2**32 - 1, 5, 0, 100, 7, 0)
    assert sockets.since(old, Counts(1, 6, 1, 150, 9, 20)) == (2, 1, 1, 50, 2, 20)
    assert sockets.since(Counts(90, 5, 1, 100, 7, 20), Counts(3, 2, 0, 40, 0, 0))[0] == 3
    assert sockets.since(Counts(7, 0, 6, 0, 0, 0), Counts(1, 0, 0, 0, 0, 0))[0] == 1


@pytest.mark.root
def test_an_ipv4_peer_of_an_ipv6_socket_is_told_as_ipv4(apart):
    """Its address is ::ffff:127.0.0.1 to the kernel; of IPv6, brackets stand around it."""
    a, _ = apart
    with (
        told(a, loopback=True) as here,
        inside(a),
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
    ):
        here.watched.look()
        port = server.getsockname()[1]
        for ip in ("127.0.0.1", "::1"):
            with socket.create_connection((ip, port)) as client, server.accept()[0] as other:
                client.sendall(b"h")
                assert other.recv(1) == b"h"
                here.watched.look()
        assert {one.remote for one in here.of(port)} == {f"127.0.0.1:{port}", f"[::1]:{port}"}
        assert f"127.0.0.1:{port}" in {one.local for one in here.samples}


MESSAGE = struct.Struct("=IHHII B3x2s2s16s16s4xQ 20x")
"""A header and an ``inet_diag_msg``: family, ports, addresses, cookie."""


def message(info: bytes, *before: bytes) -> bytes:
    """One of 10.0.0.1:80 to 10.0.0.2:443, with attributes before its ``tcp_info``."""
    ends = b"\x00\x50", b"\x01\xbb", bytes([10, 0, 0, 1]).ljust(16), bytes([10, 0, 0, 2]).ljust(16)
    attributes = b"".join((*before, struct.pack("=HH", 4 + len(info), 2), info))
    length = MESSAGE.size + len(attributes)
    return MESSAGE.pack(length, 20, 2, 0, 0, 2, *ends, 77) + attributes


def tcp_info(size: int = 232) -> bytes:
    """Counters at the places linux/tcp.h has them, each another."""
    info = bytearray(232)
    struct.pack_into("=I", info, 68, 1_800)  # tcpi_rtt
    struct.pack_into("=I", info, 100, 3)  # tcpi_total_retrans
    struct.pack_into("=Q", info, 128, 5_000)  # tcpi_bytes_received
    struct.pack_into("=II", info, 136, 40, 30)  # tcpi_segs_out, tcpi_segs_in
    struct.pack_into("=I", info, 148, 0xFFFF_FFFF)  # tcpi_min_rtt: not measured
    struct.pack_into("=QQ", info, 200, 9_000, 4_200)  # tcpi_bytes_sent, tcpi_bytes_retrans
    return bytes(info[:size])


CONNECTION = Connection(
    77,
    Ends(bytes([10, 0, 0, 1]), 80, bytes([10, 0, 0, 2]), 443),
    Counts(40, 30, 3, 9_000, 5_000, 4_200),
    1_800,
    None,
)


def test_messages_with_attributes_in_any_place_are_read():
    """Kernels put others before it, of any length; the next message may have it elsewhere."""
    mark, ulp = struct.pack("=HHI", 8, 15, 1), struct.pack("=HH3sx", 7, 18, b"tls")
    chunk = message(tcp_info(), mark) + message(tcp_info(), ulp, mark) + message(tcp_info())
    done = struct.pack("=IHHIIi", 20, 3, 2, 0, 0, 0)
    assert inet_diag.read(chunk + done) == ([CONNECTION] * 3, True)
    assert inet_diag.read(message(tcp_info())) == ([CONNECTION], False)


def test_what_a_kernel_cannot_tell_ends_the_input_with_a_reason():
    """Before 4.19 `tcp_info` is shorter; without tcp_diag the answer is ENOENT."""
    with pytest.raises(InputError, match=r"before Linux 4\.19"):
        inet_diag.read(message(tcp_info(192)))
    with pytest.raises(InputError, match="modprobe tcp_diag"):
        inet_diag.read(struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -2))
    with pytest.raises(OSError, match="busy"):
        inet_diag.read(struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -16))


@settings(max_examples=50)
@given(st.binary(max_size=600), st.integers(0, 600))
def test_any_bytes_are_read_or_refused(noise, at):
    """Nothing in a message raises what is not said, or hangs."""
    whole = message(tcp_info()) * 2
    for chunk in (noise, whole[:at], whole[:at] + noise + whole[at:]):
        try:
            found, _ = inet_diag.read(chunk)
        except (InputError, OSError):
            continue
        assert len(found) <= len(chunk) // MESSAGE.size


@pytest.fixture(scope="module")
def apart() -> Iterator[tuple[str, str]]:
    """Two namespaces with a cable between them, 10.77.0.1 and 10.77.0.2, and nothing else in them."""
    a, b = (f"xs{os.getpid()}{end}" for end in "ab")
    try:
        for name in (a, b):
            run("ip", "netns", "add", name)
        run("ip", "-n", a, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", b)
        for name, number in ((a, 1), (b, 2)):
            run("ip", "-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        yield a, b
    finally:
        for name in (a, b):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def run(*command: str, stdin: str = "") -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, input=stdin).stdout


@pytest.mark.root
def test_retransmissions_are_those_the_kernel_counts(apart):
    """One packet of ten is dropped: `ss` and `nstat` of the sender say what a look says."""
    a, b = apart
    with (
        connected(b, a, "10.77.0.2", 7_000) as pair,
        told(a) as here,
        told(b) as there,
    ):
        here.watched.look()
        there.watched.look()
        run("ip", "netns", "exec", b, "nft", "-f", "-", stdin=DROPPING)
        received: list[int] = []
        reading = threading.Thread(target=lambda: received.append(drained(pair.server)))
        reading.start()
        pair.client.sendall(bytes(400_000))
        until(lambda: is_acknowledged(pair.client))
        here.watched.look()
        there.watched.look()
        (sample,), (other,) = here.samples, there.samples
        counted = run("ip", "netns", "exec", a, "nstat", "-asz", "TcpRetransSegs")
        shown = run("ip", "netns", "exec", a, "ss", "-tinH", "dport", "= :7000")
        run("ip", "netns", "exec", b, "nft", "flush", "ruleset")
        pair.client.shutdown(socket.SHUT_WR)
        reading.join()
        assert received == [400_000]
        again = sample.segments_retransmitted
        assert again > 0
        assert int(counted.split()[2]) == again
        assert re.search(r"retrans:\d+/(\d+)", shown).group(1) == str(again)
        assert f"bytes_retrans:{sample.bytes_retransmitted} " in shown
        assert sample.bytes_sent - sample.bytes_retransmitted == 400_000
        assert f"segs_out:{sample.segments_sent + 2} " in shown  # two of the handshake before
        assert (sample.local.split(":")[0], sample.remote) == ("10.77.0.1", "10.77.0.2:7000")
        assert f"minrtt:{sample.min_rtt_us / 1000:g} " in f"{shown} "
        assert (other.bytes_received, other.segments_retransmitted) == (400_000, 0)


class Taken:
    """A shipper that keeps what it is offered."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def offer(self, parcel: Any) -> bool:
        """Take it."""
        self.envelopes.append(parcel.envelope)
        return True


@pytest.mark.root
def test_an_input_follows_namespaces_that_come_and_go(apart):
    """Wildcards are looked for anew, a namespace is let go once deleted, and the last is told at the end."""
    a, b = apart
    config = SocketsInput(
        interval_s=0.1, own_namespace=False, namespaces=(f"/run/netns/xs{os.getpid()}*",)
    )
    header = Header(agent="n", cluster="c", network="net", kind="sockets")
    shipper, stop = Taken(), threading.Event()
    batcher = Batcher(header, BatchConfig())
    errors: list[BaseException] = []

    def work() -> None:
        try:
            follow(config, batcher, shipper, stop)
        except BaseException as error:
            errors.append(error)
            raise

    def samples() -> list[tuple[str, Sample]]:
        return [
            (exporter, msgspec.json.decode(payload, type=Sample))
            for envelope in list(shipper.envelopes)
            for exporter, payload in zip(
                envelope.payloads["exporter"].to_pylist(),
                envelope.payloads["payload"].to_pylist(),
                strict=True,
            )
        ]

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with connected(b, a, "10.77.0.2", 7_001) as pair:

            def is_seen() -> bool:
                pair.client.sendall(b"i")
                return {name for name, _ in samples()} >= {f"/run/netns/{a}", f"/run/netns/{b}"}

            until(is_seen)
            pair.client.sendall(b"j" * 40_000)
            assert len(pair.server.recv(40_000, socket.MSG_WAITALL)) == 40_000
        until(lambda: sum(one.closed for _, one in samples()) >= 2)
        sent = sum(one.bytes_sent for name, one in samples() if name.endswith(a))
        got = sum(one.bytes_received for name, one in samples() if name.endswith(b))
        assert sent >= got >= 40_000
        assert not errors
    finally:
        stop.set()
        thread.join()
    assert not batcher.lost
