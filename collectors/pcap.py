"""
Captures as if they had just arrived: packets, raw datagrams, lines.

    .pcap .pcapng .cap      UDP payloads, dated by the capture; exporter = source address
    .dat .bin               datagrams one after another, as test suites keep them
    .jsonl .log .json ...   lines, as logtail.py reads them; whose, by the first of them
    .prom                   one scrape; any file is one answer if its kind is of answers

Any of them may be gzipped, with ``.gz`` behind. scapy reads the capture
formats; the few bytes of link and IP header before the payload are read here,
because a full dissection costs a hundred times more.

A damaged file yields what is readable, and then raises `CaptureError`.

Before: files. After: batch.py, by way of agent.replay.
"""

import gzip
import logging
import re
import socket
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from collectors.logtail import read_lines
from collectors.udp import exporter_text

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)  # damage is told by CaptureError

_KINDS: Final = {
    ".pcap": "netflow",
    ".pcapng": "netflow",
    ".cap": "netflow",
    ".dat": "netflow",
    ".bin": "netflow",
    ".jsonl": "access_log",
    ".ndjson": "access_log",
    ".json": "access_log",
    ".log": "access_log",
    ".txt": "access_log",
    ".prom": "prometheus",
}
_RAW: Final = (".dat", ".bin")
_LINES: Final = ("access_log", "ztunnel", "linkerd", "hubble_json", "probe", "sockets")
"""Kinds whose payloads are lines."""
_WHOLE: Final = ("prometheus", "istiod")
"""Kinds whose payload is the file."""
_SIGNS: Final = (
    (re.compile(rb'"(?:flow|lost_events|node_status)": ?\{'), "hubble_json"),
    (re.compile(rb'"client\.addr":|^\S+ \S+ - \[[^\]]*\] "'), "linkerd"),
    (re.compile(rb"[\t ](?:trace|debug|info|warn|error)[\t ]+[a-z_]+(?:::?\S*)?\t"), "ztunnel"),
    (re.compile(rb'"scope": ?"[a-z_]+'), "ztunnel"),
    (re.compile(rb"^# (?:HELP|TYPE) [a-zA-Z_:]"), "prometheus"),
)
"""What is in a line of no other kind."""
_SIGN_LINES: Final = 20
_MAX_RAW_BYTES: Final = 1 << 30
_MAX_READ_BYTES: Final = 1 << 24
"""No block of a capture is larger; a length beyond it is damage, not a wish for memory."""
_MAX_NS: Final = (1 << 63) - 1


class CaptureError(Exception):
    """
    A capture cannot be read, or not to its end.

    Attributes
    ----------
    path
        The file.
    offset
        Byte (uncompressed) at which the damage begins; what lies before it was read.
    """

    def __init__(self, path: Path, offset: int, detail: str) -> None:
        super().__init__(f"{path}: at byte {offset}: {detail}")
        self.path = path
        self.offset = offset


class Payload(NamedTuple):
    """One payload; ``received_ns`` is 0 when the capture does not tell the time."""

    received_ns: int
    exporter: str
    payload: bytes


def sniff_kind(path: Path) -> str:
    """
    Kind of the payloads in a file, by its name; of lines, by the first that tell.

    >>> sniff_kind(Path("router.pcap.gz")), sniff_kind(Path("envoy.jsonl"))
    ('netflow', 'access_log')

    Raises
    ------
    CaptureError
        For a suffix that is not known.
    """
    suffix = _suffix(path)
    if suffix not in _KINDS:
        raise CaptureError(path, 0, f"suffix {suffix!r} is none of {', '.join(_KINDS)}")
    return _sniff_lines(path) if _KINDS[suffix] == "access_log" else _KINDS[suffix]


def _sniff_lines(path: Path) -> str:
    try:
        first = list(islice(read_lines(path), _SIGN_LINES))
    except OSError:
        first = []
    found = (kind for line in first for sign, kind in _SIGNS if sign.search(line))
    return next(found, "access_log")


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def open_capture(
    path: Path,
    ports: Collection[int] = (),
    skipped: Counter[str] | None = None,
    kind: str | None = None,
) -> Iterator[Payload]:
    """
    Payloads of one file, in its order.

    Parameters
    ----------
    path
        Its suffix tells the format; see `sniff_kind`.
    ports
        UDP destination ports to take from packets; empty: all of them.
    skipped
        Counts what is left out, by reason: ``not_ip``, ``not_udp``,
        ``fragment``, ``other_port``, ``cut_short`` (the capture did not keep
        the whole packet), ``line_too_long``.
    kind
        What the payloads are; None: see `sniff_kind`.

    Raises
    ------
    CaptureError
        While iterating, after what could be read.
    """
    kind = kind or sniff_kind(path)
    counts: Counter[str] = skipped if skipped is not None else Counter()
    exporter = f"file:{path.name}"
    try:
        if kind in _LINES:
            for line in read_lines(path, skipped=counts):
                yield Payload(0, exporter, line)
        elif kind in _WHOLE:
            yield Payload(0, exporter, _read_raw(path))
        elif _suffix(path) in _RAW:
            for message in split_datagrams(_read_raw(path)):
                yield Payload(0, exporter, message)
        else:
            yield from _packets(path, frozenset(ports), counts)
    except OSError as error:
        raise CaptureError(path, 0, error.strerror or str(error)) from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]


def _read_raw(path: Path) -> bytes:
    with _open(path) as file:
        try:
            data = file.read(_MAX_RAW_BYTES + 1)
        except (EOFError, zlib.error) as error:
            raise CaptureError(path, 0, str(error)) from error
    if len(data) > _MAX_RAW_BYTES:
        raise CaptureError(path, _MAX_RAW_BYTES, "a file of raw datagrams is this large at most")
    return data


def split_datagrams(data: bytes) -> Iterator[bytes]:
    """
    Cut export messages that were written one after another.

    No collector interprets a payload; this is the framing of a capture format
    that has none of its own. NetFlow v5 tells its number of records, IPFIX its
    length; in v9 a set's number is 0, 1 or at least 256, so where a set should
    begin a 5, 9 or 10 is the version of the next message. What cannot be
    framed is one payload, for the decoder to refuse.
    """
    begin = 0
    while begin < len(data):
        end = _message_end(data, begin)
        yield data[begin:end]
        begin = end


def _message_end(data: bytes, begin: int) -> int:
    if len(data) - begin < 4:  # noqa: PLR2004 version, and count or length
        return len(data)
    version, number = struct.unpack_from(">HH", data, begin)
    match version:
        case 5:
            return begin + 24 + 48 * int(number)
        case 9:
            return _v9_end(data, begin + 20)
        case 10 if number >= 16:  # noqa: PLR2004 its own header
            return begin + int(number)
        case _:
            return len(data)


def _v9_end(data: bytes, position: int) -> int:
    while position + 4 <= len(data):
        number, length = struct.unpack_from(">HH", data, position)
        if number in (5, 9, 10):
            return position
        if length < 4:  # noqa: PLR2004 its own header
            break
        position += length
    return len(data)


class _File:
    """What scapy reads from: tells its position, and refuses senseless lengths."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0
        self.failure = ""

    def read(self, size: int) -> bytes:
        if size > _MAX_READ_BYTES:
            self.failure = self.failure or f"a length of {size} bytes"
            return b""
        try:
            data = self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            self.failure = self.failure or str(error)
            return b""
        self.position += len(data)
        return data

    def close(self) -> None:
        self._file.close()


class _PcapNg(RawPcapNgReader):
    """scapy's reader, which also tells where the block that it reads began."""

    block_begin = 0

    def _read_block(self, size: int = _MAX_READ_BYTES) -> Any:
        self.block_begin = cast("Any", self.f).position
        return super()._read_block(size)


_DAMAGE: Final = (
    Scapy_Exception,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
)
"""What scapy raises for damaged files, besides ending early."""


def _packets(path: Path, ports: frozenset[int], counts: Counter[str]) -> Iterator[Payload]:
    with _open(path) as opened:
        begin = 0
        try:
            magic = opened.read(4)
            is_ng = magic == b"\x0a\x0d\x0d\x0a"
            if magic.startswith(b"\x1f\x8b"):
                raise CaptureError(path, 0, "gzipped twice")
            opened.seek(0)
            file = _File(opened)
            reader_type: Any = _PcapNg if is_ng else RawPcapReader
            reader = reader_type(file)
            last_ns = 0
            while True:
                begin = file.position
                packet = next(reader, None)
                begin = reader.block_begin if is_ng else begin
                if packet is None:
                    break
                data, about = packet
                if not is_ng and len(data) < about.caplen:
                    break
                last_ns = _time_ns(reader, about, last_ns)
                link_type = about.linktype if is_ng else reader.linktype
                found = _udp_payload(data, link_type, ports, counts)
                if found is not None:
                    yield Payload(last_ns, *found)
        except _DAMAGE as error:
            raise CaptureError(path, begin, str(error)) from error
        except (EOFError, zlib.error) as error:
            raise CaptureError(path, 0, str(error)) from error
        if file.failure or file.position != begin:
            detail = file.failure or "the file ends, or is damaged, within a packet"
            raise CaptureError(path, begin, detail)


def _time_ns(reader: Any, about: Any, last_ns: int) -> int:
    """When a packet was taken; that of the packet before when it does not tell."""
    if not isinstance(reader, _PcapNg):
        return int(about.sec * 1_000_000_000 + about.usec * (1 if reader.nano else 1_000))
    if about.tshigh is None:
        return last_ns
    ticks = (about.tshigh << 32) | about.tslow
    time_ns = int(ticks * 1_000_000_000 // about.tsresol)
    return time_ns if time_ns <= _MAX_NS else last_ns


_ETHERNET: Final = 1
_VLANS: Final = (0x8100, 0x88A8, 0x9100)
_IP_BEGIN: Final = {
    0: 4,  # BSD loopback: the address family
    108: 4,
    12: 0,  # raw IP, under its several numbers
    14: 0,
    101: 0,
    228: 0,
    229: 0,
    113: 16,  # Linux "any" device
    276: 20,
}
"""Link type to the bytes before the IP header, Ethernet aside: https://www.tcpdump.org/linktypes.html."""


def _ip_begin(packet: bytes, link_type: int) -> int:
    """Where the IP header begins; -1 for a link that is not known."""
    if link_type != _ETHERNET:
        return _IP_BEGIN.get(link_type, -1)
    begin = 14
    while packet[begin - 2 : begin] in _VLAN_BYTES:
        begin += 4
    return begin


_VLAN_BYTES: Final = tuple(number.to_bytes(2, "big") for number in _VLANS)


def _udp_payload(
    packet: bytes, link_type: int, ports: frozenset[int], counts: Counter[str]
) -> tuple[str, bytes] | None:
    """Source address and payload of a UDP packet; None, counted, for all else."""
    begin = _ip_begin(packet, link_type)
    version = packet[begin] >> 4 if 0 <= begin < len(packet) else 0
    try:
        if version == 4:  # noqa: PLR2004
            source, reason, udp, end = _ipv4(packet, begin)
        elif version == 6:  # noqa: PLR2004
            source, reason, udp, end = _ipv6(packet, begin)
        else:
            counts["not_ip"] += 1
            return None
        if reason:
            counts[reason] += 1
            return None
        _, port, length = struct.unpack_from(">HHH", packet, udp)
    except (struct.error, IndexError):
        counts["cut_short"] += 1
        return None
    if ports and port not in ports:
        counts["other_port"] += 1
        return None
    udp_end = udp + length if length else end
    if udp_end > len(packet) or udp_end < udp + 8:
        counts["cut_short"] += 1
        return None
    return source, packet[udp + 8 : udp_end]


def _ipv4(packet: bytes, begin: int) -> tuple[str, str, int, int]:
    """Source, why it is left out if it is, and where UDP begins and IP ends."""
    first, length, fragment, protocol = struct.unpack_from(">BxHxxHxB", packet, begin)
    source = socket.inet_ntop(socket.AF_INET, packet[begin + 12 : begin + 16].ljust(4, b"\0"))
    reason = "not_udp" if protocol != socket.IPPROTO_UDP else ""
    reason = "fragment" if fragment & 0x3FFF else reason
    header_bytes = max((first & 15) * 4, 20)
    return source, reason, begin + header_bytes, begin + length if length else len(packet)


_IPV6_SKIPPED: Final = (0, 43, 60)
_IPV6_FRAGMENT: Final = 44


def _ipv6(packet: bytes, begin: int) -> tuple[str, str, int, int]:
    """As `_ipv4`."""
    length, header = struct.unpack_from(">HB", packet, begin + 4)
    address = packet[begin + 8 : begin + 24].ljust(16, b"\0")
    source = exporter_text(socket.inet_ntop(socket.AF_INET6, address))
    position = begin + 40
    while header in _IPV6_SKIPPED:
        header, position = packet[position], position + 8 + 8 * packet[position + 1]
    if header == _IPV6_FRAGMENT:
        header, fragment = struct.unpack_from(">BxH", packet, position)
        if fragment & 0xFFF9:
            return source, "fragment", 0, 0
        position += 8
    reason = "" if header == socket.IPPROTO_UDP else "not_udp"
    return source, reason, position, begin + 40 + length if length else len(packet)
