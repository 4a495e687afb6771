"""
What real exporters sent, as nfdump, the captures' own projects and eyes read it.

Values are literals, compared with the golden outputs of the corpus.
"""

import pytest
from netflow_wire import count, decode_files, outcomes, reasons, rows

DAT = "beats-netflow/dat"
AKVORADO = "akvorado/netflow/testdata"
FLOW = ("src", "src_port", "dst", "dst_port", "protocol", "bytes", "packets")
TIMES = ("start_ns", "end_ns")

FIRST_FLOWS = {
    "cisco asa": (
        [f"{DAT}/netflow9_test_cisco_asa_1_tpl.dat", f"{DAT}/netflow9_test_cisco_asa_1_data.dat"],
        14,
        ("192.168.14.1", None, "2.2.2.11", None, 1, 56, None),
        (1444384067569000000, 1444384069599000000),
    ),
    "fortigate": (
        [
            f"{DAT}/netflow9_test_fortigate_fortios_521_tpl.dat",
            f"{DAT}/netflow9_test_fortigate_fortios_521_data256.dat",
            f"{DAT}/netflow9_test_fortigate_fortios_521_data257.dat",
        ],
        1,
        ("192.168.99.7", 61910, "31.13.87.36", 443, 6, 152, 3),
        (1500957868522000000, 1500957877522000000),
    ),
    "fortigate 300d": (
        ["graylog-server/netflow-data/fgt300d-netflow9.pcap"],
        146,
        ("172.20.0.35", 5989, "172.30.1.39", 53508, 6, 109993, 121),
        (1532027281190000000, 1532027287790000000),
    ),
    "mikrotik, uptimes without a start": (
        [f"{DAT}/ipfix_test_mikrotik_tpl.dat", f"{DAT}/ipfix_test_mikrotik_data258.dat"],
        28,
        ("10.10.8.197", 123, "192.168.128.17", 123, 17, 152, 2),
        (None, None),
    ),
    "mikrotik v5": (
        [f"{DAT}/netflow5_test_microtik.dat"],
        30,
        ("10.0.13.1", 5228, "192.168.0.98", 52734, 6, 104, 2),
        (1469109102144932000, 1469109102144932000),
    ),
    "barracuda": (
        [f"{DAT}/ipfix_test_barracuda_tpl.dat", f"{DAT}/ipfix_test_barracuda_data256.dat"],
        8,
        ("10.99.130.239", 65105, "10.99.252.50", 53, 17, 0, 0),
        (None, None),
    ),
    "ixia, values of variable length": (
        ["logstash-codec-netflow/ipfix_test_ixia_tpldata256.dat"],
        1,
        ("119.103.128.175", 51695, "202.170.60.247", 36197, 17, 360, 4),
        (1540470259882000000, 1540470272022000000),
    ),
    "softflowd": (
        [f"{DAT}/netflow9_test_softflowd_tpl_data.dat"],
        7,
        ("172.16.32.100", 123, "172.16.32.248", 123, 17, 76, 1),
        (1444331026140000000, 1444331026141000000),
    ),
    "fields of no length": (
        [f"{DAT}/netflow9_test_0length_fields_tpl_data.dat"],
        10,
        ("239.255.255.250", 0, "192.168.1.80", 0, 2, 0, 0),
        (1482456888299000000, 1482456888299000000),
    ),
    "cisco asr9k": (
        [
            f"{DAT}/netflow9_test_cisco_asr9k_tpl260.dat",
            f"{DAT}/netflow9_test_cisco_asr9k_data260.dat",
        ],
        21,
        ("10.0.9.146", 54017, "10.0.31.81", 443, 6, 40, 1),
        (1481018933940000000, 1481018933940000000),
    ),
    "nprobe": (
        [f"{DAT}/netflow9_test_nprobe_tpl.dat", f"{DAT}/netflow9_test_nprobe_data.dat"],
        1,
        ("172.16.32.201", 22, "172.16.32.1", 65058, 6, 200, 2),
        (1444331155010000000, 1444331155015000000),
    ),
    "vmware": (
        [f"{DAT}/ipfix.dat"],
        12,
        ("192.168.253.1", 60560, "192.168.253.128", 22, 6, 260, 5),
        (1431516013506000000, 1431516026232000000),
    ),
    "cisco ipfix": (
        ["pmacct/100-IPFIXv10-CISCO/traffic-00.pcap"],
        12,
        ("10.231.65.56", 17000, "10.192.12.213", 17000, 17, 220, 2),
        (1677577561088000000, 1677577572352000000),
    ),
    "nat events": (
        [f"{AKVORADO}/nat.pcap"],
        9,
        ("172.16.100.198", 35303, "10.89.87.1", 53, 17, None, None),
        (1749049740450000000, 1749049740450000000),
    ),
}


@pytest.mark.parametrize("exporter", FIRST_FLOWS)
def test_the_first_flow_of_an_exporter(exporter, corpus):
    """Ends, counters and times are those the capture's own project reads."""
    files, number, flow, times = FIRST_FLOWS[exporter]
    decoded = decode_files(*(corpus / file for file in files))
    assert reasons(decoded) == {}
    assert count(decoded, "decoded_records") == number
    assert rows(decoded, *FLOW)[0] == flow
    assert rows(decoded, *TIMES)[0] == times


def test_yaf_counts_both_directions_in_one_record(corpus):
    """Totals of RFC 5103 give a second row, with the ends exchanged."""
    files = ("ipfix_test_yaf_tpl45841.dat", "ipfix_test_yaf_data45841.dat")
    decoded = decode_files(*(corpus / DAT / file for file in files))
    assert rows(decoded, *FLOW, "biflow_direction") == [
        ("172.16.32.201", 46086, "172.16.32.100", 53, 17, 132, 2, 0),
        ("172.16.32.100", 53, "172.16.32.201", 46086, 17, 200, 2, 128),
    ]
    assert count(decoded, "decoded_records") == 1


def test_ipfixprobe_tells_microseconds_as_fractions(corpus):
    """NTP fractions are rounded to the nanosecond, so microseconds come back as they were."""
    files = ("ipfixprobe-templates.pcap", "ipfixprobe-data.pcap")
    decoded = decode_files(*(corpus / AKVORADO / file for file in files))
    assert rows(decoded, *FLOW, *TIMES)[0] == (
        "10.10.1.4", 56166, "10.10.1.1", 53, 17, 62, 1, 1254722767492060000, 1254722767526085000,
    )  # fmt: skip
    assert rows(decoded, *FLOW, "biflow_direction")[-1] == (
        "74.53.140.153", 25, "10.10.1.4", 1470, 6, 1546, 25, 128,
    )  # fmt: skip


def test_two_samplers_of_one_router_have_each_its_factor(corpus):
    """Options tell 1:2000 and 1:4000 by sampler id, and records name their sampler."""
    parts = ("options-template", "options-data", "template", "data")
    files = [corpus / AKVORADO / f"multiplesamplingrates-{part}.pcap" for part in parts]
    decoded = decode_files(*files)
    assert rows(decoded, "src", "dst", "bytes", "sampling_factor", "sampling_source")[:2] == [
        ("ffff::68", "ffff::1a", 1348, 4000.0, 3),
        ("ffff::5a", "ffff::f", 579, 2000.0, 3),
    ]
    assert set(rows(decoded, "sampling_factor")) == {(2000.0,), (4000.0,)}


def test_a_record_that_tells_its_sampling_rate_is_believed(corpus):
    """A samplingInterval in the record itself: source 2."""
    files = ("samplingrate-template.pcap", "samplingrate-data.pcap")
    decoded = decode_files(*(corpus / AKVORADO / file for file in files))
    assert set(rows(decoded, "sampling_factor", "sampling_source")) == {(2048.0, 2)}


def test_data_before_its_template_is_decoded_when_the_template_comes(corpus):
    """The datagram is partial, its four records are rows all the same."""
    files = (corpus / AKVORADO / "data.pcap", corpus / AKVORADO / "template.pcap")
    decoded = decode_files(*files)
    assert rows(decoded, *FLOW)[0] == ("198.38.121.178", 443, "91.170.143.87", 19624, 6, 1500, 1)
    assert count(decoded, "decoded_records") == 4
    assert outcomes(decoded) == (1, 1, 0)
    assert count(decoded, "waiting_sets") == 0


def test_icmp_has_no_ports_but_a_type_and_code(corpus):
    """2048 is type 8, code 0: an echo request; 33024 is type 129 of ICMPv6."""
    files = ("icmp-template.pcap", "icmp-data.pcap")
    decoded = decode_files(*(corpus / AKVORADO / file for file in files))
    assert rows(decoded, "src", "src_port", "dst_port", "protocol", "icmp_type_code") == [
        ("203.0.113.4", None, None, 1, 2048),
        ("203.0.113.5", None, None, 1, 0),
        ("2001:db8::", None, None, 58, 32768),
        ("2001:db8::1", None, None, 58, 33024),
    ]


def test_a_nat_event_tells_the_translation(corpus):
    """Its natEvent is 1 (create), with the source after it, and the event's time as the flow's."""
    decoded = decode_files(corpus / AKVORADO / "nat.pcap")
    assert rows(decoded, "src", "post_nat_src", "post_nat_dst", "event")[0] == (
        "172.16.100.198", "10.143.52.29", "10.89.87.1", 1,
    )  # fmt: skip


def test_records_of_no_flow_are_ignored_and_counted(corpus):
    """A Wi-Fi controller's 19 statistics of clients name no two ends."""
    files = ("netflow9_test_cisco_wlc_tpl.dat", "netflow9_test_cisco_wlc_data261.dat")
    decoded = decode_files(*(corpus / DAT / file for file in files))
    assert rows(decoded) == []
    assert count(decoded, "ignored_records") == 19
