"""What the log promises, whichever it is: one suite for local segments and for Apache Kafka."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from collectors.log import LogError, Message, Place, Reader, Writer
from collectors.log.kafka import KafkaReader, KafkaWriter
from collectors.log.local import LocalReader, LocalWriter


class Log(NamedTuple):
    """One log: a writer, what opens readers, a topic of its own, and how another process reads."""

    writer: Writer
    open_reader: Callable[[], Reader]
    topic: str
    snippet: str


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    topic = f"contract.{uuid.uuid4().hex}"
    with ExitStack() as stack:
        if request.param == "local":
            writer: Writer = stack.enter_context(LocalWriter(tmp_path, fsync="never"))

            def open_reader() -> Reader:
                return stack.enter_context(LocalReader(tmp_path))

            snippet = (
                "from pathlib import Path; from collectors.log.local import LocalReader as R;"
                f"r = R(Path({str(tmp_path)!r}))"
            )
        else:
            bootstrap = request.getfixturevalue("kafka_broker").bootstrap
            writer = stack.enter_context(KafkaWriter(bootstrap))

            def open_reader() -> Reader:
                return stack.enter_context(KafkaReader(bootstrap))

            snippet = (
                "import warnings; warnings.simplefilter('ignore');"
                "from collectors.log.kafka import KafkaReader as R;"
                f"r = R({bootstrap!r})"
            )
        yield Log(writer, open_reader, topic, snippet)


def read(reader: Reader, offsets: dict[Place, int], count: int) -> list[Message]:
    """``count`` messages from these offsets on; fewer if no more come in five seconds."""
    reader.seek(offsets)
    found: list[Message] = []
    for _ in range(50):
        found += reader.poll(1 << 20, 0.1)
        if len(found) >= count:
            break
    return found


def test_messages_come_in_order_with_offsets_from_0(log: Log):
    """What was appended is read in order, numbered 0, 1, 2..., with key and value as they were."""
    for number in range(100):
        log.writer.append(log.topic, b"node-1", b"value %d" % number)
    log.writer.flush()
    reader = log.open_reader()
    place = Place(log.topic, 0)
    assert list(reader.places(log.topic)) == [place]
    found = read(reader, {place: 0}, 100)
    assert [message.offset for message in found] == list(range(100))
    assert [message.value for message in found] == [b"value %d" % n for n in range(100)]
    assert {(message.topic, message.partition, message.key) for message in found} == {
        (log.topic, 0, b"node-1")
    }


def test_a_reader_begins_where_it_is_told(log: Log):
    """Reading from 7 gives 7, 8, 9 and not what was before."""
    for number in range(10):
        log.writer.append(log.topic, b"k", bytes([number]))
    log.writer.flush()
    found = read(log.open_reader(), {Place(log.topic, 0): 7}, 3)
    assert [(message.offset, message.value) for message in found] == [
        (7, b"\7"),
        (8, b"\10"),
        (9, b"\11"),
    ]


def test_ends_are_known(log: Log):
    """The oldest offset is 0, the next one is the number of messages."""
    for _ in range(3):
        log.writer.append(log.topic, b"k", b"v")
    log.writer.flush()
    reader = log.open_reader()
    places = list(reader.places(log.topic))
    assert dict(reader.begin_offsets(places)) == {Place(log.topic, 0): 0}
    assert dict(reader.end_offsets(places)) == {Place(log.topic, 0): 3}


def test_a_poll_is_bounded_and_never_starves(log: Log):
    """At most the bytes asked for, but one message even if it is larger; nothing is skipped."""
    for number in range(6):
        log.writer.append(log.topic, b"k", bytes([number]) * 1_000)
    log.writer.flush()
    reader = log.open_reader()
    reader.seek({Place(log.topic, 0): 0})
    taken: list[list[int]] = []
    for _ in range(100):
        messages = reader.poll(2_500, 0.1)
        if messages:
            taken.append([message.offset for message in messages])
        if sum(map(len, taken)) == 6:
            break
    assert taken == [[0, 1], [2, 3], [4, 5]]
    reader.seek({Place(log.topic, 0): 5})
    assert [m.offset for m in next(filter(None, (reader.poll(10, 0.2) for _ in range(50))))] == [5]


def test_nothing_ready_is_no_message(log: Log):
    """At the end of the log a poll returns empty, and later what came meanwhile."""
    log.writer.append(log.topic, b"k", b"first")
    log.writer.flush()
    reader = log.open_reader()
    assert len(read(reader, {Place(log.topic, 0): 0}, 1)) == 1
    assert list(reader.poll(1_000, 0.05)) == []
    log.writer.append(log.topic, b"k", b"second")
    log.writer.flush()
    later = next(filter(None, (reader.poll(1_000, 0.2) for _ in range(50))))
    assert [message.value for message in later] == [b"second"]


def test_topics_that_appear_later_are_seen(log: Log):
    """A reader that was there first finds a new topic by its prefix, and only such."""
    reader = log.open_reader()
    assert list(reader.places(log.topic)) == []
    log.writer.append(log.topic + ".b", b"k", b"v")
    log.writer.append(log.topic + ".a", b"k", b"v")
    log.writer.flush()
    assert list(reader.places(log.topic)) == [
        Place(log.topic + ".a", 0),
        Place(log.topic + ".b", 0),
    ]


def test_any_bytes_pass(log: Log):
    """Binary, empty and large values come out as they went in, with a key or an empty one."""
    values = [bytes(range(256)), b"", b"\0" * 3, bytes(5_000_000)]
    for value in values:
        log.writer.append(log.topic, b"", value)
    log.writer.flush()
    found = read(log.open_reader(), {Place(log.topic, 0): 0}, 4)
    assert [message.value for message in found] == values


def test_another_process_reads_what_was_flushed(log: Log):
    """A flush makes it readable elsewhere, while the writer stays open."""
    for number in range(5):
        log.writer.append(log.topic, b"k", b"%d" % number)
    log.writer.flush()
    code = (
        f"{log.snippet}; p = r.places({log.topic!r}); r.seek(dict.fromkeys(p, 0)); found = []\n"
        "for _ in range(100):\n"
        "    found += r.poll(1000, 0.1)\n"
        "    if len(found) == 5: break\n"
        "r.close(); print(b''.join(m.value for m in found).decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "01234"


def test_readers_are_independent(log: Log):
    """Two readers of one log each get all of it."""
    for _ in range(4):
        log.writer.append(log.topic, b"k", b"v")
    log.writer.flush()
    one, two = log.open_reader(), log.open_reader()
    assert len(read(one, {Place(log.topic, 0): 0}, 4)) == 4
    assert len(read(two, {Place(log.topic, 0): 2}, 2)) == 2
    assert len(read(one, {Place(log.topic, 0): 1}, 3)) == 3


def test_a_flush_without_messages_is_nothing(log: Log):
    """Flushing an empty queue returns."""
    log.writer.flush()
    log.writer.flush(0.1)


@pytest.mark.parametrize("topic", ["", "a/b", "..", "sp ace", "ü", "x" * 250])
def test_a_name_no_topic_can_have_is_refused(log: Log, topic: str):
    """A topic's name is letters, digits, dot, underscore, hyphen; else a LogError, not a file elsewhere."""
    with pytest.raises(LogError):
        log.writer.append(topic, b"k", b"v")
        log.writer.flush(5)


def test_a_message_too_large_is_refused_by_name(log: Log):
    """What the log cannot take is an error that says how large it was; the next message passes."""
    with pytest.raises(LogError, match="6800000[01] bytes"):
        log.writer.append(log.topic, b"k", bytes(68_000_000))
    log.writer.append(log.topic, b"k", b"small")
    log.writer.flush()
    assert [m.value for m in read(log.open_reader(), {Place(log.topic, 0): 0}, 1)] == [b"small"]
