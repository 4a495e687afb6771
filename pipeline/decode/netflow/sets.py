"""
Messages and sets of many datagrams, found together.

    datagrams -> messages (v5, v9, IPFIX; several in a datagram)
    messages  -> sets: step k finds the k-th set of every message still open

Before: __init__.py. After: templates.py, records.py.
Source: RFC 3954 section 5, RFC 7011 section 3, Cisco NetFlow v5 header.
"""

from itertools import count
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.rejects import RAW_BYTES, Reason

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

V5, V9, IPFIX = 5, 9, 10
HEADER: Final = {V5: 24, V9: 20, IPFIX: 16}
FORMATS: Final = {V5: "netflow5", V9: "netflow9", IPFIX: "ipfix"}
V5_RECORD: Final = 48
FIRST_DATA_SET: Final = 256
SET_HEADER: Final = 4
MAX_SETS: Final = 2_048
"""Sets of one message; a 64 KiB message of empty sets is a wish for time, not telemetry."""


class Reject(NamedTuple):
    """Payload, reason, words, bytes (cut) and how many; vantage -1 is that of the payload."""

    payload: int
    reason: Reason
    detail: str
    raw: bytes
    raw_length: int
    vantage: int = -1


def refuse(
    buffer: U8,
    span: tuple[int, int],
    payload: int,
    reason: Reason,
    detail: str,
    *,
    vantage: int = -1,
) -> Reject:
    """Reject of the bytes ``span`` of the buffer."""
    begin, end = span
    raw = buffer[begin : min(end, begin + RAW_BYTES)].tobytes()
    return Reject(payload, reason, detail, raw, end - begin, vantage)


class Messages(NamedTuple):
    """m messages in order of arrival: payload, version, first byte, byte after the last."""

    payload: I64
    version: I64
    begin: I64
    end: I64


class Sets(NamedTuple):
    """Sets in order of arrival: message, id, first byte (of the header), bytes."""

    message: I64
    number: I64
    position: I64
    length: I64


def be16(buffer: U8, at: I64) -> I64:
    """Big-endian 16 bits at each position."""
    return buffer[at].astype(np.int64) << 8 | buffer[at + 1]


def be32(buffer: U8, at: I64) -> I64:
    """Big-endian 32 bits at each position."""
    return be16(buffer, at) << 16 | be16(buffer, at + 2)


def find_messages(buffer: U8, begin: I64, end: I64) -> tuple[Messages, list[Reject]]:
    """Messages of payloads that lie at [begin, end) of the buffer."""
    found: list[tuple[I64, ...]] = []
    rejects: list[Reject] = []
    payload, at = np.arange(len(begin)), begin.copy()

    def reject(rows: npt.NDArray[np.bool_], reason: Reason) -> None:
        for p, a in zip(payload[rows].tolist(), at[rows].tolist(), strict=True):
            detail = f"at byte {a - int(begin[p])} of {int(end[p] - begin[p])}"
            rejects.append(refuse(buffer, (a, int(end[p])), p, reason, detail))

    reject(end == begin, Reason.PAYLOAD_EMPTY)
    keep = end > begin
    payload, at = payload[keep], at[keep]
    while len(payload):
        left = end[payload] - at
        is_lone = left < 2  # noqa: PLR2004 - a version is two bytes
        version = np.where(is_lone, -1, be16(buffer, np.where(is_lone, len(buffer) - 2, at)))
        header = np.select([version == v for v in HEADER], list(HEADER.values()), 0)
        reject(~is_lone & (header == 0), Reason.VERSION_UNKNOWN)
        reject(is_lone | (left < header), Reason.HEADER_TRUNCATED)
        good = (header > 0) & (left >= header)
        payload, at, version, left = payload[good], at[good], version[good], left[good]
        told = be16(buffer, at + 2)
        length = np.select(
            [version == V5, version == IPFIX], [HEADER[V5] + V5_RECORD * told, told], left
        )
        least = np.where(version == V5, HEADER[V5] + V5_RECORD, HEADER[IPFIX])
        bad = (length > left) | (length < least)
        reject(bad, Reason.LENGTH_MISMATCH)
        payload, at, version, length = payload[~bad], at[~bad], version[~bad], length[~bad]
        found.append((payload, version, at, at + length))
        at = at + length
        more = at < end[payload]
        payload, at = payload[more], at[more]
    return Messages(*_in_order(found)), rejects


def find_sets(
    buffer: U8, messages: Messages, vantage: npt.NDArray[np.int32]
) -> tuple[Sets, list[Reject], I64]:
    """Sets of v9 and IPFIX messages; what cannot be a set ends its message, which is told last."""
    found: list[tuple[I64, ...]] = []
    rejects: list[Reject] = []
    cut: list[int] = []
    message = np.flatnonzero(messages.version != V5)
    header = np.where(messages.version == V9, HEADER[V9], HEADER[IPFIX])
    at = messages.begin[message] + header[message]
    for step in count(0):
        left = messages.end[message] - at
        more = left >= SET_HEADER  # less is padding
        message, at, left = message[more], at[more], left[more]
        if not len(message):
            break
        number, length = be16(buffer, at), be16(buffer, at + 2)
        bad = (length < SET_HEADER) | (length > left) | (step >= MAX_SETS)
        # A v9 message may end in zeros to a multiple of four bytes.
        padding = bad & (number == 0) & (length == 0) & (messages.version[message] == V9)
        for row in np.flatnonzero(bad & ~padding).tolist():
            one, begin = int(message[row]), int(at[row])
            span = (begin, int(messages.end[one]))
            detail = f"set {number[row]} of {length[row]} bytes, {left[row]} left, {step} before it"
            payload = int(messages.payload[one])
            rejects.append(
                refuse(buffer, span, payload, Reason.SET_LENGTH, detail, vantage=int(vantage[one]))
            )
            cut.append(one)
        message, at, number, length = message[~bad], at[~bad], number[~bad], length[~bad]
        found.append((message, number, at, length))
        at = at + length
    return Sets(*_in_order(found)), rejects, np.array(cut, np.int64)


def _in_order(found: list[tuple[I64, ...]]) -> list[I64]:
    """Columns of all steps, by the position in the third."""
    if not found:
        return [np.array([], np.int64)] * 4
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    if len(found) == 1:
        return columns
    order = np.argsort(columns[2], kind="stable")
    return [column[order] for column in columns]
