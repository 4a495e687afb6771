"""Text addresses and service names: literal rows, and what must be null."""

import ipaddress

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode.addresses import parse_addresses, service_names

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


SNI = "outbound_.9080_.v2_.reviews.shop.svc"


@pytest.mark.parametrize(
    ("cluster", "sni", "direction", "expected"),
    [
        ("outbound|80|v1|a.b", None, None, ("source", "a.b", 80, "v1")),
        ("outbound|80||a.b", SNI, None, ("source", "a.b", 80, None)),
        ("inbound|8080||", None, None, ("destination", None, 8080, None)),
        ("inbound|8080||", SNI, None, ("destination", "reviews.shop.svc", 9080, "v2")),
        ("outbound_.80_._.a_.b", None, None, ("gateway", "a_.b", 80, None)),
        (None, SNI, None, ("unknown", "reviews.shop.svc", 9080, "v2")),
        (None, "a.example", None, ("unknown", None, None, None)),
        ("inbound-vip|80|http|a.b", None, None, ("unknown", "a.b", 80, None)),
        ("PassthroughCluster", None, None, ("source", None, None, None)),
        ("BlackHoleCluster", None, None, ("source", None, None, None)),
        ("InboundPassthroughCluster", None, None, ("destination", None, None, None)),
        ("outbound|80||a.b", None, "GATEWAY", ("gateway", "a.b", 80, None)),
        ("outbound|80||a.b", None, "sideways", ("source", "a.b", 80, None)),
        ("outbound|0||a.b", None, None, ("source", "a.b", None, None)),
        ("outbound|99999||a.b", None, None, ("source", "a.b", None, None)),
        ("outbound|80||", None, None, ("source", None, None, None)),
        (None, None, None, ("unknown", None, None, None)),
    ],
)
def test_names_are_read(cluster, sni, direction, expected):
    """The cluster names the service, else the SNI; the direction, if told, is the reporter."""
    columns = service_names(
        *(pl.Series([text], dtype=pl.String) for text in (cluster, sni, direction))
    )
    assert tuple(column[0] for column in columns) == expected
