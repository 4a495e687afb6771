"""
Random streams of export messages, mostly well formed, and how to decode them.

A stream is made of one seed, so that a failing one is named by a number.
"""

import random
import struct
from collections import Counter
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from netflow_slow import SlowNetflow

from collectors.log import Place
from pipeline.decode import Decoded, Payloads, Source
from pipeline.decode.netflow import Netflow

PLACE = Place("crosspane.v1.flow.test", 0)
START_NS = 1_764_000_000_000_000_000
EXPORTERS = ("192.0.2.1", "192.0.2.2", "2001:db8::1")

_WIDTHS = {
    **dict.fromkeys((1, 2, 85, 86, 231, 232, 298, 299, 23, 24, 352), (1, 3, 4, 5, 8)),
    **dict.fromkeys((7, 11, 227, 228), (1, 2, 3)),
    **dict.fromkeys((4, 5, 61, 136, 233, 230, 239), (1, 2)),
    **dict.fromkeys((6, 58, 243, 32, 139), (1, 2, 4)),
    **dict.fromkeys((176, 177, 178, 179), (1, 2)),
    **dict.fromkeys((10, 14, 16, 17), (2, 4, 6)),
    **dict.fromkeys((21, 22), (4, 8)),
    **dict.fromkeys((150, 151, 158, 159), (4,)),
    **dict.fromkeys((152, 153), (8, 6)),
    **dict.fromkeys((154, 155, 156, 157), (8,)),
    **dict.fromkeys((8, 12, 225, 226), (4, 4, 4, 5)),
    **dict.fromkeys((27, 28, 281, 282), (16, 16, 16, 15)),
    **dict.fromkeys((34, 48, 50, 302), (1, 2, 4, 8)),
    **dict.fromkeys((322,), (4,)),
    **dict.fromkeys((323, 324, 325), (8,)),
    **dict.fromkeys((305, 306, 309, 310), (1, 4)),
    **dict.fromkeys((89,), (1, 4)),
    **dict.fromkeys((132, 133, 134, 135), (1, 4, 8)),
    160: (8,),
    210: (0, 1, 3),
    9_999: (0, 2, 7),
}
_OPTIONS = (48, 302, 34, 50, 305, 306, 309, 310, 160, 82)


class Datagram(NamedTuple):
    """One payload of a stream."""

    exporter: str
    received_ns: int
    payload: bytes


class Made(NamedTuple):
    """Fields as (enterprise, element, length), and how many are scopes."""

    fields: list[tuple[int, int, int]]
    scopes: int | None


def stream(seed: int, length: int = 12) -> list[Datagram]:
    """A stream of ``length`` datagrams at most."""
    chance = random.Random(seed)
    templates: dict[tuple[str, int, int], dict[int, Made]] = {}
    made = []
    received_ns = START_NS
    damage = chance.random() < 0.3
    for _ in range(chance.randrange(1, length + 1)):
        received_ns += chance.randrange(90) * 10**9
        exporter = chance.choice(EXPORTERS)
        payload = b""
        while True:
            version = chance.choice((5, 9, 9, 10, 10, 10))
            known = templates.setdefault((exporter, version, 7), {})
            payload += _message(chance, version, known)
            if version == 9 or chance.random() < 0.7:
                break
        if damage and payload and chance.random() < 0.4:
            payload = _damaged(chance, payload)
        made.append(Datagram(exporter, received_ns, payload))
    return made


def _damaged(chance: random.Random, payload: bytes) -> bytes:
    kind = chance.randrange(3)
    at = chance.randrange(len(payload))
    if kind == 0:
        return payload[:at]
    if kind == 1:
        return payload[:at] + chance.randbytes(1) + payload[at + 1 :]
    return payload + chance.randbytes(chance.randrange(1, 9))


def _message(chance: random.Random, version: int, known: dict[int, Made]) -> bytes:
    export_s, up_ms = 1_764_000_000 + chance.randrange(1_000), chance.randrange(1 << 32)
    if version == 5:
        count = chance.randrange(1, 4)
        sampling = chance.choice((0, 1, 0x4001, 0x4064, 100))
        header = struct.pack(
            "!HHIIIIBBH", 5, count, up_ms, export_s, chance.randrange(10**9), 0, 0, 7, sampling
        )
        return header + chance.randbytes(48 * count)
    sets = b"".join(_set(chance, version, known) for _ in range(chance.randrange(1, 6)))
    if version == 9:
        return struct.pack("!HHIIII", 9, 1, up_ms, export_s, 0, 7) + sets
    return struct.pack("!HHIII", 10, 16 + len(sets), export_s, 0, 7) + sets


def _set(chance: random.Random, version: int, known: dict[int, Made]) -> bytes:
    what = chance.random()
    if what < 0.3 or not known:
        body, number = b"", 0
        is_options = chance.random() < 0.3
        for _ in range(chance.randrange(1, 3)):
            template = chance.randrange(256, 261)
            if template in known and chance.random() < 0.5:
                made = known[template]
                if (made.scopes is not None) != is_options:
                    continue
            else:
                made = _template(chance, version, is_options)
            known[template] = made
            body += _template_bytes(version, template, made)
        number = (0, 1)[is_options] if version == 9 else (2, 3)[is_options]
        return _framed(chance, number, body)
    if what < 0.34 and version == 10:
        is_options = chance.random() < 0.3
        template = chance.choice((*known, 2 + is_options))
        gone = [template] if template > 255 else list(known)
        for one in gone:
            if one in known and (known[one].scopes is not None) == is_options:
                del known[one]
        return _framed(chance, 2 + is_options, struct.pack("!HH", template, 0))
    if what < 0.4:  # a template that has not come, or never comes
        return _framed(chance, chance.randrange(256, 263), chance.randbytes(chance.randrange(60)))
    template = chance.choice(list(known))
    body = b"".join(_record(chance, known[template]) for _ in range(chance.randrange(5)))
    return _framed(chance, template, body)


def _framed(chance: random.Random, number: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4 if chance.random() < 0.7 else 0)
    return struct.pack("!HH", number, 4 + len(body)) + body


def _template(chance: random.Random, version: int, is_options: bool) -> Made:
    if is_options:
        return _options(chance, version)
    fields: list[tuple[int, int, int]] = []
    elements = chance.sample(list(_WIDTHS), chance.randrange(1, 16))
    if chance.random() < 0.8:
        elements += chance.choice(((8, 12), (27, 28), (8, 12, 27, 28)))
    if chance.random() < 0.05:
        elements.append(elements[0])
    fields += [(0, element, chance.choice(_WIDTHS[element])) for element in elements]
    if version == 10:
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            fields.insert(chance.randrange(len(fields) + 1), (0, 371, 65_535))
        mirrored = chance.choice(((), (), (1, 2), (1, 2, 6, 152, 153), (2, 136), (86, 85)))
        fields += [(29_305, element, chance.choice(_WIDTHS[element])) for element in mirrored]
        if chance.random() < 0.3:
            fields.insert(chance.randrange(len(fields) + 1), (6_871, chance.randrange(50), 3))
    if chance.random() < 0.3:
        told = chance.sample((109, 110, 123, 124, 127, 128), chance.randrange(1, 5))
        enterprise, base = (35_632, 0) if version == 10 else (0, 57_472)
        fields += [(enterprise, base + element, chance.choice((1, 2, 4))) for element in told]
    if not any(length for _, _, length in fields):
        fields.append((0, 1, 4))
    return Made(fields, None)


def _options(chance: random.Random, version: int) -> Made:
    fields = []
    scopes = chance.randrange(1, 3) if version == 10 else chance.randrange(3)
    for place in range(scopes + chance.randrange(1, 4)):
        element = chance.choice(_OPTIONS if version == 10 or place >= scopes else (1, 2, 3))
        width = chance.choice(_WIDTHS.get(element, (4,)))
        if version == 10 and element == 82:
            width = 65_535
        fields.append((0, element, width))
    return Made(fields, scopes)


def _template_bytes(version: int, number: int, made: Made) -> bytes:
    body = b""
    for enterprise, element, length in made.fields:
        body += struct.pack("!HH", element | (0x8000 if enterprise else 0), length)
        body += struct.pack("!I", enterprise) if enterprise else b""
    if made.scopes is None:
        return struct.pack("!HH", number, len(made.fields)) + body
    if version == 9:
        options = 4 * (len(made.fields) - made.scopes)
        return struct.pack("!HHH", number, 4 * made.scopes, options) + body
    return struct.pack("!HHH", number, len(made.fields), made.scopes) + body


def _record(chance: random.Random, made: Made) -> bytes:
    record = b""
    for _, element, length in made.fields:
        if length == 65_535:
            text = chance.randbytes(chance.choice((0, 1, 5, 300)))
            is_long = len(text) > 254 or chance.random() < 0.2
            record += b"\xff" + struct.pack("!H", len(text)) if is_long else bytes([len(text)])
            record += text
        else:
            record += _value(chance, element, length)
    return record


def _value(chance: random.Random, element: int, length: int) -> bytes:
    if chance.random() < 0.15:
        return bytes(length)
    if element in (48, 302):
        number = chance.choice((0, 1, 2, (1 << 8 * length) - 1))
        return number.to_bytes(length, "big")
    if element == 4:
        return chance.choice((1, 6, 17, 58)).to_bytes(length, "big")
    if element in (152, 153, 160, 323) and chance.random() < 0.7:
        return (1_764_000_000_000 - chance.randrange(10**7)).to_bytes(length, "big")
    return chance.randbytes(length)


# --- decoding ----------------------------------------------------------------


def payloads(datagrams: list[Datagram]) -> Payloads:
    """A batch of them."""
    exporters = sorted({datagram.exporter for datagram in datagrams})
    return Payloads(
        sources=[Source(PLACE, "agent", "cluster", "network", name) for name in exporters],
        source=np.array([exporters.index(one.exporter) for one in datagrams], np.int32),
        received_ns=np.array([one.received_ns for one in datagrams], np.int64),
        payload=pa.array([one.payload for one in datagrams], pa.binary()),
    )


Key = tuple[tuple[str, Any], ...]


class Outcome(NamedTuple):
    """Rows and counts in a form that can be compared."""

    rows: Counter[Key]
    counts: dict[tuple[Any, ...], int]
    rejects: Counter[tuple[Any, ...]]


def outcome(*parts: Decoded) -> Outcome:
    """What some batches gave, together."""
    rows: Counter[Key] = Counter()
    counts: Counter[tuple[Any, ...]] = Counter()
    rejects: Counter[tuple[Any, ...]] = Counter()
    for part in parts:
        names = [(v.source.exporter, v.format, v.observation_domain) for v in part.vantages]
        for row in part.frames["flows"].iter_rows(named=True):
            name = dict(
                zip(("exporter", "format", "domain"), names[row.pop("vantage")], strict=True)
            )
            rows[tuple(sorted((name | row).items()))] += 1
        for row in part.counts.iter_rows(named=True):
            vantage, minute = row.pop("vantage"), row.pop("minute_ns")
            for counter, amount in row.items():
                counts[(*names[vantage], minute, counter)] += amount
        for row in part.rejects.iter_rows(named=True):
            name = names[row["vantage"]]
            rejects[(*name, row["reason"], row["detail"], row["raw"], row["raw_length"])] += 1
    return Outcome(rows, {key: amount for key, amount in counts.items() if amount}, rejects)


def decode_split(datagrams: list[Datagram], cuts: list[int], restart: bool = False) -> Outcome:
    """Decode in batches that end at ``cuts``, with a restart between them if asked for."""
    decoder = Netflow()
    parts = []
    for begin, end in pairwise((0, *sorted(cuts), len(datagrams))):
        parts.append(decoder.decode(payloads(datagrams[begin:end])))
        if restart:
            state = decoder.snapshot(PLACE)
            decoder = Netflow()
            decoder.restore(PLACE, state)
    return outcome(*parts)


SLOW_COUNTERS = (
    "decoded_records",
    "option_records",
    "ignored_records",
    "template_records",
    "waiting_sets",
)


def slow(datagrams: list[Datagram]) -> tuple[Counter[Key], Counter[tuple[Any, ...]]]:
    """Rows, and counts by (exporter, format, domain, counter) and of outcomes."""
    decoder = SlowNetflow()
    outcomes: Counter[tuple[Any, ...]] = Counter(
        (f"{decoder.datagram(*datagram)}_payloads",) for datagram in datagrams
    )
    rows = Counter(tuple(sorted(row.items())) for row in decoder.rows)
    counts = Counter({key: n for key, n in decoder.counts.items() if n})
    return rows, counts + Counter() | outcomes


def fast_counts(decoded: Outcome) -> Counter[tuple[Any, ...]]:
    """The same of an outcome of ours."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for (exporter, name, domain, _, counter), amount in decoded.counts.items():
        if counter in SLOW_COUNTERS:
            counts[exporter, name, domain, counter] += amount
        elif counter in ("decoded_payloads", "partial_payloads", "rejected_payloads"):
            counts[counter,] += amount
    return Counter({key: amount for key, amount in counts.items() if amount})
