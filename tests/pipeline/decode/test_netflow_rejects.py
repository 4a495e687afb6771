"""Every reason a flow payload can be refused for, with what is kept of it, and what is bounded."""

import struct

import pytest
from netflow_wire import (
    PORTS,
    RECEIVED_NS,
    counts,
    decode,
    ipfix,
    netflow5,
    netflow9,
    options_template,
    outcomes,
    reasons,
    record,
    record5,
    rows,
    set_of,
    template,
)

from pipeline.decode.netflow import Netflow
from pipeline.decode.netflow.domains import (
    MAX_DOMAINS,
    MAX_PENDING_BYTES,
    MAX_TEMPLATES,
    PENDING_NS,
)

TEXT = ((8, 4), (12, 4), (82, 65_535))  # the last of variable length
GOOD = ipfix(template(256, PORTS), set_of(256, record(1)))


@pytest.mark.parametrize(
    ("message", "reason", "raw_length"),
    [
        (b"", "payload_empty", 0),
        (b"\0", "header_truncated", 1),
        (b"\0\7" + bytes(30), "version_unknown", 32),
        (ipfix()[:15], "header_truncated", 15),
        (netflow9()[:19], "header_truncated", 19),
        (netflow5([record5()])[:23], "header_truncated", 23),
        (ipfix(set_of(256, b"12"))[:-1], "length_mismatch", 21),
        (struct.pack("!HH", 10, 15) + bytes(12), "length_mismatch", 16),
        (netflow5([record5()])[:-1], "length_mismatch", 71),
        (struct.pack("!HH", 5, 55_582) + bytes(20), "length_mismatch", 24),
        (ipfix(b"\1\0\0\3"), "set_length", 4),
        (ipfix(b"\1\0\0\x09" + bytes(4)), "set_length", 8),
        (ipfix(set_of(7, bytes(4))), "set_id_reserved", 8),
        (netflow9(set_of(2, bytes(4))), "set_id_reserved", 8),
        (ipfix(set_of(2, struct.pack("!HH", 256, 2) + bytes(4))), "template_malformed", 12),
        (ipfix(set_of(2, struct.pack("!HHHH", 99, 1, 8, 4))), "template_malformed", 12),
        (ipfix(template(256, [(210, 0)])), "template_malformed", 12),
        (netflow9(template(256, [(210, 0)], 9)), "template_malformed", 12),
        (
            ipfix(set_of(2, struct.pack("!HH", 256, 1_025) + bytes(4_100))),
            "template_too_large",
            4_108,
        ),
    ],
)
def test_each_reason_keeps_the_bytes_and_the_next_datagram_passes(
    message: bytes, reason: str, raw_length: int
):
    """One bad datagram: one reject with its bytes, counted; the good one behind it is decoded."""
    decoded = decode([message, GOOD])
    assert decoded.rejects.select("reason", "raw_length").rows() == [(reason, raw_length)]
    assert decoded.rejects["raw"][0] == message[len(message) - raw_length :][:2_048]
    assert outcomes(decoded) == (1, 0, 1)
    assert rows(decoded, "src", "bytes") == [("10.0.0.1", 1)]


def test_a_set_that_ends_inside_a_record_keeps_the_whole_ones():
    """The second record says 200 bytes and has 3: the first is a row, the set a reject."""
    whole = struct.pack("!II", 0x0A000001, 0x0A000002) + b"\3abc"
    cut = struct.pack("!II", 0x0A000003, 0x0A000004) + b"\xc8abc"
    decoded = decode([ipfix(template(256, TEXT), set_of(256, whole + cut))])
    assert rows(decoded, "src", "dst") == [("10.0.0.1", "10.0.0.2")]
    assert reasons(decoded) == {"record_truncated": 1}
    assert outcomes(decoded) == (0, 1, 0)


def test_a_bad_set_does_not_take_the_good_ones_before_it():
    """Template and data, then a set that claims too much: a row, a reject, a partial payload."""
    decoded = decode([ipfix(template(256, PORTS), set_of(256, record(1)), b"\1\0\xff\xff")])
    assert rows(decoded, "bytes") == [(1,)]
    assert (reasons(decoded), outcomes(decoded)) == ({"set_length": 1}, (0, 1, 0))


def test_templates_of_one_domain_are_bounded():
    """Template 1,025 of a domain is refused; those known go on working."""
    decoder = Netflow()
    many = [ipfix(template(256 + n, PORTS)) for n in range(MAX_TEMPLATES)]
    assert reasons(decode(many, decoder)) == {}
    decoded = decode([ipfix(template(2_000, PORTS)), ipfix(set_of(256, record(7)))], decoder)
    assert reasons(decoded) == {"template_limit": 1}
    assert rows(decoded, "bytes") == [(7,)]
    assert MAX_TEMPLATES == 1_024


def test_sets_that_wait_are_bounded_and_the_rest_is_refused():
    """262,144 bytes of a domain wait for a template; what is beyond is a reject, at once."""
    size = 4_096
    messages = [ipfix(set_of(300, bytes(size - 4))) for _ in range(80)]
    decoded = decode(messages)
    assert counts(decoded)["waiting_sets"] == MAX_PENDING_BYTES // size == 64
    assert reasons(decoded) == {"pending_limit": 16}
    assert outcomes(decoded) == (0, 64, 16)


def test_a_set_that_waited_too_long_is_given_up_and_counted():
    """After half an hour without a template the set leaves as a reject, with its bytes."""
    decoder = Netflow()
    waiting = set_of(300, record(1))
    assert counts(decode([ipfix(waiting)], decoder))["waiting_sets"] == 1
    later = decode([GOOD], decoder, received_ns=RECEIVED_NS + PENDING_NS + 1_000_000_000)
    assert reasons(later) == {"pending_limit": 1}
    assert later.rejects["raw"].to_list() == [waiting]
    assert counts(later)["waiting_sets"] == -1


def test_data_before_its_template_is_decoded_when_it_comes():
    """The set waits, the template comes, the row appears once, and nothing waits."""
    decoder = Netflow()
    first = decode([ipfix(set_of(256, record(5)))], decoder)
    assert (rows(first, "bytes"), counts(first)["waiting_sets"]) == ([], 1)
    then = decode([ipfix(template(256, PORTS))], decoder)
    assert (rows(then, "bytes"), counts(then)["waiting_sets"]) == ([(5,)], -1)
    assert reasons(then) == {}


def test_exporters_that_are_invented_do_not_grow_memory():
    """A sender of 16,384 domains and more: some are refused and counted, none raises."""
    decoder = Netflow()
    step = 4_096
    refused = 0
    for first in range(0, MAX_DOMAINS + step, step):
        messages = [ipfix(template(256, PORTS), domain=n) for n in range(first, first + step)]
        refused += reasons(decode(messages, decoder)).get("state_limit", 0)
    assert (MAX_DOMAINS, refused) == (16_384, 4_096)


def test_a_template_of_another_exporter_is_not_used():
    """Two exporters, one template id: the second's data waits for its own template."""
    decoded = decode(
        [ipfix(template(256, PORTS)), ipfix(set_of(256, record(1)))],
        exporters=["192.0.2.1", "192.0.2.2"],
    )
    assert (rows(decoded, "bytes"), counts(decoded)["waiting_sets"]) == ([], 1)


def test_padding_is_no_record():
    """Zeros shorter than a record at the end of a set are left out."""
    decoded = decode([ipfix(template(256, PORTS), set_of(256, record(1) + bytes(3)))])
    assert rows(decoded, "bytes") == [(1,)]
    assert outcomes(decoded) == (1, 0, 0)


def test_sampling_told_by_options_is_kept_beside_the_counts():
    """One in 100, by options: the octets stay as exported, the factor and its source beside them."""
    options = options_template(257, [(149, 4)], [(34, 4)])
    told = set_of(257, struct.pack("!II", 1, 100))
    decoded = decode([ipfix(template(256, PORTS), options, told, set_of(256, record(9)))])
    assert rows(decoded, "bytes", "sampling_factor", "sampling_source") == [(9, 100.0, 3)]


def test_the_sampling_word_of_v5_is_masked():
    """0x4064 is mode 1 and one in 100; 0x4000 and 0x4001 are no sampling."""
    words = (0x4064, 0x4000, 0x4001)
    decoded = decode([netflow5([record5()], sequence=n, sampling=w) for n, w in enumerate(words)])
    assert rows(decoded, "sampling_factor", "sampling_source") == [(100.0, 1), (1.0, 0), (1.0, 0)]


def test_loss_is_counted_by_each_formats_own_unit():
    """v5 counts flows, v9 datagrams, IPFIX data records: three ways to lose what was sent between."""
    five = decode([netflow5([record5()] * 3, sequence=0), netflow5([record5()], sequence=10)])
    nine = decode([netflow9(sequence=5), netflow9(sequence=9)])
    data = set_of(256, record(1) + record(2))
    ten = decode([ipfix(template(256, PORTS), data, sequence=100), ipfix(data, sequence=107)])
    lost = [
        counts(one)["sequence_units_expected"] - counts(one)["sequence_units_received"]
        for one in (five, nine, ten)
    ]
    assert lost == [7, 3, 5]


def test_a_late_datagram_takes_its_loss_back():
    """Numbers 0, 2, 1: one was thought lost, and then it came."""
    decoded = decode([netflow9(sequence=0), netflow9(sequence=2), netflow9(sequence=1)])
    told = counts(decoded)
    assert told["sequence_units_expected"] == told["sequence_units_received"] == 3
    assert told["out_of_order_payloads"] == 1


def test_a_number_that_wraps_is_no_loss():
    """4,294,967,295 is followed by 0."""
    told = counts(decode([netflow9(sequence=2**32 - 1), netflow9(sequence=0)]))
    assert told["sequence_units_expected"] == told["sequence_units_received"] == 2


def test_an_exporter_that_restarts_is_a_reset_and_no_loss():
    """From a million to 0, 1, 2: counted anew."""
    numbers = (1_000_000, 1_000_001, 0, 1, 2, 3)
    told = counts(decode([netflow9(sequence=number) for number in numbers]))
    assert told["sequence_resets"] == 1
    assert told["sequence_units_expected"] == told["sequence_units_received"] == 6
