"""Export messages made by hand, and short ways to decode them and look at the answer."""

import ipaddress
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from collectors.log import Place
from collectors.pcap import CaptureError, open_capture
from pipeline.decode import Decoded, Payloads, Source
from pipeline.decode.netflow import Netflow

PLACE = Place("crosspane.v1.flow.test", 0)
EXPORT_S = 1_700_000_000
RECEIVED_NS = 1_700_000_001_000_000_000

PORTS = ((8, 4), (12, 4), (7, 2), (11, 2), (1, 4))
"""Source, destination, ports, octets: a record of 16 bytes."""


def record(number: int) -> bytes:
    """A record of `PORTS`, all its values told by one number."""
    return struct.pack("!IIHHI", 0x0A000000 + number, 0x0A010000 + number, number, 443, number)


def set_of(number: int, body: bytes) -> bytes:
    """A set with its header."""
    return struct.pack("!HH", number, 4 + len(body)) + body


def fields_of(fields: Iterable[Sequence[int]]) -> bytes:
    """Field specifiers; a third number is the enterprise."""
    return b"".join(
        struct.pack("!HHI", one[0] | 0x8000, one[1], one[2])
        if len(one) == 3
        else struct.pack("!HH", *one)
        for one in fields
    )


def template(number: int, fields: Sequence[Sequence[int]], version: int = 10) -> bytes:
    """A set of one template."""
    body = struct.pack("!HH", number, len(fields)) + fields_of(fields)
    return set_of(2 if version == 10 else 0, body)


def options_template(
    number: int, scopes: Sequence[Sequence[int]], fields: Sequence[Sequence[int]], version: int = 10
) -> bytes:
    """A set of one options template."""
    specifiers = fields_of([*scopes, *fields])
    if version == 10:
        head = struct.pack("!HHH", number, len(scopes) + len(fields), len(scopes))
        return set_of(3, head + specifiers)
    head = struct.pack("!HHH", number, 4 * len(scopes), 4 * len(fields))
    return set_of(1, head + specifiers)


def ipfix(*sets: bytes, sequence: int = 0, domain: int = 1, export_s: int = EXPORT_S) -> bytes:
    """An IPFIX message."""
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body), export_s, sequence, domain) + body


def netflow9(
    *sets: bytes, sequence: int = 0, source: int = 1, uptime_ms: int = 100_000, count: int = 1
) -> bytes:
    """A NetFlow v9 message."""
    head = struct.pack("!HHIIII", 9, count, uptime_ms, EXPORT_S, sequence, source)
    return head + b"".join(sets)


def netflow5(
    records: Sequence[bytes], sequence: int = 0, sampling: int = 0, uptime_ms: int = 100_000
) -> bytes:
    """A NetFlow v5 message of engine 1, 2."""
    head = struct.pack(
        "!HHIIIIBBH", 5, len(records), uptime_ms, EXPORT_S, 500, sequence, 1, 2, sampling
    )
    return head + b"".join(records)


def record5(
    number: int = 1, first_ms: int = 90_000, last_ms: int = 95_000, protocol: int = 6
) -> bytes:
    """A record of NetFlow v5: 10.0.0.n to 10.1.0.n."""
    return struct.pack(
        "!IIIHHIIIIHHBBBBHHBBH",
        0x0A000000 + number,
        0x0A010000 + number,
        0,
        3,
        4,
        10,
        1500,
        first_ms,
        last_ms,
        40_000,
        443,
        0,
        0x1B,
        protocol,
        8,
        64_512,
        0,
        24,
        24,
        0,
    )


def payloads(
    messages: Sequence[bytes],
    received_ns: int | Sequence[int] = RECEIVED_NS,
    exporters: Sequence[str] | None = None,
) -> Payloads:
    """Messages of one place; of exporter 192.0.2.1, unless told."""
    names = list(exporters or ["192.0.2.1"] * len(messages))
    distinct = list(dict.fromkeys(names))
    times = [received_ns] * len(messages) if isinstance(received_ns, int) else received_ns
    return Payloads(
        sources=[Source(PLACE, "agent", "east", "net", name) for name in distinct],
        source=np.array([distinct.index(name) for name in names], np.int32),
        received_ns=np.array(times, np.int64),
        payload=pa.array(messages, pa.binary()),
    )


def decode(messages: Sequence[bytes], decoder: Netflow | None = None, **kwargs: object) -> Decoded:
    """What a decoder, new unless told, makes of messages."""
    return (decoder or Netflow()).decode(payloads(messages, **kwargs))


def rows(decoded: Decoded, *names: str) -> list[tuple[object, ...]]:
    """These columns of the flows, addresses (``src``, ``dst``...) as text."""
    frame = decoded.frames["flows"]
    return [
        tuple(
            _address(row[f"{name}_ip_hi"], row[f"{name}_ip_lo"])
            if f"{name}_ip_hi" in row
            else row[name]
            for name in names
        )
        for row in frame.iter_rows(named=True)
    ]


def _address(high: int | None, low: int | None) -> str | None:
    if high is None or low is None:
        return None
    address = ipaddress.IPv6Address(high << 64 | low)
    return str(address.ipv4_mapped or address)


def count(decoded: Decoded, name: str) -> int:
    """One counter, summed."""
    return int(decoded.counts[name].sum())


def counts(decoded: Decoded) -> dict[str, int]:
    """Counters that are not zero, summed."""
    names = decoded.counts.columns[2:]
    return {name: total for name in names if (total := count(decoded, name))}


def reasons(decoded: Decoded) -> dict[str, int]:
    """How many rejects of each reason."""
    return dict(Counter(decoded.rejects["reason"]))


def outcomes(decoded: Decoded) -> tuple[int, int, int]:
    """Payloads decoded, partial, rejected."""
    names = ("decoded_payloads", "partial_payloads", "rejected_payloads")
    return tuple(count(decoded, name) for name in names)  # type: ignore[return-value]


def capture(*paths: Path) -> tuple[list[bytes], list[int], list[str]]:
    """Payloads, times and exporters of captures; several are of one exporter."""
    found = []
    for path in paths:
        try:
            found += [(one, path) for one in open_capture(path)]
        except CaptureError:
            continue
    one_exporter = len(paths) > 1
    return (
        [one.payload for one, _ in found],
        [one.received_ns for one, _ in found],
        ["capture" if one_exporter else one.exporter for one, _ in found],
    )


def decode_files(*paths: Path) -> Decoded:
    """What captures give, in order."""
    messages, times, exporters = capture(*paths)
    return decode(messages, received_ns=times, exporters=exporters)
