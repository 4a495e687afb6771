"""
Messages and sets of many datagrams, found together.

    datagrams -> messages (v5, v9, IPFIX; several in a datagram)
    messages  -> sets: step k finds the k-th set of every message still open

Before: netflow.py. After: templates.py, records.py.
Source: RFC 3954 section 5, RFC 7011 section 3, Cisco NetFlow v5 header.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.rejects import Reason

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

V5, V9, IPFIX = 5, 9, 10
HEADER: Final = {V5: 24, V9: 20, IPFIX: 16}
V5_RECORD: Final = 48
_SET_HEADER: Final = 4
_MAX_SETS: Final = 2_048
"""Sets of one message; a 64 KiB message of empty sets is a wish for time, not telemetry."""


class Reject(NamedTuple):
    """Payload, reason, words, and the bytes from ``begin`` to ``end`` of the buffer."""

    payload: int
    reason: Reason
    detail: str
    begin: int
    end: int


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
    found: list[tuple[I64, I64, I64, I64]] = []
    rejects: list[Reject] = []
    payload, at = np.arange(len(begin)), begin.copy()

    def refuse(rows: npt.NDArray[np.bool_], reason: Reason) -> None:
        rejects.extend(
            Reject(
                int(p),
                reason,
                f"at byte {int(a - begin[p])} of {int(end[p] - begin[p])}",
                int(a),
                int(end[p]),
            )
            for p, a in zip(payload[rows], at[rows], strict=True)
        )

    refuse(end == begin, Reason.PAYLOAD_EMPTY)
    keep = end > begin
    payload, at = payload[keep], at[keep]
    while len(payload):
        left = end[payload] - at
        version = (
            np.where(left >= 2, be16(buffer, np.minimum(at, len(buffer) - 2)), -1)
            if len(buffer) > 1
            else np.full(len(at), -1)
        )  # noqa: PLR2004
        header = np.select([version == V5, version == V9, version == IPFIX], [24, 20, 16], 0)
        refuse((left >= 2) & (header == 0), Reason.VERSION_UNKNOWN)  # noqa: PLR2004
        refuse((left < 2) | ((header > 0) & (left < header)), Reason.HEADER_TRUNCATED)  # noqa: PLR2004
        good = (header > 0) & (left >= header)
        payload, at, version, left = payload[good], at[good], version[good], left[good]
        count = be16(buffer, at + 2) if len(at) else at
        length = np.select(
            [version == V5, version == IPFIX], [HEADER[V5] + V5_RECORD * count, count], left
        )
        bad = (length > left) | (length < np.where(version == V5, 24 + 48, 16))
        refuse(bad, Reason.LENGTH_MISMATCH)
        payload, at, version, length = payload[~bad], at[~bad], version[~bad], length[~bad]
        found.append((payload, version, at, at + length))
        at = at + length
        more = at < end[payload]
        payload, at = payload[more], at[more]
    columns = (
        [np.concatenate(parts) for parts in zip(*found, strict=True)]
        if found
        else [np.array([], np.int64)] * 4
    )
    order = np.argsort(columns[2], kind="stable")
    return Messages(*(column[order] for column in columns)), rejects


def find_sets(buffer: U8, messages: Messages) -> tuple[Sets, list[Reject]]:
    """Sets of v9 and IPFIX messages; what cannot be a set ends its message."""
    found: list[tuple[I64, I64, I64, I64]] = []
    rejects: list[Reject] = []
    message = np.flatnonzero(messages.version != V5)
    header = np.where(messages.version == V9, HEADER[V9], HEADER[IPFIX])
    at = messages.begin[message] + header[message]
    step = 0
    while len(message):
        left = messages.end[message] - at
        more = left >= _SET_HEADER  # less is padding
        message, at, left = message[more], at[more], left[more]
        if not len(message):
            break
        number, length = be16(buffer, at), be16(buffer, at + 2)
        bad = (length < _SET_HEADER) | (length > left) | (step >= _MAX_SETS)
        # A v9 message may end in zeros to a multiple of four bytes.
        padding = bad & (number == 0) & (length == 0) & (messages.version[message] == V9)
        for m, a, n, size in zip(
            message[bad & ~padding],
            at[bad & ~padding],
            number[bad & ~padding],
            length[bad & ~padding],
            strict=True,
        ):
            detail = f"set {n} of {size} bytes, {messages.end[m] - a} left"
            rejects.append(
                Reject(
                    int(messages.payload[m]),
                    Reason.SET_LENGTH,
                    detail,
                    int(a),
                    int(messages.end[m]),
                )
            )
        message, at, number, length = message[~bad], at[~bad], number[~bad], length[~bad]
        found.append((message, number, at, length))
        at = at + length
        step += 1
    columns = (
        [np.concatenate(parts) for parts in zip(*found, strict=True)]
        if found
        else [np.array([], np.int64)] * 4
    )
    order = np.argsort(columns[2], kind="stable")
    return Sets(*(column[order] for column in columns)), rejects
