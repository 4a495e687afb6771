"""Captures: link types, formats, damage."""

import gzip
import struct
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgWriter, RawPcapWriter

from collectors.pcap import (
    CaptureError,
    Payload,
    _udp_payload,
    open_capture,
    sniff_kind,
    split_datagrams,
)

UDP = struct.pack(">HHHH", 40_000, 2055, 8 + 5, 0) + b"hello"


def _ip4(body=UDP, protocol=17, fragment=0, options=b"", length=None):
    header = 20 + len(options)
    return (
        struct.pack(
            ">BBHHHBBH4s4s",
            0x40 | header // 4,
            0,
            header + len(body) if length is None else length,
            1,
            fragment,
            64,
            protocol,
            0,
            bytes([192, 0, 2, 1]),
            bytes([192, 0, 2, 2]),
        )
        + options
        + body
    )


def _ip6(body=UDP, header=17, source=b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"):
    return struct.pack(">IHBB16s16s", 0x60000000, len(body), header, 64, source, bytes(16)) + body


def _ether(ethertype, body):
    return bytes(12) + ethertype.to_bytes(2, "big") + body


PACKETS = {
    "ethernet": (1, _ether(0x0800, _ip4())),
    "ethernet padded": (1, _ether(0x0800, _ip4()) + bytes(20)),
    "802.1Q": (1, _ether(0x8100, b"\x00\x05\x08\x00" + _ip4())),
    "802.1ad": (1, _ether(0x88A8, b"\x00\x05\x81\x00\x00\x06\x08\x00" + _ip4())),
    "linux cooked": (113, bytes(14) + b"\x08\x00" + _ip4()),
    "linux cooked 2": (276, b"\x08\x00" + bytes(18) + _ip4()),
    "raw": (101, _ip4()),
    "raw of OpenBSD": (12, _ip4()),
    "raw IPv4": (228, _ip4()),
    "null": (0, b"\x02\x00\x00\x00" + _ip4()),
    "loop": (108, b"\x00\x00\x00\x02" + _ip4()),
    "IP options": (101, _ip4(options=bytes(8))),
    "length left to the card": (101, _ip4(length=0)),
}


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize("suffix", [".pcap", ".pcapng", ".pcap.gz"])
def test_a_payload_is_unwrapped_from_each_link_type(tmp_path, name, suffix):
    """Source address, capture time, and the UDP payload alone: no padding."""
    link_type, packet = PACKETS[name]
    path = tmp_path / f"x{suffix}"
    _write(path, link_type, [packet])
    assert list(open_capture(path)) == [Payload(1_700_000_000_000_123_000, "192.0.2.1", b"hello")]


def _write(path, link_type, packets):
    plain = path.with_name("plain")
    writer = (RawPcapNgWriter if ".pcapng" in path.name else RawPcapWriter)(str(plain))
    writer.linktype = link_type
    writer.write_header(None)
    for packet in packets:
        if ".pcapng" in path.name:
            writer.write_packet(packet, sec=1_700_000_000.000123)
        else:
            writer.write_packet(packet, sec=1_700_000_000, usec=123)
    writer.close()
    data = plain.read_bytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    ("packet", "source"),
    [
        (_ip6(), "2001:db8::1"),
        (_ip6(struct.pack(">BB6x", 17, 0) + UDP, header=0), "2001:db8::1"),
        (_ip6(struct.pack(">BBHI", 17, 0, 0, 1) + UDP, header=44), "2001:db8::1"),
        (_ip6(source=bytes(10) + b"\xff\xff\xc0\x00\x02\x01"), "192.0.2.1"),
    ],
    ids=["plain", "hop-by-hop options", "atomic fragment", "mapped"],
)
def test_ipv6_is_unwrapped_too(packet, source):
    """Extension headers are stepped over."""
    assert _udp_payload(packet, 229, frozenset(), Counter()) == (source, b"hello")


@pytest.mark.parametrize(
    ("link_type", "packet", "reason"),
    [
        (101, _ip4(protocol=6), "not_udp"),
        (101, _ip6(header=6), "not_udp"),
        (101, _ip4(fragment=0x2000), "fragment"),
        (101, _ip4(fragment=0x0010), "fragment"),
        (101, _ip6(struct.pack(">BBHI", 17, 0, 1, 1) + UDP, header=44), "fragment"),
        (1, _ether(0x0806, bytes(28)), "not_ip"),
        (147, _ip4(), "not_ip"),
        (1, b"short", "not_ip"),
        (101, _ip4()[:-1], "cut_short"),
        (101, _ip4()[:24], "cut_short"),
        (101, _ip4()[:9], "cut_short"),
        (101, _ip6(b"", header=0), "cut_short"),
        (101, _ip4(struct.pack(">HHHH", 1, 2055, 7, 0)), "cut_short"),
    ],
)
def test_what_is_left_out_is_counted_with_its_reason(link_type, packet, reason):
    """Each packet is either a payload or a count."""
    counts = Counter()
    assert _udp_payload(packet, link_type, frozenset(), counts) is None
    assert counts == {reason: 1}


def test_ports_select_by_destination(tmp_path):
    """Other traffic of a capture is counted as ``other_port``."""
    path = tmp_path / "x.pcap"
    _write(path, 101, [_ip4()])
    skipped = Counter()
    assert list(open_capture(path, {4739}, skipped)) == []
    assert skipped == {"other_port": 1}
    assert len(list(open_capture(path, {2055, 4739}))) == 1


def test_nanoseconds_of_a_nanosecond_capture_are_kept(tmp_path):
    """Its magic number says what the second half of a timestamp counts."""
    packet = _ip4()
    path = tmp_path / "x.pcap"
    path.write_bytes(
        struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 101)
        + struct.pack(">IIII", 1_700_000_000, 123_456_789, len(packet), len(packet))
        + packet
    )
    assert next(open_capture(path)).received_ns == 1_700_000_000_123_456_789


def _read(path, found):
    try:
        for payload in open_capture(path):
            found.append(payload)
    except CaptureError as error:
        return error
    return None


@pytest.mark.parametrize("suffix", [".pcap", ".pcapng"])
def test_a_truncated_capture_yields_what_is_whole_and_then_says_where_it_ends(tmp_path, suffix):
    """At each length: whole packets, then `CaptureError`, unless it ends between two."""
    path = tmp_path / f"x{suffix}"
    _write(path, 101, [_ip4()] * 3)
    data = path.read_bytes()
    whole_at = set()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        found = []
        damage = _read(path, found)
        if damage is None:
            whole_at.add(length)
        else:
            assert damage.offset <= length
            assert damage.path == path
        assert all(payload.payload == b"hello" for payload in found)
        assert len(found) <= 2
    sizes = {".pcap": {24, 24 + 49, 24 + 98}, ".pcapng": {28, 48, 116, 184}}[suffix]
    assert whole_at == sizes


def test_lengths_a_file_only_claims_cost_no_memory(tmp_path):
    """A block of 4 GB is damage."""
    path = tmp_path / "x.pcapng"
    _write(path, 101, [_ip4()])
    path.write_bytes(path.read_bytes() + struct.pack("<II", 6, 0xFFFFFFF0) + bytes(100))
    iterator = open_capture(path)
    assert next(iterator).payload == b"hello"
    with pytest.raises(CaptureError, match="a length of 4294967268 bytes"):
        next(iterator)


V5 = struct.pack(">HH", 5, 1) + bytes(20) + b"5" * 48
IPFIX = struct.pack(">HH", 10, 20) + bytes(12) + b"1010"
V9 = struct.pack(">HH", 9, 2) + bytes(16) + struct.pack(">HH4sHH", 256, 8, b"aaaa", 0, 4)


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (V5 + IPFIX + V9 + V5, [V5, IPFIX, V9, V5]),
        (V9 + V9 + IPFIX, [V9, V9, IPFIX]),
        (V5[:-1], [V5[:-1]]),
        (IPFIX + b"\x00", [IPFIX, b"\x00"]),
        (struct.pack(">HH", 10, 3) + bytes(40), [struct.pack(">HH", 10, 3) + bytes(40)]),
        (V9[:20] + struct.pack(">HH", 256, 0) + V9, [V9[:20] + struct.pack(">HH", 256, 0) + V9]),
        (b"\x00\x07" + bytes(30), [b"\x00\x07" + bytes(30)]),
        (b"", []),
    ],
    ids=["mixed", "v9 twice", "cut", "rest", "ipfix length", "v9 set of 0", "unknown", "empty"],
)
def test_raw_datagrams_are_cut_at_message_boundaries(tmp_path, data, messages):
    """Each message is one payload; what cannot be framed is one payload, too."""
    path = tmp_path / "router.dat"
    path.write_bytes(data)
    assert list(open_capture(path)) == [Payload(0, "file:router.dat", one) for one in messages]


@given(st.lists(st.sampled_from([V5, IPFIX, V9, b"\x00\x05", b"\x00\x09", b"\xff"])))
def test_splitting_loses_no_byte(pieces):
    """Whatever the framing says, the payloads put together are the file."""
    data = b"".join(pieces)
    messages = list(split_datagrams(data))
    assert b"".join(messages) == data
    assert all(messages)


def test_lines_are_payloads_of_their_file(tmp_path):
    """``.jsonl`` and ``.log`` need no capture time: it is in the lines."""
    path = tmp_path / "envoy.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}')
    assert list(open_capture(path)) == [
        Payload(0, "file:envoy.jsonl", b'{"a": 1}'),
        Payload(0, "file:envoy.jsonl", b'{"a": 2}'),
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pcap", "netflow"),
        ("a.PCAPNG", "netflow"),
        ("a.dat.gz", "netflow"),
        ("a.log", "access_log"),
        ("a.jsonl.gz", "access_log"),
        ("a.prom", "prometheus"),
    ],
)
def test_the_suffix_tells_the_kind(tmp_path, name, kind):
    """Case and compression do not matter."""
    assert sniff_kind(tmp_path / name) == kind


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    """The error says what would be allowed."""
    with pytest.raises(CaptureError, match=r"suffix '\.xls' is none of \.pcap, "):
        sniff_kind(tmp_path / "a.xls")


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (b'{"flow":{"time":"2021-06-16T16:52:13Z"},"node_name":"n"}', "hubble_json"),
        (b'{"lost_events":{"num_events_lost":"3"}}', "hubble_json"),
        (
            b"2025-01-23T05:07:25.8Z\tinfo\taccess\tconnection complete\tsrc.addr=1.2.3.4:5",
            "ztunnel",
        ),
        (b"2025-01-23T05:07:25.8Z\tinfo\txds::client:xds{id=1}\treceived response", "ztunnel"),
        (b'{"level":"info","time":"...","scope":"access","message":"..."}', "ztunnel"),
        (b'{"client.addr":"10.0.0.7:36930","client.id":"-"}', "linkerd"),
        (b'10.0.0.7:36930 - - [2022-08-30T17:54:38Z] "GET / HTTP/1.1" 200', "linkerd"),
        (b'{"authority":"a","path":"/flow","start_time":"2026-01-02T03:04:05Z"}', "access_log"),
        (b'[2026-01-02T03:04:05.678Z] "GET /info HTTP/1.1" 200 - via_upstream', "access_log"),
        (b"", "access_log"),
    ],
    ids=range(10),
)
def test_lines_tell_whose_they_are(tmp_path, lines, kind):
    """A log's name says little: its first lines say which program wrote it, gzipped or not."""
    for name, data in (
        ("a.log", lines + b"\n"),
        ("b.log.gz", gzip.compress(b"no log\n" + lines + b"\n")),
    ):
        (tmp_path / name).write_bytes(data)
        assert sniff_kind(tmp_path / name) == kind
    assert [one.payload for one in open_capture(tmp_path / "a.log", kind=kind)] == (
        [lines] if lines else []
    )


def test_an_answer_is_one_payload(tmp_path):
    """A scrape is told by its comments, or named; its lines stay together, unpacked if gzipped."""
    text = b"# HELP a_total of a\n# TYPE a_total counter\na_total 1\nb 2\n"
    (tmp_path / "metrics.txt").write_bytes(text)
    (tmp_path / "syncz.json.gz").write_bytes(gzip.compress(b"[\n]"))
    assert sniff_kind(tmp_path / "metrics.txt") == "prometheus"
    assert list(open_capture(tmp_path / "metrics.txt")) == [Payload(0, "file:metrics.txt", text)]
    answers = open_capture(tmp_path / "syncz.json.gz", kind="istiod")
    assert [one.payload for one in answers] == [b"[\n]"]


@pytest.mark.parametrize("name", ["no.pcap", "no.dat", "no.log"])
def test_a_missing_file_is_a_capture_error(tmp_path, name):
    """One exception for all that is wrong with a capture."""
    with pytest.raises(CaptureError, match="No such file"):
        list(open_capture(tmp_path / name))


SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
MAGICS = [
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\x4d\x3c\xb2\xa1",
    b"\x1f\x8b\x08\x00",
    SECTION,
]
BLOCK = st.builds(
    lambda kind, body: (
        struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    ),
    st.sampled_from([1, 2, 3, 5, 6, 10, 0x80000001]),
    st.binary(max_size=60).map(lambda body: body + bytes(-len(body) % 4)),
)
BYTES = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda magic, rest: magic + rest, st.sampled_from(MAGICS), st.binary(max_size=300)),
    st.builds(lambda blocks: MAGICS[-1] + b"".join(blocks), st.lists(BLOCK, max_size=6)),
    st.binary(max_size=300).map(lambda data: gzip.compress(data)[: len(data)]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("captures")


@pytest.mark.parametrize("suffix", [".pcap", ".dat", ".log"])
@given(data=BYTES)
@example(data=gzip.compress(gzip.compress(b"x")))
@example(data=b"")
def test_any_bytes_are_payloads_or_a_capture_error(folder, suffix, data):
    """Nothing a file can hold raises anything else, hangs, or grows without bound."""
    path = folder / f"x{suffix}"
    path.write_bytes(data)
    try:
        for payload in open_capture(path):
            assert -(1 << 63) <= payload.received_ns < 1 << 63
            assert isinstance(payload.payload, bytes)
    except CaptureError:
        pass


@given(st.sampled_from([0, 1, 12, 101, 113, 228, 276, 999]), st.binary(max_size=120))
def test_any_packet_is_a_payload_or_one_count(link_type, packet):
    """No packet raises, and none goes uncounted."""
    counts = Counter()
    found = _udp_payload(packet, link_type, frozenset(), counts)
    assert (found is not None) + sum(counts.values()) == 1


@pytest.mark.parametrize(
    ("name", "count", "exporters"),
    [
        ("akvorado/netflow/testdata/nfv5.pcap", 1, 1),
        ("graylog-netflow/netflow9.pcap", 9, 1),
        ("graylog-netflow/netflow-v9-1.dat", 2, 1),
        ("logstash-codec-netflow/netflow5.dat", 12, 1),
        ("logstash-codec-netflow/ipfix.dat", 3, 1),
        ("scapy/netflowv9.pcap", 5, 2),
    ],
)
def test_captures_of_other_projects(corpus, name, count, exporters):
    """Numbers as those projects' own readers, and tcpdump, count them."""
    found = list(open_capture(corpus / name))
    assert len(found) == count
    assert len({payload.exporter for payload in found}) == exporters
