"""Envelopes to the log, by way of the disk while it is away."""

import random
import threading
import time

import pyarrow as pa

from collectors import envelope as envelopes
from collectors.agent import SharedWriter
from collectors.config import SpoolConfig
from collectors.envelope import Envelope, Header
from collectors.log import LogError
from collectors.ship import Parcel, Shipper
from collectors.spool import Spool


class _Log:
    """A log one can unplug; what is appended counts when a flush returned."""

    def __init__(self) -> None:
        self.away = False
        self.lose_answer = False
        self.kept: list[tuple[str, bytes, Envelope]] = []
        self._pending: list[tuple[str, bytes, Envelope]] = []

    def append(self, topic: str, key: bytes, value: bytes) -> None:
        self._pending.append((topic, key, envelopes.decode(value)))

    def flush(self, timeout_s: float = 30.0) -> None:
        pending, self._pending = self._pending, []
        if self.away:
            raise LogError(f"unplugged, waited {timeout_s} s")
        self.kept += pending
        if self.lose_answer:
            self.lose_answer = False
            raise LogError("the answer was lost")

    def close(self) -> None:
        pass

    def sequences(self) -> list[int]:
        return [envelope.header.first_sequence for _, _, envelope in self.kept]


def _envelope(sequence, kind="netflow", payload=b"x", **dropped: int):
    header = Header(
        agent="a", cluster="east", network="n", kind=kind, first_sequence=sequence, dropped=dropped
    )
    columns = [
        pa.array([1], pa.int64()),
        pa.array(["192.0.2.1"]).dictionary_encode(),
        pa.array([payload], pa.binary()),
    ]
    return Envelope(header, pa.RecordBatch.from_arrays(columns, envelopes.SCHEMA.names))


def _spool(tmp_path, policy="drop_oldest"):
    return Spool(tmp_path, SpoolConfig(directory=str(tmp_path), max_bytes=1 << 20, policy=policy))


def _until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited 10 s in vain"
        time.sleep(0.005)


def test_topic_key_and_order():
    """The topic is of kind and cluster; the key is the agent; order is kept."""
    log = _Log()
    shipper = Shipper(log, key=b"a")
    shipper.start()
    for n in range(100):
        assert shipper.put(Parcel(_envelope(n)), threading.Event())
    shipper.put(Parcel(_envelope(0, "access_log")), threading.Event())
    shipper.close()
    assert log.sequences() == [*range(100), 0]
    assert log.kept[0][:2] == ("crosspane.v1.flow.east", b"a")
    assert log.kept[-1][:2] == ("crosspane.v1.proxy.east", b"a")
    assert shipper.shipped == 101


def test_while_the_log_is_away_envelopes_are_safe_on_disk_and_later_keep_their_order(tmp_path):
    """None is lost, none is new before one that waited, and each is there once."""
    log, spool = _Log(), _spool(tmp_path)
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.start()
    safe = []
    for n in range(5):
        shipper.put(Parcel(_envelope(n), lambda n=n: safe.append(n)), threading.Event())
    _until(lambda: shipper.shipped == 5)
    log.away = True
    for n in range(5, 25):
        shipper.put(Parcel(_envelope(n), lambda n=n: safe.append(n)), threading.Event())
    _until(lambda: len(spool) == 20)
    assert safe == list(range(25))
    assert "unplugged" in shipper.trouble
    log.away = False
    for n in range(25, 60):
        shipper.put(Parcel(_envelope(n)), threading.Event())
    _until(lambda: shipper.shipped == 60)
    assert shipper.trouble == ""
    shipper.close()
    assert log.sequences() == list(range(60))
    assert len(spool) == 0
    spool.close()


def test_what_a_dead_agent_left_on_disk_is_shipped_first(tmp_path):
    """A new process drains the old spool before anything new."""
    log, spool = _Log(), _spool(tmp_path)
    log.away = True
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.start()
    for n in range(3):
        shipper.put(Parcel(_envelope(n)), threading.Event())
    shipper.close()
    spool.close()
    log, spool = _Log(), _spool(tmp_path)
    assert len(spool) == 3
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.put(Parcel(_envelope(100)), threading.Event())
    shipper.start()
    _until(lambda: shipper.shipped == 4)
    shipper.close()
    spool.close()
    assert log.sequences() == [0, 1, 2, 100]


def test_an_unknown_outcome_is_sent_again_as_the_same_envelope(tmp_path):
    """A reader can see by epoch and sequence that it has it already."""
    log, spool = _Log(), _spool(tmp_path)
    log.lose_answer = True
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.start()
    shipper.put(Parcel(_envelope(7)), threading.Event())
    _until(lambda: shipper.shipped == 1)
    shipper.close()
    spool.close()
    (_, _, first), (_, _, second) = log.kept
    assert first.header == second.header
    assert first.payloads.equals(second.payloads)


def test_what_the_spool_could_not_hold_is_told_by_the_envelope_after_the_gap(tmp_path):
    """Sequence gap and ``spool_full`` are one loss, in one envelope; inherited losses too."""
    log, spool = _Log(), _spool(tmp_path)
    log.away = True
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.start()
    noise = random.Random(1)
    for n in range(30):
        lost_before = {"kernel": 5} if n == 2 else {}
        shipper.put(
            Parcel(_envelope(n, payload=noise.randbytes(100_000), **lost_before)),
            threading.Event(),
        )
    _until(lambda: shipper.lost["spool_full"] == 21)
    log.away = False
    _until(lambda: len(spool) == 0)
    shipper.put(Parcel(_envelope(30)), threading.Event())
    _until(lambda: 30 in log.sequences())
    shipper.close()
    spool.close()
    expected = told = 0
    for _, _, envelope in log.kept:
        dropped = envelope.header.dropped
        assert envelope.header.first_sequence - expected == dropped.get("spool_full", 0)
        expected = envelope.header.first_sequence + 1
        told += dropped.get("spool_full", 0)
    # 21, or 20 if one was on its way when room was made
    assert told == shipper.lost["spool_full"] in (20, 21)
    assert log.sequences()[-10:] == list(range(21, 31))
    assert sum(envelope.header.dropped.get("kernel", 0) for _, _, envelope in log.kept) == 5


class _SlowLog(_Log):
    """A log that takes its time once."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.asked = threading.Event()
        self.answer = threading.Event()

    def flush(self, timeout_s: float = 30.0) -> None:
        if threading.current_thread().name == "drain" and not self.answer.is_set():
            self.asked.set()
            self.answer.wait(10)
            self.away = False
        super().flush(timeout_s)


def test_what_arrived_while_the_spool_let_it_go_is_not_lost(tmp_path):
    """An envelope on its way when room was made counts only if it did not arrive."""
    log, spool = _SlowLog(), _spool(tmp_path)
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.start()
    noise = random.Random(1)
    for n in range(30):
        shipper.put(Parcel(_envelope(n, payload=noise.randbytes(100_000))), threading.Event())
        assert log.asked.wait(10)
    _until(lambda: shipper.lost["spool_full"] == 21)
    log.answer.set()
    _until(lambda: shipper.shipped == 10)
    shipper.close()
    spool.close()
    assert log.sequences() == [0, *range(21, 30)]
    told = [envelope.header.dropped for _, _, envelope in log.kept]
    assert told == [{}, {"spool_full": 20}] + [{}] * 8
    assert shipper.lost == {"spool_full": 20}


def test_with_drop_newest_the_next_envelope_tells_the_loss(tmp_path):
    """The gap is before what came after, so that is where it is told."""
    log, spool = _Log(), _spool(tmp_path, "drop_newest")
    log.away = True
    shipper = Shipper(log, key=b"a", spool=spool, retry_s=0.01)
    shipper.start()
    noise = random.Random(1)
    for n in range(12):
        shipper.put(Parcel(_envelope(n, payload=noise.randbytes(100_000))), threading.Event())
    _until(lambda: shipper.lost["spool_full"] == 3)
    log.away = False
    _until(lambda: shipper.shipped == 9)
    shipper.put(Parcel(_envelope(12)), threading.Event())
    _until(lambda: shipper.shipped == 10)
    shipper.close()
    spool.close()
    assert log.sequences() == [*range(9), 12]
    assert log.kept[-1][2].header.dropped == {"spool_full": 3}


def test_without_a_spool_the_queue_fills_and_is_kept():
    """`offer` says no instead of waiting; what was taken arrives when the log is back."""
    log = _Log()
    log.away = True
    shipper = Shipper(log, key=b"a", retry_s=0.01, queue_size=4)
    shipper.start()
    taken = 0
    while shipper.offer(Parcel(_envelope(taken))):
        taken += 1
        time.sleep(0.01)
    assert 4 <= taken <= 4 + 16
    assert not shipper.put(Parcel(_envelope(99)), _set_event())
    log.away = False
    _until(lambda: shipper.shipped == taken)
    shipper.close()
    assert log.sequences() == list(range(taken))


def test_what_cannot_be_shipped_in_time_is_counted():
    """Only what no input can read again; the rest of its file is still there."""
    log = _Log()
    log.away = True
    shipper = Shipper(log, key=b"a", retry_s=0.05)
    shipper.start()
    shipper.put(Parcel(_envelope(0)), threading.Event())
    shipper.put(Parcel(_envelope(1), lambda: None), threading.Event())
    shipper.close(timeout_s=0.2)
    assert shipper.lost == {"shutdown": 1}
    assert log.kept == []


def _set_event():
    event = threading.Event()
    event.set()
    return event


def test_a_failed_flush_of_a_shared_log_fails_for_all_who_had_appended():
    """One agent's failure leaves the other's messages unknown, too: it sends again."""
    log = _Log()
    shared = SharedWriter(log)
    outcome = []

    def other():
        shared.append("t", b"b", envelopes.encode(_envelope(1)))
        appended.set()
        failed.wait(5)
        try:
            shared.flush()
        except LogError as error:
            outcome.append(str(error))
        shared.flush()

    appended, failed = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    appended.wait(5)
    log.away = True
    shared.append("t", b"a", envelopes.encode(_envelope(0)))
    try:
        shared.flush()
    except LogError as error:
        outcome.append(str(error)[:9])
    log.away = False
    failed.set()
    thread.join(5)
    assert outcome == [
        "unplugged",
        "a flush of another agent of this process failed: sending again",
    ]
