"""
Addresses and ranges as objects of an API server write them.

Before: sources/__init__.py. After: board.py.
"""

import ipaddress
import socket

from pipeline.inventory.file import INTERNET
from pipeline.inventory.numbers import is_public


def address(text: str) -> str:
    """
    The address in its one spelling; `ValueError` if it is none.

    >>> address("FD00:0:0::1"), address("::ffff:10.0.0.1")
    ('fd00::1', '10.0.0.1')
    """
    try:
        if ":" not in text:
            socket.inet_pton(socket.AF_INET, text)
            return text
        plain = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError) as error:
        raise ValueError(f"{text[:60]!r} is no IPv4 or IPv6 address") from error
    return plain.removeprefix("::ffff:") if "." in plain and plain.startswith("::ffff:") else plain


def addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are addresses, each once, in order: what may be a host name is not resolved."""
    found: dict[str, None] = {}
    for text in texts:
        try:
            found[address(text)] = None
        except ValueError:
            continue
    return tuple(found)


def cidr(text: str) -> str:
    """
    The range, without what is set beyond its length; `ValueError` if it is none.

    >>> cidr("10.1.2.3/16")
    '10.1.0.0/16'
    """
    return str(ipaddress.ip_network(text, strict=False))


def place(ip: str, network: str) -> str:
    """
    `INTERNET` for a public address, else the network.

    >>> place("100.64.0.1", "east"), place("8.8.8.8", "east")
    ('east', 'internet')
    """
    return INTERNET if is_public(ip) else network
