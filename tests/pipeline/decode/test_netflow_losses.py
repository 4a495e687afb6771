"""What exporters tell of drops, retransmissions and round trips; null where they do not."""

import struct

from netflow_wire import decode, decode_files, ipfix, netflow9, rows, set_of, template

ENDS = ((8, 4), (12, 4))
COUNTED = (*ENDS, (1, 8), (2, 8))
LOST = ("dropped_packets", "dropped_bytes")
AGAIN = ("retransmitted_packets", "retransmitted_bytes", "rtt_us")
NPROBE = 35_632


def _told(fields, records, version=10, names=LOST):
    message = netflow9 if version == 9 else ipfix
    sets = template(256, fields, version), set_of(256, records)
    return rows(decode([message(*sets)]), *names)


def test_an_exporter_that_tells_no_losses_leaves_them_unknown():
    """Null, not 0: nobody said that nothing was lost."""
    record = struct.pack("!IIQQ", 1, 2, 1_500, 3)
    names = (*LOST, *AGAIN, "forwarding_status")
    assert _told(COUNTED, record, names=names) == [(None,) * 6]


def test_drops_are_those_since_the_last_report_or_of_the_flow():
    """132 and 133 by themselves; of totals alone (134, 135) those; 0 is told, too."""
    deltas = struct.pack("!IIQQQQ", 1, 2, 9_000, 6, 3_000, 2)
    nothing = struct.pack("!IIQQQQ", 1, 2, 9_000, 6, 0, 0)
    assert _told((*COUNTED, (132, 8), (133, 8)), deltas + nothing) == [(2, 3_000), (0, 0)]
    totals = struct.pack("!IIII", 1, 2, 700, 1)
    assert _told((*ENDS, (134, 4), (135, 4)), totals, version=9) == [(1, 700)]


def test_the_forwarding_status_tells_what_became_of_all_packets():
    """Forwarded and consumed: none was dropped. Dropped: all. Unknown: null. RFC 7270, 4.12."""
    fields = (*COUNTED, (89, 1))
    # unknown; forwarded, not fragmented; dropped by an ACL; consumed, terminated here
    told = b"".join(struct.pack("!IIQQB", 1, 2, 9_000, 6, one) for one in (0, 66, 129, 195))
    assert _told(fields, told, names=(*LOST, "forwarding_status")) == [
        (None, None, 0),
        (0, 0, 66),
        (6, 9_000, 129),
        (0, 0, 195),
    ]


def test_a_status_of_four_bytes_is_its_last():
    """Reduced-size encoding the other way round: the upper three are reserved."""
    record = struct.pack("!IIQQI", 1, 2, 9_000, 6, 0x0100_0081)
    names = (*LOST, "forwarding_status")
    assert _told((*COUNTED, (89, 4)), record, names=names) == [(6, 9_000, 129)]


def test_counted_drops_are_more_exact_than_a_status():
    """2 packets of 6 were dropped, whatever the status says of the flow."""
    record = struct.pack("!IIQQQB", 1, 2, 9_000, 6, 2, 129)
    assert _told((*COUNTED, (133, 8), (89, 1)), record) == [(2, 9_000)]


def test_drops_of_a_biflow_are_of_the_direction_they_are_told_of():
    """133 is of the forward half, its mirror (RFC 5103) of the reverse; a status is of neither."""
    fields = (*COUNTED, (1, 8, 29_305), (2, 8, 29_305), (133, 8), (133, 8, 29_305))
    record = struct.pack("!IIQQQQQQ", 1, 2, 9_000, 6, 500, 5, 2, 1)
    names = ("src", "packets", "dropped_packets")
    assert _told(fields, record, names=names) == [("0.0.0.1", 6, 2), ("0.0.0.2", 5, 1)]
    status = (*COUNTED, (1, 8, 29_305), (89, 1))
    record = struct.pack("!IIQQQB", 1, 2, 9_000, 6, 500, 64)
    assert _told(status, record, names=names) == [("0.0.0.1", 6, 0), ("0.0.0.2", None, None)]


def test_nprobe_tells_retransmissions_of_both_directions_and_the_round_trip():
    """Out is back from the destination, counters of 23 and 24 too; 2 x (1 + 4) ms is 10 000 us."""
    ours = (109, 110, 127, 128, 123, 124)
    common = (*COUNTED, (23, 8), (24, 8), (4, 1))
    numbers = (2, 3, 2_800, 4_200, 1, 4)
    record = struct.pack("!IIQQQQB6I", 1, 2, 9_000, 6, 70_000, 50, 6, *numbers)
    names = ("src", "bytes", "packets", *AGAIN)
    there = ("0.0.0.1", 9_000, 6, 2, 2_800, 10_000)
    back = ("0.0.0.2", 70_000, 50, 3, 4_200, 10_000)
    of_ipfix = (*common, *((number, 4, NPROBE) for number in ours))
    assert _told(of_ipfix, record, names=names) == [there, back]
    of_netflow9 = (*common, *((57_472 + number, 4) for number in ours))
    assert _told(of_netflow9, record, version=9, names=names) == [there, back]


def test_what_nprobe_cannot_know_of_udp_is_unknown():
    """It writes 0 for what does not apply, and for latencies it did not measure."""
    fields = (*COUNTED, (4, 1), *((number, 4, NPROBE) for number in (109, 127, 123, 124)))
    record = struct.pack("!IIQQB4I", 1, 2, 9_000, 6, 17, 0, 0, 0, 0)
    assert _told(fields, record, names=AGAIN) == [(None, None, None)]


def test_a_round_trip_that_fits_no_column_is_none():
    """4 294 967 295 ms there and back is a counter gone wrong."""
    fields = (*ENDS, (123, 4, NPROBE), (124, 4, NPROBE))
    record = struct.pack("!IIII", 1, 2, 2**32 - 1, 2**32 - 1)
    assert _told(fields, record, names=("rtt_us",)) == [(None,)]


def test_routers_tell_what_they_forwarded_and_what_they_took_themselves(corpus):
    """Real exporters: 64 forwarded, 66 not fragmented, 195 for the router itself, 0 unknown."""
    asr = "beats-netflow/dat/netflow9_test_cisco_asr9k"
    akvorado = "akvorado/netflow/testdata"
    pmacct = "pmacct/102-NFv9-CISCO-f2rd-pretag-sampling-reload"
    told = {
        name: {
            (status, dropped)
            for status, dropped in rows(
                decode_files(*(corpus / file for file in files)),
                "forwarding_status",
                "dropped_packets",
            )
        }
        for name, files in {
            "asr9k": (f"{asr}_tpl260.dat", f"{asr}_data260.dat"),
            "mpls": (f"{akvorado}/mpls.pcap",),
            "pmacct": sorted((corpus / pmacct).glob("*.pcap")),
            "unknown": ("telegraf-netflow/netflow_v9_example/netflow_v9.bin",),
        }.items()
    }
    assert told == {
        "asr9k": {(64, 0)},
        "mpls": {(66, 0)},
        "pmacct": {(64, 0), (195, 0)},
        "unknown": {(0, None)},
    }
