"""Datagrams over a real socket, to a real log."""

import socket
import threading
import time
from typing import Self

import pytest

from collectors import envelope as envelopes
from collectors.batch import Batcher
from collectors.config import BatchConfig, UdpInput
from collectors.envelope import Header
from collectors.errors import InputError
from collectors.log import Place
from collectors.log.local import LocalReader, LocalWriter
from collectors.ship import Shipper
from collectors.udp import bind, exporter_text, receive

HEADER = Header(agent="a", cluster="east", network="n", kind="netflow", epoch_ns=1)
PLACE = Place("crosspane.v1.flow.east", 0)


class _Input:
    """A receiver on a free port, and the log it ships to."""

    def __init__(self, root, config=None, batch=None, queue_size: int = 64) -> None:
        self.config = config or UdpInput(listen="127.0.0.1:0", receive_buffer_bytes=1 << 20)
        self.root = root
        self.socket = bind(self.config)
        self.port = self.socket.getsockname()[1]
        self.batcher = Batcher(HEADER, batch or BatchConfig(max_age_ms=20))
        self.log = LocalWriter(root)
        self.shipper = Shipper(self.log, key=b"a", queue_size=queue_size)
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=receive,
            args=(self.config, self.batcher, self.shipper, self.stop, self.socket),
            daemon=True,
        )

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        self.shipper.start()
        self.thread.start()

    def end(self) -> list[envelopes.Envelope]:
        self.stop.set()
        self.thread.join(10)
        self.shipper.close()
        with LocalReader(self.root) as reader:
            reader.seek({PLACE: 0})
            return [envelopes.decode(message.value) for message in reader.poll(1 << 30, 0)]

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.socket.close()
        self.log.close()


def _send(port, payloads, family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for payload in payloads:
            sender.sendto(payload, (host, port))


def _payloads(found):
    return [payload for one in found for payload in one.payloads["payload"].to_pylist()]


def test_datagrams_arrive_untouched_in_order_dated_and_named(tmp_path):
    """Any bytes, empty and largest too; the exporter is the address without its port."""
    sent = [b"one", b"", bytes(range(256)), b"x" * 65_507]
    with _Input(tmp_path) as one:
        one.start()
        before_ns = time.time_ns()
        _send(one.port, sent[:2])
        _send(one.port, sent[2:])  # another port of the same exporter
        time.sleep(0.2)
        found = one.end()
    assert _payloads(found) == sent
    names = {name for envelope in found for name in envelope.payloads["exporter"].to_pylist()}
    assert names == {"127.0.0.1"}
    for envelope in found:
        for received_ns in envelope.payloads["received_ns"].to_pylist():
            assert before_ns <= received_ns <= time.time_ns()
    assert one.batcher.received == 4
    assert one.batcher.lost == {}


def test_what_is_in_the_socket_at_the_end_is_not_lost(tmp_path):
    """Stopping empties the socket, closes the batch, and ships it."""
    with _Input(tmp_path) as one:
        _send(one.port, [b"%d" % n for n in range(300)])
        one.stop.set()
        one.start()
        found = one.end()
    assert _payloads(found) == [b"%d" % n for n in range(300)]


def test_an_ipv6_socket_takes_both_and_names_ipv4_plainly(tmp_path):
    """``[::]`` is enough for all exporters."""
    config = UdpInput(listen="[::]:0", receive_buffer_bytes=1 << 20)
    with _Input(tmp_path, config) as one:
        one.start()
        _send(one.port, [b"four"])
        _send(one.port, [b"six"], socket.AF_INET6, "::1")
        time.sleep(0.2)
        found = one.end()
    rows = [row for envelope in found for row in envelope.payloads.to_pylist()]
    assert [(row["exporter"], row["payload"]) for row in rows] == [
        ("127.0.0.1", b"four"),
        ("::1", b"six"),
    ]


def test_the_port_is_part_of_the_name_only_when_asked_for(tmp_path):
    """``exporter_port`` tells apart exporters behind one address."""
    config = UdpInput(listen="127.0.0.1:0", receive_buffer_bytes=1 << 20, exporter_port=True)
    with _Input(tmp_path, config) as one, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        sender.sendto(b"x", ("127.0.0.1", one.port))
        one.stop.set()
        one.start()
        found = one.end()
        port = sender.getsockname()[1]
    assert found[0].payloads["exporter"].to_pylist() == [f"127.0.0.1:{port}"]


def test_a_batch_is_never_larger_than_its_bound(tmp_path):
    """Rounds of reading stop where the batch is full."""
    with _Input(tmp_path, batch=BatchConfig(max_payloads=7, max_age_ms=20)) as one:
        _send(one.port, [b"%d" % n for n in range(100)])
        one.start()
        time.sleep(0.3)
        found = one.end()
    assert max(envelope.payloads.num_rows for envelope in found) == 7
    assert [envelope.header.first_sequence for envelope in found] == list(range(0, 100, 7))
    assert _payloads(found) == [b"%d" % n for n in range(100)]


def test_a_full_queue_costs_payloads_that_are_counted_and_no_gap(tmp_path):
    """The socket is never made to wait; received = shipped + dropped."""
    batch = BatchConfig(max_payloads=10, max_age_ms=20)
    with _Input(tmp_path, batch=batch, queue_size=2) as one:
        _send(one.port, [b"%d" % n for n in range(100)])
        one.thread.start()  # nothing ships
        time.sleep(0.2)
        _send(one.port, [b"later"])
        time.sleep(0.1)
        one.shipper.start()
        time.sleep(0.1)
        found = one.end()
    assert _payloads(found)[:20] == [b"%d" % n for n in range(20)]
    assert [envelope.header.first_sequence for envelope in found][:2] == [0, 10]
    told = sum(envelope.header.dropped.get("queue_full", 0) for envelope in found)
    assert told == one.batcher.lost["queue_full"]
    assert len(_payloads(found)) + told == 101 == one.batcher.received
    sequence = 0
    for envelope in found:
        assert envelope.header.first_sequence == sequence
        sequence += envelope.payloads.num_rows


def test_what_the_kernel_dropped_is_counted(tmp_path):
    """A socket buffer that overflows is told as ``kernel``, to the datagram."""
    config = UdpInput(listen="127.0.0.1:0", receive_buffer_bytes=65_536)
    with _Input(tmp_path, config) as one:
        _send(one.port, [b"x" * 1_000] * 500)
        one.start()
        time.sleep(0.2)
        found = one.end()
    told = sum(envelope.header.dropped.get("kernel", 0) for envelope in found)
    assert told > 0
    assert len(_payloads(found)) + told == 500


def test_a_clipped_receive_buffer_is_told(caplog, monkeypatch):
    """The log says what the kernel gave, and which setting to raise."""
    monkeypatch.setattr("collectors.udp._SO_RCVBUFFORCE", 0xFFFF)
    bind(UdpInput(listen="127.0.0.1:0", receive_buffer_bytes=1 << 30)).close()
    assert "net.core.rmem_max" in caplog.text


@pytest.mark.parametrize("listen", ["192.0.2.1:2055", "no.such.host.invalid:2055"])
def test_an_address_that_is_not_ours_is_an_input_error(listen):
    """It names the input and the address."""
    with pytest.raises(InputError, match=f"netflow on {listen}"):
        bind(UdpInput(listen=listen))


def test_a_port_that_is_taken_says_what_to_do():
    """Two receivers of one port would share its datagrams at random."""
    with bind(UdpInput(listen="127.0.0.1:0")) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match="choose another `listen`"):
            bind(UdpInput(listen=f"127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:0:1", "::ffff:0:1"),
    ],
)
def test_mapped_addresses_are_ipv4(host, name):
    """One exporter has one name, whatever the socket."""
    assert exporter_text(host) == name
