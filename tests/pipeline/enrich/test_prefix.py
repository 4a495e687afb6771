"""The longest declared prefix, at its edges, by address family, and when it is contested."""

from datetime import UTC, datetime

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


def _named(*rows: tuple):
    """Rows of id, kind, source, first and last hour of validity; all of 10.0.0.0/8 of net-a."""
    hours = [
        [None if hour is None else datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in row[3:]]
        for row in rows
    ]
    frame = pl.DataFrame(
        [(*row[:3], str(row[0]), "net-a", 0, V4 + 0x0A00_0000, 104) for row in rows],
        schema=[
            *("prefix_id", "kind", "source", "name", "network"),
            *("prefix_ip_hi", "prefix_ip_lo", "prefix_length"),
        ],
        orient="row",
    ).with_columns(
        pl.Series("valid_from", [start for start, _ in hours], schema.TIME),
        pl.Series("valid_to", [end for _, end in hours], schema.TIME),
    )
    return PrefixIndex(schema.complete(frame, schema.PREFIXES.schema), CODES)


def _at(index, *hours: int):
    """Ids of 10.0.0.1 of net-a at these hours, and whether it is the network's own."""
    times = [int(datetime(2026, 1, 1, hour, tzinfo=UTC).timestamp()) * 1_000_000 for hour in hours]
    ids, held, own = index.find(
        np.zeros(len(hours), np.int64),
        np.zeros(len(hours), np.uint64),
        np.full(len(hours), V4 + 0x0A00_0001, np.uint64),
        np.array(times, np.int64),
    )
    return [
        (int(one) if known else None, bool(its))
        for one, known, its in zip(ids, held, own, strict=True)
    ]


@pytest.mark.parametrize("kind", ["pod", "service", "node"])
def test_of_one_range_the_kind_that_tells_more_counts(kind):
    """A pod range that is a subnet's secondary range, and that the one range of its VPC."""
    rows = [
        (1, kind, "kubernetes"),
        (2, "subnet", "gcp"),
        (3, "vpc", "gcp"),
        (4, "external", "gcp"),
    ]
    for first in range(4):
        index = _named(*((*row, None, None) for row in rows[first:]))
        assert _at(index, 0) == [(first + 1, first < 3)]


def test_of_one_kind_a_files_word_counts_and_of_two_sources_neither():
    """What two sources claim is contested, and still the network's own."""
    aws, netbox = (1, "subnet", "aws", None, None), (2, "subnet", "netbox", None, None)
    assert _at(_named(aws, netbox), 0) == [(None, True)]
    assert _at(_named(aws, netbox, (3, "subnet", "file", None, None)), 0) == [(3, True)]


def test_a_range_is_known_while_it_is_valid():
    """[from, to): before and after, nothing; two that follow one another do not contend."""
    index = _named((1, "pod", "kubernetes", 1, 2), (2, "subnet", "aws", 2, 4))
    assert _at(index, 0, 1, 2, 3, 4) == [
        (None, False),
        (1, True),
        (2, True),
        (2, True),
        (None, False),
    ]


def test_many_changes_of_a_range_cost_no_more_than_rows():
    """5,000 lives of a range within another: each at its hour, and between them the one around."""
    start = 1_700_000_000_000_000
    lives = 5_000
    times = start + np.arange(lives) * 2_000_000
    columns = {
        "prefix_id": np.arange(1, lives + 1),
        "prefix_ip_lo": np.full(lives, V4 + 0x0A00_0000),
        "prefix_length": np.full(lives, 104),
        "valid_from": pl.Series(times).cast(schema.TIME),
        "valid_to": pl.Series(times + 1_000_000).cast(schema.TIME),
    }
    inner = pl.DataFrame(columns).with_columns(
        name=pl.col("prefix_id").cast(pl.String), network=pl.lit("net-a"), prefix_ip_hi=0
    )
    outer = pl.DataFrame(
        {
            "prefix_id": [lives + 1],
            "network": ["net-a"],
            "prefix_ip_hi": [0],
            "prefix_ip_lo": [V4 + 0x0800_0000],
            "prefix_length": [102],
        }
    )
    index = PrefixIndex(
        pl.concat([schema.complete(frame, schema.PREFIXES.schema) for frame in (inner, outer)]),
        CODES,
    )
    asked = np.concatenate([times, times + 1_000_000])
    ids, held, _ = index.find(
        np.zeros(2 * lives, np.int64),
        np.zeros(2 * lives, np.uint64),
        np.full(2 * lives, V4 + 0x0A00_0001, np.uint64),
        asked,
    )
    assert held.all()
    assert ids.tolist() == [*range(1, lives + 1), *[lives + 1] * lives]
