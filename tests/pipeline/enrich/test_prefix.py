"""The longest declared prefix, at its edges, by address family, and when it is contested."""

import numpy as np
import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich.prefix import PrefixIndex

CODES = {"net-a": 0, "net-b": 1}
V4 = 0xFFFF_0000_0000


def _index(*rows: tuple):
    """Rows of id, network, high and low half of the first address, length."""
    columns = ["prefix_id", "network", "prefix_ip_hi", "prefix_ip_lo", "prefix_length"]
    types = {name: schema.PREFIXES.schema[name] for name in columns}
    frame = pl.DataFrame(rows, schema=types, orient="row")
    named = frame.with_columns(name=pl.col("prefix_id").cast(pl.String))
    return PrefixIndex(schema.complete(named, schema.PREFIXES.schema), CODES)


def _found(index, *addresses: tuple):
    """Ids of (network code, high, low); None where there is no prefix."""
    network, high, low = zip(*addresses, strict=True)
    ids, held, _ = index.find(
        np.array(network, np.int64),
        np.array(high, np.uint64),
        np.array(low, np.uint64),
        np.zeros(len(network), np.int64),
    )
    return [int(one) if known else None for one, known in zip(ids, held, strict=True)]


def test_the_longest_of_nested_prefixes_wins_at_its_edges():
    """10.0.0.0/8 around 10.1.0.0/16 around 10.1.255.0/24, which ends with both."""
    index = _index(
        (1, "net-a", 0, V4 + 0x0A00_0000, 104),
        (2, "net-a", 0, V4 + 0x0A01_0000, 112),
        (3, "net-a", 0, V4 + 0x0A01_FF00, 120),
    )
    lows = [0x09FF_FFFF, 0x0A00_0000, 0x0A01_0000, 0x0A01_FF00, 0x0A01_FFFF, 0x0A02_0000]
    lows += [0x0AFF_FFFF, 0x0B00_0000]
    assert _found(index, *((0, 0, V4 + low) for low in lows)) == [
        *(None, 1, 2, 3, 3, 1),
        *(1, None),
    ]


def test_a_range_of_one_network_is_not_another_ones():
    """Neither the same address nor one after all ranges of the network before."""
    index = _index((1, "net-a", 0, V4, 96), (2, "net-a", 0xFD00 << 48, 0, 8))
    assert _found(index, (0, 0, V4 + 5), (1, 0, V4 + 5), (-1, 0, V4 + 5)) == [1, None, None]
    assert _found(index, (0, 0xFD01 << 48, 5), (1, 0xFD01 << 48, 5), (-1, 0xFD01 << 48, 5)) == [
        2,
        None,
        None,
    ]


def test_a_default_route_is_of_one_address_family():
    """``::/0`` says nothing of IPv4, ``0.0.0.0/0`` nothing of IPv6."""
    six, four = (1, "net-a", 0, 0, 0), (2, "net-a", 0, V4, 96)
    addresses = [(0, 0, V4), (0, 0, V4 + 0xFFFF_FFFF), (0, 0, 1), (0, 2**64 - 1, 2**64 - 1)]
    assert _found(_index(six), *addresses) == [None, None, 1, 1]
    assert _found(_index(four), *addresses) == [2, 2, None, None]
    assert _found(_index(six, four), *addresses) == [2, 2, 1, 1]


def test_prefixes_longer_than_the_high_half_of_ipv6():
    """A /64, and within it a /126: the low half decides."""
    high = 0xFD00_0000_0000_0001
    index = _index((1, "net-a", high, 0, 64), (2, "net-a", high, 8, 126))
    addresses = [(0, high, low) for low in (0, 7, 8, 11, 12, 2**64 - 1)]
    outside = [(0, high - 1, 9), (0, high + 1, 9)]
    assert _found(index, *addresses, *outside) == [1, 1, 2, 2, 1, 1, None, None]


def test_a_range_two_rows_claim_is_nobodys():
    """Not either's, not that of the range around; what is longer within it still counts."""
    index = _index(
        (1, "net-a", 0, V4 + 0x0A00_0000, 104),
        (2, "net-a", 0, V4 + 0x0A01_0000, 112),
        (3, "net-a", 0, V4 + 0x0A01_0000, 112),
        (4, "net-a", 0, V4 + 0x0A01_0200, 120),
        (5, "net-b", 0, V4 + 0x0A01_0000, 112),
    )
    addresses = [(0, 0, V4 + 0x0A01_0001), (0, 0, V4 + 0x0A01_0201), (0, 0, V4 + 0x0A02_0000)]
    assert _found(index, *addresses, (1, 0, V4 + 0x0A01_0001)) == [None, 4, 1, 5]


@pytest.mark.parametrize("low", [0, V4, 2**64 - 1])
def test_nothing_declared_nothing_found(low):
    """The edges of both address families."""
    assert _found(_index(), (0, 0, low), (-1, 2**64 - 1, low)) == [None, None]
