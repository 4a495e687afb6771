"""
Addresses and ranges as the numbers tables hold: halves of the 16-byte form.

Before: sources, rows.py. After: book.py, published.py, file.py.
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_V4_BITS: Final = 96  # a v4 address is the last 32 bits of ::ffff:0:0/96
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
_LONGEST: Final = 128
_HALF: Final = 64
_LENGTH_DIGITS: Final = 3


PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
        *("100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)
"""Ranges whose addresses mean something else in each network; all others are public."""


def is_public(ip: str) -> bool:
    """
    Whether an address means the same everywhere; `ValueError` if it is none.

    >>> is_public("8.8.8.8"), is_public("100.64.0.1"), is_public("fd00::1")
    (True, False, False)
    """
    address = ipaddress.ip_address(ip)
    return not any(address in network for network in PRIVATE)


def packed(text: str) -> bytes:
    """
    16-byte form of an address; `ValueError` if it is none.

    >>> packed("10.0.0.1").hex()
    '00000000000000000000ffff0a000001'
    """
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError) as error:
        raise ValueError(f"{text[:60]!r} is no IPv4 or IPv6 address") from error


def ip_halves(text: str) -> tuple[int, int]:
    """
    High and low 64 bits of an address; `ValueError` if it is none.

    >>> ip_halves("10.0.0.1")
    (0, 281470849515521)
    """
    address = packed(text)
    return int.from_bytes(address[:8]), int.from_bytes(address[8:])


def prefix_numbers(text: str) -> tuple[int, int, int]:
    """
    Halves of a range's first address, and its length in the 16-byte form; `ValueError` if none.

    >>> prefix_numbers("10.0.0.0/8")
    (0, 281470849515520, 104)
    """
    cidr = ipaddress.ip_network(text, strict=False)
    return (
        *ip_halves(str(cidr.network_address)),
        cidr.prefixlen + (_V4_BITS if cidr.version == 4 else 0),  # noqa: PLR2004 as in IPv4
    )


class Ranges(NamedTuple):
    """
    n ranges.

    Attributes
    ----------
    high, low
        uint64[n], halves of the first address.
    length
        uint8[n], in the 16-byte form.
    beyond
        bool[n], whether the text had bits set beyond the length.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    length: NDArray[np.uint8]
    beyond: NDArray[np.bool_]


class NoRangeError(ValueError):
    """The text of row ``row`` is no range."""

    def __init__(self, text: str, row: int) -> None:
        super().__init__(f"{text[:60]!r} is no range, expected address/length")
        self.row = row


def ranges(texts: Sequence[str]) -> Ranges:
    """
    Ranges from their texts, ``address/length``.

    Raises
    ------
    NoRangeError
        Of the first that is none.
    """
    addresses, lengths = bytearray(), bytearray()
    for row, text in enumerate(texts):
        try:
            address, bits = _split(text)
        except ValueError as error:
            raise NoRangeError(text, row) from error
        addresses += address
        lengths.append(bits)
    halves = np.frombuffer(addresses, ">u8").astype(np.uint64).reshape(-1, 2)
    length = np.frombuffer(lengths, np.uint8)
    high = halves[:, 0] & _mask(length.astype(np.int64))
    low = halves[:, 1] & _mask(length.astype(np.int64) - _HALF)
    return Ranges(high, low, length, (high != halves[:, 0]) | (low != halves[:, 1]))


def _split(text: str) -> tuple[bytes, int]:
    ip, _, digits = text.partition("/")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _LENGTH_DIGITS):
        raise ValueError(digits)
    length = int(digits) + (0 if ":" in ip else _V4_BITS)
    if length > _LONGEST:
        raise ValueError(digits)
    return packed(ip), length


def _mask(bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The first ``bits`` of 64 bits set; none if that is negative, all if it is more."""
    unset = (_HALF - np.clip(bits, 0, _HALF)).astype(np.uint64)
    ones = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
    some = ones << np.minimum(unset, np.uint64(_HALF - 1))
    return np.where(unset == _HALF, np.uint64(0), some)
