"""Payloads gathered into envelopes."""

import pytest

from collectors import envelope as envelopes
from collectors.batch import Batcher
from collectors.config import BatchConfig
from collectors.envelope import Header

HEADER = Header(agent="a", cluster="east", network="n", kind="netflow", epoch_ns=7)


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return _Clock()


def _batcher(clock, **limits: int):
    return Batcher(HEADER, BatchConfig(**limits), clock)


def test_a_batch_is_closed_by_its_number_of_payloads(clock):
    """The payload that fills it closes it, and the next batch numbers on."""
    batcher = _batcher(clock, max_payloads=2)
    assert batcher.add(1, "192.0.2.1", b"one") is None
    first = batcher.add(2, "192.0.2.2", b"two")
    assert first.payloads.to_pylist() == [
        {"received_ns": 1, "exporter": "192.0.2.1", "payload": b"one"},
        {"received_ns": 2, "exporter": "192.0.2.2", "payload": b"two"},
    ]
    assert (first.header.first_sequence, first.header.epoch_ns, first.header.dropped) == (0, 7, {})
    batcher.add(3, "192.0.2.1", b"three")
    assert batcher.take().header.first_sequence == 2
    assert batcher.take() is None


def test_a_batch_is_closed_by_its_bytes(clock):
    """Reaching the bound closes it; payloads are never cut."""
    batcher = _batcher(clock, max_bytes=1024)
    assert batcher.add(1, "x", b"a" * 1023) is None
    assert batcher.add(1, "x", b"b" * 500).payloads.num_rows == 2


def test_a_batch_is_closed_by_the_age_of_its_first_payload(clock):
    """Later payloads do not make it wait longer."""
    batcher = _batcher(clock, max_age_ms=500)
    assert batcher.take_if_older() is None
    batcher.add(1, "x", b"a")
    clock.now_s = 100.4
    batcher.add(1, "x", b"b")
    assert batcher.take_if_older() is None
    clock.now_s = 100.5
    assert batcher.take_if_older().payloads.num_rows == 2
    clock.now_s = 999.0
    assert batcher.take_if_older() is None


def test_losses_are_told_once_by_the_next_envelope(clock):
    """Also by one without payloads, when nothing else comes; they make no gap."""
    batcher = _batcher(clock)
    batcher.drop("kernel", 3)
    batcher.drop("kernel", 2)
    batcher.drop("queue_full", 0)
    batcher.add(1, "x", b"a")
    assert batcher.take().header.dropped == {"kernel": 5}
    batcher.drop("kernel")
    empty = batcher.take()
    assert (empty.payloads.num_rows, empty.header.dropped) == (0, {"kernel": 1})
    assert empty.header.first_sequence == 1
    assert envelopes.decode(envelopes.encode(empty)).header == empty.header
    assert batcher.received == 7
    assert batcher.lost == {"kernel": 6}


def test_a_refused_envelope_gives_back_its_numbers_and_its_losses(clock):
    """When the queue is full, what was in the batch is counted, and no gap is left."""
    batcher = _batcher(clock)
    batcher.drop("kernel", 4)
    batcher.add(1, "x", b"a")
    batcher.add(1, "x", b"b")
    batcher.refuse(batcher.take(), "queue_full")
    batcher.add(1, "x", b"c")
    envelope = batcher.take()
    assert envelope.header.first_sequence == 0
    assert envelope.header.dropped == {"kernel": 4, "queue_full": 2}


def test_exporters_are_a_dictionary(clock):
    """The name of an exporter is kept once a batch."""
    batcher = _batcher(clock)
    for exporter in ("b", "a", "b", "b"):
        batcher.add(1, exporter, b"")
    column = batcher.take().payloads["exporter"]
    assert column.dictionary.to_pylist() == ["b", "a"]
    assert column.to_pylist() == ["b", "a", "b", "b"]


def test_the_default_batch_fits_a_kafka_message_even_if_nothing_compresses():
    """Full by bytes less one, and then the largest datagram: still below 1 MiB less 12 bytes."""
    import random  # noqa: PLC0415

    batcher = Batcher(HEADER, BatchConfig())
    noise = random.Random(1)
    for _ in range(4_095):
        batcher.add(1, "2001:db8::1", noise.randbytes(219))
    _, room_bytes = batcher.room()
    assert room_bytes > 0
    envelope = batcher.add(1, "2001:db8::1", noise.randbytes(65_507))
    assert len(envelopes.encode(envelope)) < 1_048_576
