"""Apache Kafka goes away and comes back."""

import uuid

import pytest
from brokers import Broker

from collectors.log import LogError, Place
from collectors.log.kafka import KafkaReader, KafkaWriter


@pytest.mark.kafka
@pytest.mark.timeout(120)
def test_a_broker_that_goes_away_is_an_error_and_then_it_works_again(kafka_broker: Broker):
    """A flush fails in time while the broker is gone; sent again later, each message is there once."""
    topic = f"away.{uuid.uuid4().hex}"
    with (
        KafkaWriter(kafka_broker.bootstrap) as writer,
        KafkaReader(kafka_broker.bootstrap) as reader,
    ):
        writer.append(topic, b"k", b"before")
        writer.flush()
        kafka_broker.stop()
        try:
            with pytest.raises(LogError, match="Kafka at 127.0.0.1"):
                writer.append(topic, b"k", b"lost")
                writer.flush(2.0)
            reader.seek({Place(topic, 0): 0})
            assert list(reader.poll(1_000, 0.2)) == []
        finally:
            kafka_broker.start()
        for attempt in range(20):
            try:
                writer.append(topic, b"k", b"again")
                writer.flush(10.0)
                break
            except LogError:
                assert attempt < 19
        found: list[bytes] = []
        for _ in range(100):
            found += [message.value for message in reader.poll(1_000, 0.2)]
            if len(found) == 2:
                break
        assert found == [b"before", b"again"]


def test_no_broker_is_an_error_that_names_it():
    """Connecting to nobody says to whom."""
    with pytest.raises(LogError, match="Kafka at 127.0.0.1:1: connecting"):
        KafkaWriter("127.0.0.1:1")
