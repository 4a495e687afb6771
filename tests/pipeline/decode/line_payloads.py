"""Lines as a decoder gets them, and what must hold of whatever it gives."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from collectors.log import Place
from pipeline import accounting, rejects, schema
from pipeline.decode import Declared, Decoded, Decoder, Payloads, Source

SOURCES = [
    Source(Place("crosspane.v1.proxy.east", 0), "a", "east", "e", "node-1"),
    Source(Place("crosspane.v1.proxy.east", 0), "a", "east", "e", "silent"),
    Source(
        Place("crosspane.v1.proxy.west", 1),
        "b",
        "west",
        "w",
        "node-2",
        Declared(mesh="mine", proxy_model="gateway"),
    ),
]
MAPPED = 0xFFFF_0000_0000
"""High bits of the low half of a v4-mapped address."""


def payloads(lines: Sequence[bytes], source: int = 0) -> Payloads:
    """Lines of one source, received a second apart from 1970 on."""
    return Payloads(
        SOURCES,
        np.full(len(lines), source, np.int32),
        np.arange(len(lines), dtype=np.int64) * 1_000_000_000,
        pa.array(lines, pa.binary()),
    )


def decode(decoder: Decoder, *lines: bytes | dict[str, object], source: int = 0) -> Decoded:
    """What a decoder gives, every payload of it accounted for."""
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    decoded = decoder.decode(payloads(raw, source))
    counts = decoded.counts
    rows = sum(frame.height for frame in decoded.frames.values())
    assert counts.schema == accounting.FRAME
    assert decoded.rejects.schema == rejects.FRAME
    assert decoded.frames["requests"].schema == schema.DECODED_REQUESTS
    assert counts["received_payloads"].sum() == len(lines)
    assert counts["received_bytes"].sum() == sum(map(len, raw))
    assert counts["rejected_payloads"].sum() == decoded.rejects.height
    assert counts["decoded_payloads"].sum() == len(lines) - decoded.rejects.height
    assert counts["decoded_records"].sum() == rows
    assert counts["ignored_records"].sum() == len(lines) - decoded.rejects.height - rows
    return decoded


def reasons(decoded: Decoded) -> list[tuple[int, str, str]]:
    """Rejects: which payload, why, and in words."""
    return decoded.rejects.select("payload", "reason", "detail").rows()


def told(row: dict[str, object]) -> dict[str, object]:
    """A row without what is null, what is empty, and who saw it when."""
    left_out = ("vantage", "received_ns")
    return {
        name: value
        for name, value in row.items()
        if value is not None and value != [] and name not in left_out
    }
