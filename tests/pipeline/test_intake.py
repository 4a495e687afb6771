"""Messages of the log are opened, agents held to their word, and every loss counted."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from collectors import envelope
from collectors.log import Message, Place
from pipeline.intake import Intake, Opener

TOPIC = "crosspane.v1.flow.cluster-east"
PLACE = Place(TOPIC, 0)


def message(value: bytes, offset: int = 0, topic: str = TOPIC) -> Message:
    return Message(topic, 0, offset, 1_700_000_030_000, b"key", value)


def enveloped(payloads: list[bytes], **header: object) -> bytes:
    fields = {
        "agent": "node-1",
        "cluster": "cluster-east",
        "network": "net-east",
        "kind": "netflow",
    }
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(range(1_000, 1_000 + len(payloads)), pa.int64()),
            pa.array(["192.0.2.1"] * len(payloads), pa.string()).dictionary_encode(),
            pa.array(payloads, pa.binary()),
        ],
        schema=envelope.SCHEMA,
    )
    return envelope.encode(envelope.Envelope(envelope.Header(**(fields | header)), batch))


def drops(intake: Intake) -> list[tuple[str, int]]:
    return list(intake.drops.select("reason", "payloads").iter_rows())


def test_payloads_of_many_envelopes_keep_log_order_and_source():
    """Payloads of one kind come out in log order, each with its source and its message's offset."""
    intake = Opener("crosspane.v1").open(
        [message(enveloped([b"a", b"b"]), 0), message(enveloped([b"c"], agent="node-2"), 1)]
    )
    payloads = intake.payloads["netflow"]
    assert payloads.payload.to_pylist() == [b"a", b"b", b"c"]
    assert [payloads.sources[code].agent for code in payloads.source] == [
        "node-1",
        "node-1",
        "node-2",
    ]
    assert intake.payload_offsets["netflow"].tolist() == [0, 0, 1]
    assert payloads.received_ns.tolist() == [1_000, 1_001, 1_000]
    assert (intake.payload_count, intake.rejects.height, intake.drops.height) == (3, 0, 0)


def test_an_agent_cannot_speak_for_another_cluster():
    """The topic names the cluster; an envelope that claims another is rejected with its bytes."""
    value = enveloped([b"a"], cluster="cluster-west")
    intake = Opener("crosspane.v1").open([message(value, 7)])
    assert intake.payloads == {}
    row = intake.rejects.row(0, named=True)
    assert (row["reason"], row["log_offset"], row["raw_length"]) == (
        "cluster_mismatch",
        7,
        len(value),
    )
    assert row["raw"] == value[:2_048]


def test_a_kind_cannot_come_by_another_kinds_topic():
    """The topic also names the group: access logs in a flow topic are rejected."""
    intake = Opener("crosspane.v1").open([message(enveloped([b"{}"], kind="access_log"))])
    assert intake.rejects["reason"].to_list() == ["cluster_mismatch"]


def test_an_envelope_sent_twice_counts_once():
    """A writer that did not hear the answer sends again: left out, and counted as duplicate."""
    value = enveloped([b"a", b"b"], first_sequence=0)
    intake = Opener("crosspane.v1").open([message(value, 0), message(value, 1)])
    assert intake.payloads["netflow"].payload.to_pylist() == [b"a", b"b"]
    assert drops(intake) == [("duplicate", 2)]


def test_numbers_that_jump_are_a_gap():
    """Payloads 2 to 4 never came: three are counted as sequence_gap."""
    intake = Opener("crosspane.v1").open(
        [
            message(enveloped([b"a", b"b"], first_sequence=0), 0),
            message(enveloped([b"c"], first_sequence=5), 1),
        ]
    )
    assert drops(intake) == [("sequence_gap", 3)]


def test_what_the_spool_let_go_is_counted_once():
    """The agent says it dropped 3 of its spool; the same 3 are not a gap as well."""
    intake = Opener("crosspane.v1").open(
        [
            message(enveloped([b"a"], first_sequence=0), 0),
            message(enveloped([b"b"], first_sequence=4, dropped={"spool_full": 3, "kernel": 9}), 1),
        ]
    )
    assert drops(intake) == [("spool_full", 3), ("kernel", 9)]


def test_an_agent_that_starts_anew_counts_anew():
    """A new epoch begins at 0 and is neither duplicate nor gap."""
    intake = Opener("crosspane.v1").open(
        [
            message(enveloped([b"a", b"b"], first_sequence=0, epoch_ns=1), 0),
            message(enveloped([b"c"], first_sequence=0, epoch_ns=2), 1),
        ]
    )
    assert intake.payloads["netflow"].payload.to_pylist() == [b"a", b"b", b"c"]
    assert drops(intake) == []


def test_what_expired_in_the_log_is_counted_in_messages():
    """The job stood at 3 and the oldest kept message is 10: seven are a log gap."""
    opener = Opener("crosspane.v1")
    opener.expect(PLACE, 3)
    assert drops(opener.open([message(enveloped([b"a"]), 10)])) == [("log_gap", 7)]


def test_snapshot_carries_the_numbers_over_a_restart():
    """After restore, the envelope sent again is still a duplicate, and a jump still a gap."""
    first = Opener("crosspane.v1")
    value = enveloped([b"a", b"b"], first_sequence=0)
    first.open([message(value, 0)])
    second = Opener("crosspane.v1")
    second.restore(PLACE, first.snapshot(PLACE))
    intake = second.open([message(value, 1), message(enveloped([b"x"], first_sequence=3), 2)])
    assert drops(intake) == [("duplicate", 2), ("sequence_gap", 1)]


def test_another_version_and_too_many_payloads_have_their_own_reasons():
    """A newer envelope, one with more payloads than allowed, and junk: three reasons."""
    many = enveloped([b""] * (envelope.MAX_PAYLOADS + 1))
    newer = enveloped([b"a"], version=2)
    intake = Opener("crosspane.v1").open([message(newer), message(many, 1), message(b"junk", 2)])
    assert intake.rejects["reason"].to_list() == [
        "envelope_version",
        "envelope_too_large",
        "envelope_malformed",
    ]


@given(st.binary(max_size=2_000))
def test_any_bytes_are_an_envelope_or_a_reject(value: bytes):
    """Nothing in the log raises."""
    intake = Opener("crosspane.v1").open([message(value)])
    assert intake.rejects.height == 1


@given(st.integers(0, 1_600), st.integers(0, 255))
def test_a_damaged_envelope_never_gives_other_payloads(position: int, byte: int):
    """One wrong byte: the payloads as they were, or a reject; never a crash."""
    value = bytearray(enveloped([b"payload one", b"payload two"]))
    value[position % len(value)] = byte
    intake = Opener("crosspane.v1").open([message(bytes(value))])
    assert intake.rejects.height + len(intake.payloads) <= 1
