"""Text addresses: literal rows, and what must be null."""

import ipaddress

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode.addresses import parse_addresses

V4 = 0xFFFF_0A00_0001  # 10.0.0.1


def row(text: str | None) -> tuple[int | None, int | None, int | None]:
    parsed = parse_addresses(pl.Series([text], dtype=pl.String))
    return parsed.ip_hi[0], parsed.ip_lo[0], parsed.port[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:80", (0, V4, 80)),
        ("10.0.0.1:65535", (0, V4, 65535)),
        ("10.0.0.1:0", (0, V4, None)),
        ("10.0.0.1", (0, V4, None)),
        ("[2001:db8::1]:80", (0x20010DB800000000, 1, 80)),
        ("[fe80::1%eth0]:8", (0xFE80000000000000, 1, 8)),
        ("[::ffff:10.0.0.1]:1", (0, V4, 1)),
        ("[::1]", (0, 1, None)),
    ],
)
def test_addresses_are_read(text, expected):
    """IPv4 and IPv6, with and without a port; port 0 was not told."""
    assert row(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "-", "pipe", "envoy://internal_client_address/"),
        *("envoy://connect_originate/10.1.1.1:80", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:+8"),
        *("10.0.0.1:8:9", "010.0.0.1:80", "256.0.0.1:80", "10.0.0:80", "[::1", "[::1]80", "[::1]:"),
        *("[é]:1", "٣.0.0.1:80", "[" + ":" * 10_000 + "]:1", "10.0.0.1:80\x00"),
    ],
)
def test_what_is_no_address_is_null(text):
    """Never half an address: all three columns are null."""
    assert row(text) == (None, None, None)


@given(st.lists(st.none() | st.text() | st.from_regex(r"\[?[0-9a-f.:]{1,20}\]?:[0-9]{1,6}")))
def test_any_text_gives_one_row(texts):
    """Nothing raises, rows stay in place, and both halves are null together."""
    parsed = parse_addresses(pl.Series(texts, dtype=pl.String))
    assert [len(column) for column in parsed] == [len(texts)] * 3
    assert (parsed.ip_hi.is_null() == parsed.ip_lo.is_null()).all()
    for text, *alone in zip(texts, *parsed, strict=True):
        assert row(text) == tuple(alone)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_is_read(address, port):
    """As the standard library reads it."""
    text = f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}"
    high, low, found = row(text)
    mapped = ipaddress.IPv6Address(high << 64 | low)
    assert (mapped.ipv4_mapped or mapped, found) == (
        getattr(address, "ipv4_mapped", None) or address,
        port,
    )
