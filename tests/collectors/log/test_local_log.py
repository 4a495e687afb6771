"""The log on disk: torn, flipped, killed, full, held, too old."""

import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.log import LogError, Message, Place
from collectors.log.local import LocalReader, LocalWriter
from collectors.log.partition import Fsync

T0 = Place("t", 0)


def fill(root: Path, values: list[bytes], **policy: object) -> None:
    with LocalWriter(root, fsync="never", **policy) as writer:  # type: ignore[arg-type]
        for value in values:
            writer.append("t", b"k", value)


def read_all(root: Path, place: Place = T0, start: int = 0) -> list[Message]:
    with LocalReader(root) as reader:
        reader.seek({place: start})
        found: list[Message] = []
        while messages := reader.poll(1 << 20, 0):
            found += messages
        return found


def numbered(messages: list[Message]) -> list[tuple[int, bytes]]:
    return [(message.offset, message.value) for message in messages]


def segments(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "t" / "0").iterdir())


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Files that were synced, in order."""
    seen: list[int] = []
    real = os.fsync

    def spy(file: int) -> None:
        seen.append(file)
        real(file)

    monkeypatch.setattr(os, "fsync", spy)
    return seen


def test_a_record_on_disk_is_what_the_module_says(tmp_path: Path):
    """Bytes of a record: length, checksum, offset, time, key length, key, value; big-endian."""
    with LocalWriter(tmp_path, clock=lambda: 1.5) as writer:
        writer.append("t", b"ab", b"xyz")
        writer.append("t", None, b"")
    data = (tmp_path / "t" / "0" / "000000000000.log").read_bytes()
    first, second = data[:33], data[33:]
    assert first[:4] == bytes([0, 0, 0, 25])
    assert first[8:] == bytes(8) + struct.pack(">q", 1500) + b"\0\0\0\2" + b"abxyz"
    assert second[:4] == bytes([0, 0, 0, 20])
    assert second[8:] == bytes(7) + b"\1" + struct.pack(">q", 1500) + b"\xff\xff\xff\xff"


def test_no_key_and_an_empty_key_differ(tmp_path: Path):
    """A key that is None comes back None, an empty one empty, with the time of the append."""
    with LocalWriter(tmp_path, clock=lambda: 1.5) as writer:
        writer.append("t", None, b"v")
        writer.append("t", b"", b"v")
    assert read_all(tmp_path) == [
        Message("t", 0, 0, 1500, None, b"v"),
        Message("t", 0, 1, 1500, b"", b"v"),
    ]


def test_a_key_stays_in_its_partition_in_order(tmp_path: Path):
    """Each key has one partition, over restarts and with a smaller number asked for later."""
    keys = [b"node-%d" % n for n in range(20)]
    for partitions in (4, 1):
        with LocalWriter(tmp_path, partitions=partitions, fsync="never") as writer:
            for key in keys * 3:
                writer.append("t", key, key)
    with LocalReader(tmp_path) as reader:
        assert reader.places("t") == [Place("t", n) for n in range(4)]
    found = [read_all(tmp_path, Place("t", n)) for n in range(4)]
    assert sum(map(len, found)) == 120
    homes = [{message.key for message in messages} for messages in found]
    assert sum(map(len, homes)) == 20
    assert [numbered(messages)[0][0] for messages in found if messages] == [0, 0, 0, 0]


def test_a_torn_last_record_is_cut_wherever_it_was_torn(tmp_path: Path):
    """A write stopped at any byte costs that record only, its bytes are told, its offset is reused."""
    fill(tmp_path / "whole", [b"one", b"two", b"three"])
    whole = (tmp_path / "whole" / "t" / "0" / "000000000000.log").read_bytes()
    assert len(whole) == 3 * 29 + 11
    for length in range(64, 98):
        root = tmp_path / str(length)
        segment = root / "t" / "0" / "000000000000.log"
        segment.parent.mkdir(parents=True)
        segment.write_bytes(whole[:length])
        assert numbered(read_all(root)) == [(0, b"one"), (1, b"two")]
        with LocalWriter(root, fsync="never") as writer:
            assert writer.cut_bytes == ({T0: length - 64} if length > 64 else {})
            writer.append("t", b"k", b"new")
        assert numbered(read_all(root)) == [(0, b"one"), (1, b"two"), (2, b"new")]


@pytest.fixture(scope="module")
def three_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine messages of one partition, three in each segment."""
    root = tmp_path_factory.mktemp("three")
    fill(root, [b"value-%d" % n for n in range(9)], segment_bytes=120)
    assert segments(root) == ["000000000000.log", "000000000003.log", "000000000006.log"]
    return root


@settings(max_examples=150, deadline=None)
@given(
    segment=st.integers(0, 2),
    damage=st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 107), st.integers(0, 7)),
        st.tuples(st.just("cut"), st.integers(0, 107), st.just(0)),
        st.tuples(st.just("fill"), st.integers(0, 107), st.sampled_from([0, 255])),
        st.tuples(st.just("more"), st.integers(1, 60), st.integers(0, 255)),
    ),
)
def test_damage_never_makes_a_message(
    three_segments: Path,
    tmp_path_factory: pytest.TempPathFactory,
    segment: int,
    damage: tuple[str, int, int],
):
    """Whatever happens to a file, what is read was appended, in order; other files lose nothing."""
    root = tmp_path_factory.mktemp("damaged")
    (root / "t" / "0").mkdir(parents=True)
    for number, source in enumerate(sorted((three_segments / "t" / "0").iterdir())):
        data = bytearray(source.read_bytes())
        kind, at, what = damage
        if number == segment and kind == "flip":
            data[at] ^= 1 << what
        elif number == segment and kind == "cut":
            del data[at:]
        elif number == segment and kind == "fill":
            data[at:] = bytes([what]) * (len(data) - at)
        elif number == segment:
            data += bytes([what]) * at
        (root / "t" / "0" / source.name).write_bytes(data)
    appended = [(n, b"value-%d" % n) for n in range(9)]
    found = numbered(read_all(root))
    assert found == sorted(found)
    assert set(found) <= set(appended)
    elsewhere = {one for one in appended if one[0] // 3 != segment}
    assert elsewhere <= set(found)
    with LocalWriter(root, fsync="never") as writer:
        writer.append("t", b"k", b"after")
    assert numbered(read_all(root))[-1][1] == b"after"


def test_a_gap_shows_where_an_old_segment_is_damaged(
    three_segments: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The rest of a damaged segment is skipped: offsets jump to the next one, and a warning says so."""
    directory = tmp_path / "t" / "0"
    directory.mkdir(parents=True)
    for source in (three_segments / "t" / "0").iterdir():
        (directory / source.name).write_bytes(source.read_bytes())
    data = bytearray((directory / "000000000003.log").read_bytes())
    data[40] ^= 1
    (directory / "000000000003.log").write_bytes(data)
    assert [offset for offset, _ in numbered(read_all(tmp_path))] == [0, 1, 2, 3, 6, 7, 8]
    assert "at offset 4 of Place(topic='t', partition=0): skipped to offset 6" in caplog.text
    assert [offset for offset, _ in numbered(read_all(tmp_path, start=5))] == [6, 7, 8]


def test_a_length_from_nowhere_asks_for_no_memory(tmp_path: Path):
    """A length of four gigabytes is damage; one within bounds and not there yet is waited for."""
    fill(tmp_path, [b"good"])
    path = tmp_path / "t" / "0" / "000000000000.log"
    good = path.read_bytes()
    for claim in (0xFFFFFFFF, 64 * 1024 * 1024 + 21, 0, 19, 64 * 1024 * 1024 + 20):
        path.write_bytes(good + struct.pack(">IIQqi", claim, 0, 1, 0, -1) + b"x" * 50)
        assert numbered(read_all(tmp_path)) == [(0, b"good")]
        with LocalReader(tmp_path) as reader:
            assert reader.end_offsets([T0]) == {T0: 1}


def test_a_half_written_record_is_not_there_yet(tmp_path: Path):
    """A reader at the tail waits for the rest of a record, and then has it."""
    fill(tmp_path, [b"one", b"two"])
    path = tmp_path / "t" / "0" / "000000000000.log"
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with LocalReader(tmp_path) as reader:
        reader.seek({T0: 0})
        assert numbered(list(reader.poll(1_000, 0))) == [(0, b"one")]
        assert reader.poll(1_000, 0) == []
        path.write_bytes(whole)
        assert numbered(list(reader.poll(1_000, 0))) == [(1, b"two")]


_APPEND_FOREVER = """
import sys
from pathlib import Path
from collectors.log.local import LocalWriter
with LocalWriter(Path(sys.argv[1]), segment_bytes=20_000, fsync=sys.argv[2]) as writer:
    number = int(sys.argv[3])
    while True:
        writer.append("t", b"k", b"%d " % number * 100)
        number += 1
        if number % 10 == 0:
            writer.flush()
            print(number, flush=True)
"""


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_what_was_flushed_outlives_kill_9(tmp_path: Path, fsync: Fsync):
    """A killed writer leaves all it flushed, once; the next one goes on with the next offset."""
    number = 0
    for _ in range(3):
        command = [sys.executable, "-c", _APPEND_FOREVER, str(tmp_path), fsync, str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            flushed = [int(process.stdout.readline()) for _ in range(30)][-1]
            process.send_signal(signal.SIGKILL)
        found = numbered(read_all(tmp_path))
        assert len(found) >= flushed
        assert found == [(n, b"%d " % n * 100) for n in range(len(found))]
        number = len(found)


def test_always_syncs_at_each_flush(tmp_path: Path, syncs: list[int]):
    """With "always" a flush with news syncs once, one without does not."""
    with LocalWriter(tmp_path, fsync="always") as writer:
        writer.append("t", b"k", b"v")
        syncs.clear()
        writer.append("t", b"k", b"v")
        assert len(syncs) == 0
        writer.flush()
        writer.flush()
        assert len(syncs) == 1


def test_interval_syncs_when_it_is_time(tmp_path: Path, syncs: list[int]):
    """With "interval" a flush before its time does not sync; close does, and an append when due."""
    with LocalWriter(tmp_path, fsync="interval", fsync_interval_s=3600) as writer:
        writer.append("t", b"k", b"v")
        syncs.clear()
        writer.flush()
        assert len(syncs) == 0
    assert len(syncs) == 1
    with LocalWriter(tmp_path, fsync="interval", fsync_interval_s=0) as writer:
        syncs.clear()
        writer.append("t", b"k", b"v")
        assert len(syncs) == 1


def test_never_leaves_it_to_the_kernel(tmp_path: Path, syncs: list[int]):
    """With "never" nothing syncs, not even closing or a new segment."""
    fill(tmp_path, [b"v"] * 9, segment_bytes=100)
    assert len(syncs) == 0


def test_oldest_segments_go_by_size(tmp_path: Path):
    """Whole oldest segments go until the bound holds; the active one stays, offsets go on."""
    with LocalWriter(tmp_path, fsync="never", segment_bytes=120, retention_bytes=250) as writer:
        for number in range(12):
            writer.append("t", b"k", b"value-%d" % number)
        assert segments(tmp_path) == ["000000000003.log", "000000000006.log", "000000000009.log"]
        writer.flush()
    assert segments(tmp_path) == ["000000000006.log", "000000000009.log"]
    with LocalReader(tmp_path) as reader:
        assert reader.begin_offsets([T0]) == {T0: 6}
        assert reader.end_offsets([T0]) == {T0: 12}
    assert [offset for offset, _ in numbered(read_all(tmp_path))] == [6, 7, 8, 9, 10, 11]
    fill(tmp_path, [b"value-12"], segment_bytes=120, retention_bytes=1)
    assert segments(tmp_path) == ["000000000012.log"]
    assert numbered(read_all(tmp_path)) == [(12, b"value-12")]


def test_segments_go_by_age(tmp_path: Path):
    """A segment goes when its newest message is too old, also one that nothing was added to."""
    now = [1_000.0]
    with LocalWriter(
        tmp_path, fsync="never", segment_bytes=70, retention_s=60, clock=lambda: now[0]
    ) as writer:
        for _ in range(4):
            writer.append("t", b"k", b"value")
            now[0] += 20
        assert segments(tmp_path) == ["000000000000.log", "000000000002.log"]
        now[0] = 1_081.0
        writer.flush()
        assert [offset for offset, _ in numbered(read_all(tmp_path))] == [2, 3]
        now[0] = 1_200.0
        writer.flush()
        writer.flush()
        assert read_all(tmp_path) == []
        writer.append("t", b"k", b"later")
    assert numbered(read_all(tmp_path)) == [(4, b"later")]


def test_a_reader_overtaken_by_retention_goes_on_with_the_oldest_kept(tmp_path: Path):
    """What was deleted under a reader is a jump of offsets, never an error."""
    with LocalWriter(tmp_path, fsync="never", segment_bytes=120) as writer:
        for number in range(9):
            writer.append("t", b"k", b"value-%d" % number)
        with LocalReader(tmp_path) as reader:
            reader.seek({T0: 0})
            assert [m.offset for m in reader.poll(40, 0)] == [0]
            writer.delete_through(T0, 6)
            found: list[int] = []
            while messages := reader.poll(1 << 20, 0):
                found += [message.offset for message in messages]
            assert found == [1, 2, 6, 7, 8]  # it had the first segment open


def test_delete_through_keeps_what_is_wanted(tmp_path: Path):
    """Only segments wholly below the offset go; with all below, an empty one keeps the count."""
    with LocalWriter(tmp_path, fsync="never", segment_bytes=120) as writer:
        for number in range(9):
            writer.append("t", b"k", b"value-%d" % number)
        assert writer.byte_count() == 324
        writer.delete_through(T0, 5)
        assert segments(tmp_path) == ["000000000003.log", "000000000006.log"]
        writer.delete_through(T0, 8)
        assert segments(tmp_path) == ["000000000006.log"]
        assert writer.byte_count() == 108
        writer.delete_through(T0, 9)
        assert segments(tmp_path) == ["000000000009.log"]
        assert writer.byte_count() == 0
        with pytest.raises(LogError, match="has no Place"):
            writer.delete_through(Place("t", 1), 5)
    with LocalWriter(tmp_path, fsync="never") as writer:
        writer.append("t", b"k", b"next")
    assert numbered(read_all(tmp_path)) == [(9, b"next")]


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path):
    """One writer at a time; the refusal names the process that has it, and it ends with it."""
    with (
        LocalWriter(tmp_path),
        pytest.raises(LogError, match=rf"a writer already \(pid {os.getpid()}:"),
    ):
        LocalWriter(tmp_path)
    LocalWriter(tmp_path).close()


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path):
    """No topic writes outside its root, nor into the lock."""
    with LocalWriter(tmp_path / "log") as writer:
        for name in ("../x", "/x", "a/b", ".", "a\0b", "é"):
            with pytest.raises(LogError, match="is no name of a topic"):
                writer.append(name, b"k", b"v")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_reader_past_the_end_is_told(tmp_path: Path):
    """An offset the log never reached means it was cut or replaced: an error, not silence."""
    fill(tmp_path, [b"one", b"two"])
    with LocalReader(tmp_path) as reader:
        reader.seek({T0: 2})
        assert reader.poll(1_000, 0) == []
        reader.seek({T0: 3})
        with pytest.raises(LogError, match="ends before offset 3"):
            reader.poll(1_000, 0)


def test_a_log_not_there_yet_is_empty(tmp_path: Path):
    """A reader may be first: it has no places, offsets 0, and then what was written."""
    with LocalReader(tmp_path / "later") as reader:
        assert reader.places("") == []
        assert reader.begin_offsets([T0]) == {T0: 0}
        assert reader.end_offsets([T0]) == {T0: 0}
        reader.seek({T0: 0})
        assert reader.poll(1_000, 0) == []
        fill(tmp_path / "later", [b"v"])
        assert numbered(list(reader.poll(1_000, 0))) == [(0, b"v")]


def test_no_place_starves(tmp_path: Path):
    """With room for one place at a time, each has its turn."""
    with LocalWriter(tmp_path, fsync="never") as writer, LocalReader(tmp_path) as reader:
        for topic in ("a", "b", "c"):
            for _ in range(10):
                writer.append(topic, b"k", b"v" * 100)
        reader.seek({Place(topic, 0): 0 for topic in ("a", "b", "c")})
        first = [reader.poll(150, 0) for _ in range(3)]
        assert {messages[0].topic for messages in first} == {"a", "b", "c"}
        assert [len(messages) for messages in first] == [1, 1, 1]
        rest = [message for _ in range(40) for message in reader.poll(150, 0)]
        for topic in ("a", "b", "c"):
            offsets = [m.offset for one in (*first, rest) for m in one if m.topic == topic]
            assert offsets == list(range(10))


def test_many_empty_values_have_a_bound_too(tmp_path: Path):
    """A poll's bound counts heads and keys: empty values cannot fill memory."""
    fill(tmp_path, [b""] * 1_000)
    with LocalReader(tmp_path) as reader:
        reader.seek({T0: 0})
        assert len(reader.poll(2_900, 0)) == 100


def test_a_reader_follows_a_writer_over_segments(tmp_path: Path):
    """Read while it is written and rolled: each message once, in order."""

    def write() -> None:
        fill(tmp_path, [b"%d" % n for n in range(3_000)], segment_bytes=2_000)

    thread = threading.Thread(target=write)
    with LocalReader(tmp_path) as reader:
        reader.seek({T0: 0})
        thread.start()
        found: list[Message] = []
        until = time.monotonic() + 30
        while len(found) < 3_000 and time.monotonic() < until:
            found += reader.poll(5_000, 0.1)
    thread.join()
    assert numbered(found) == [(n, b"%d" % n) for n in range(3_000)]


@contextmanager
def small_files() -> Iterator[None]:
    """No file grows beyond 1,000 bytes: what a full disk looks like to a writer."""
    bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, bounds[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_an_error_and_leaves_no_torn_record(tmp_path: Path):
    """An append that does not fit is refused whole; smaller ones still pass."""
    with small_files(), LocalWriter(tmp_path, fsync="never") as writer:
        writer.append("t", b"k", b"v" * 500)
        with pytest.raises(LogError, match=r"append failed: .*File too large"):
            writer.append("t", b"k", b"w" * 600)
        assert writer.byte_count() == 529
        assert (tmp_path / "t" / "0" / "000000000000.log").stat().st_size == 529
        writer.append("t", b"k", b"x")
    assert numbered(read_all(tmp_path)) == [(0, b"v" * 500), (1, b"x")]


def test_after_close_nothing_is_taken(tmp_path: Path):
    """A closed writer says so; closing twice is no error."""
    writer = LocalWriter(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(LogError, match="is closed"):
        writer.append("t", b"k", b"v")
    with pytest.raises(LogError, match="is closed"):
        writer.flush()


def test_files_are_let_go(tmp_path: Path):
    """Writers and readers that were closed hold no file."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        fill(tmp_path, [b"v"] * 20, segment_bytes=100)
        read_all(tmp_path)
        with LocalReader(tmp_path) as reader:
            reader.end_offsets([T0])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
