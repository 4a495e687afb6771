"""
Addresses and ranges as the numbers tables hold: halves of the 16-byte form.

Before: sources, rows.py. After: book.py.
"""

import ipaddress
import socket
from typing import Final

_V4_BITS: Final = 96  # a v4 address is the last 32 bits of ::ffff:0:0/96


def ip_halves(text: str) -> tuple[int, int]:
    """
    High and low 64 bits of an address; `ValueError` if it is none.

    >>> ip_halves("10.0.0.1")
    (0, 281470849482753)
    """
    try:
        packed = socket.inet_pton(socket.AF_INET6, text if ":" in text else f"::ffff:{text}")
    except (OSError, ValueError) as error:
        raise ValueError(f"{text[:60]!r} is no IPv4 or IPv6 address") from error
    return int.from_bytes(packed[:8]), int.from_bytes(packed[8:])


def prefix_numbers(text: str) -> tuple[int, int, int]:
    """
    Halves of a range's first address, and its length in the 16-byte form; `ValueError` if none.

    >>> prefix_numbers("10.0.0.0/8")
    (0, 281470849482752, 104)
    """
    cidr = ipaddress.ip_network(text, strict=False)
    return (
        *ip_halves(str(cidr.network_address)),
        cidr.prefixlen + (_V4_BITS if cidr.version == 4 else 0),  # noqa: PLR2004 as in IPv4
    )
