"""Offsets that Apache Kafka no longer has, or not yet."""

import time
import uuid

import pytest
from brokers import Broker
from kafka import KafkaAdminClient, TopicPartition

from collectors.log import LogError, Message, Place
from collectors.log.kafka import KafkaReader, KafkaWriter

pytestmark = pytest.mark.kafka


def polled(reader: KafkaReader, count: int) -> list[Message]:
    found: list[Message] = []
    until = time.monotonic() + 20
    while len(found) < count and time.monotonic() < until:
        found += reader.poll(1 << 20, 0.2)
    return found


def delete_below(broker: Broker, place: Place, offset: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.delete_records({TopicPartition(*place): offset})
    admin.close()


@pytest.fixture
def five(kafka_broker: Broker) -> Place:
    """A topic with offsets 0 to 4."""
    topic = f"offsets.{uuid.uuid4().hex}"
    with KafkaWriter(kafka_broker.bootstrap) as writer:
        for number in range(5):
            writer.append(topic, b"k", b"%d" % number)
    return Place(topic, 0)


def test_an_offset_no_longer_kept_moves_to_the_oldest(kafka_broker: Broker, five: Place):
    """What retention deleted shows as a gap: asked for 1, got 3 and 4."""
    delete_below(kafka_broker, five, 3)
    with KafkaReader(kafka_broker.bootstrap) as reader:
        assert reader.begin_offsets([five]) == {five: 3}
        reader.seek({five: 1})
        assert [(m.offset, m.value) for m in polled(reader, 2)] == [(3, b"3"), (4, b"4")]


def test_an_offset_past_the_end_is_an_error(kafka_broker: Broker, five: Place):
    """A log shorter than what was read of it is never read again from its begin in silence."""
    with KafkaReader(kafka_broker.bootstrap) as reader:
        reader.seek({five: 6})
        with pytest.raises(LogError, match="partition 0 ends before what was read of it"):
            polled(reader, 1)
        reader.seek({five: 4})
        assert [m.value for m in polled(reader, 1)] == [b"4"]


def test_the_end_itself_is_waited_at(kafka_broker: Broker, five: Place):
    """The next offset to come is no error: nothing, and then the message."""
    with KafkaReader(kafka_broker.bootstrap) as reader:
        reader.seek({five: 5})
        assert reader.poll(1_000, 0.5) == []
        with KafkaWriter(kafka_broker.bootstrap) as writer:
            writer.append(five.topic, b"k", b"5")
        assert [(m.offset, m.value) for m in polled(reader, 1)] == [(5, b"5")]


def test_a_key_stays_in_its_partition(kafka_broker: Broker):
    """A topic is made with the partitions asked for; a key's messages are in one of them, in order."""
    topic = f"offsets.{uuid.uuid4().hex}"
    keys = [b"node-%d" % number for number in range(12)]
    with KafkaWriter(kafka_broker.bootstrap, partitions=3) as writer:
        for turn in range(3):
            for key in keys:
                writer.append(topic, key, b"%d" % turn)
    with KafkaReader(kafka_broker.bootstrap) as reader:
        places = reader.places(topic)
        assert places == [Place(topic, 0), Place(topic, 1), Place(topic, 2)]
        reader.seek(dict.fromkeys(places, 0))
        found = polled(reader, 36)
    for key in keys:
        mine = [message for message in found if message.key == key]
        assert [message.value for message in mine] == [b"0", b"1", b"2"]
        assert len({message.partition for message in mine}) == 1
