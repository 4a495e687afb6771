r"""
Which range an address was in: the longest declared prefix of its network, then.

    (network, ip) --search--> longest range ever declared --time--> its row
                                  \--nobody's then--> the range around it

Ranges nest or are apart, so they cut the addresses of a network into disjoint
intervals, each of which the longest range over it owns. A lookup is one
binary search for the interval's first address: on (network, v4) in one 64-bit
number, or for IPv6 on the high half, then on the low half. Where no row of the
range held at the time, the one around it is asked.

A prefix of one address family says nothing of the other: ``::/0`` is not the
default of IPv4. Rows of one range contend by kind: what says pod, service or
node goes before a subnet, that before a vpc, that before external; of one kind
a file's word goes before that of a source. A range that two different rows
still claim is nobody's, and the addresses for which it is the longest match
have no prefix: not that of one claimant, and not the shorter one around it.

Before: identity.py. After: identities.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from pipeline.enrich.timeline import (
    ALWAYS,
    NEVER,
    Bools,
    Int64s,
    Timeline,
    TooManyHoldError,
    UInt8s,
    UInt64s,
)
from pipeline.errors import InventoryError
from pipeline.inventory.file import SOURCE

_LOW_32: Final = np.uint64(0xFFFF_FFFF)
_LOW_64: Final = (1 << 64) - 1
_MAPPED: Final = np.uint64(0xFFFF)
"""High 32 of the low 64 bits of a v4-mapped address; its high 64 bits are 0."""

_V4_END: Final = 0x1_0000 << 32
_V6_END: Final = 1 << 128
"""Not an address any more: where a range ends there, nothing has to be cut."""

_NONE: Final = -1

_RANKS: Final = {"external": 0, "vpc": 2, "subnet": 4}
_HIGHEST: Final = 6
_DECLARED: Final = 1
"""Ranks: the kind's, and one more for what a file says."""

_OWNER: Final = [
    *("kind", "cluster", "name", "provider", "region", "zone", "account", "vpc", "subnet"),
]
"""Rows of a range alike in all of these say the same of it."""


class Found(NamedTuple):
    """
    Longest match of n addresses.

    Attributes
    ----------
    prefix_id
        uint64[n]; means nothing where there is none.
    held
        Where there is one.
    own
        Where the network declares the address its own: one row or several that
        contend are of a kind other than external.
    """

    prefix_id: UInt64s
    held: Bools
    own: Bools


class Range(NamedTuple):
    """One range: network code, first and last address, its number."""

    network: int
    first: int
    last: int
    number: int


class Cut(NamedTuple):
    """From this address of this network on, up to the next cut, the range is the longest."""

    network: int
    first: int
    number: int


class PrefixIndex:
    """
    Rows of `schema.PREFIXES`, arranged for longest-prefix match.

    Parameters
    ----------
    prefixes
        Rows with distinct ``prefix_id``, as `inventory.load` gives them.
    network_codes
        Name of each network to its code, 0 or more.
    """

    def __init__(self, prefixes: pl.DataFrame, network_codes: Mapping[str, int]) -> None:
        networks = max(network_codes.values(), default=_NONE) + 1
        numbers, v4, v6 = _ranges(prefixes, network_codes)
        self._networks = networks
        self._ranges = len(v4) + len(v6)
        self._around = np.full(self._ranges + 1, self._ranges, np.int64)
        self._v4 = _V4([cut for cut in self._cuts(v4) if cut.first < _V4_END])
        self._v6 = _V6([cut for cut in self._cuts(v6) if cut.first < _V6_END])
        rank = _rank(prefixes)
        try:
            self._timeline = Timeline(
                numbers,
                self._ranges,
                begin=prefixes["valid_from"].to_physical().fill_null(ALWAYS).to_numpy(),
                end=prefixes["valid_to"].to_physical().fill_null(NEVER).to_numpy(),
                rank=rank,
                owner=prefixes.select(_OWNER).hash_rows().to_numpy(),
            )
        except TooManyHoldError as error:
            raise InventoryError(
                "prefixes: too many rows of one range hold at once, for instance of"
                f" {prefixes['name'][error.row]!r} in {prefixes['network'][error.row]!r}"
            ) from error
        row = self._timeline.row
        self._count = np.minimum(self._timeline.count, 2).astype(np.uint8)
        self._ids = np.append(prefixes["prefix_id"].to_numpy(), np.uint64(0))[row]
        self._external = np.append(rank < _RANKS["vpc"], False)[row]

    def find(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s, time_us: Int64s) -> Found:
        """
        Longest match of each address.

        Parameters
        ----------
        network
            Codes; -1 where the network is not known.
        ip_hi, ip_lo
            Addresses, halves of the 16-byte form.
        time_us
            UTC microseconds.
        """
        return self.held(self.ranges(network, ip_hi, ip_lo), time_us)

    def ranges(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s) -> Int64s:
        """Number of the longest range that was ever declared, whenever that was."""
        is_v4 = (ip_hi == 0) & (ip_lo >> np.uint64(32) == _MAPPED)
        code = np.where(network < 0, self._networks, network).view(np.uint64)
        if is_v4.all():
            number = self._v4.find(code, ip_lo)
        else:
            number = np.empty(len(code), np.int64)
            number[is_v4] = self._v4.find(code[is_v4], ip_lo[is_v4])
            other = ~is_v4
            number[other] = self._v6.find(code[other], ip_hi[other], ip_lo[other])
        number[number == _NONE] = self._ranges
        return number

    def held(self, number: Int64s, time_us: Int64s) -> Found:
        """Of ranges, each the longest of an address, the longest that held at the time."""
        interval = self._timeline.at(number, time_us)
        count = self._count[interval]
        rows = np.flatnonzero((count == 0) & (number < self._ranges))
        if len(rows):
            number = number.copy()
        while len(rows):
            number[rows] = self._around[number[rows]]
            interval[rows] = self._timeline.at(number[rows], time_us[rows])
            count[rows] = self._count[interval[rows]]
            rows = rows[(count[rows] == 0) & (number[rows] < self._ranges)]
        return Found(self._ids[interval], count == 1, (count > 0) & ~self._external[interval])

    def _cuts(self, ranges: Iterable[Range]) -> Iterator[Cut]:
        """Where the longest match changes, in order; every network starts with a cut to nothing."""
        by_network: dict[int, list[Range]] = {network: [] for network in range(self._networks)}
        for one in ranges:
            by_network[one.network].append(one)
        for network, inside in by_network.items():
            yield Cut(network, 0, _NONE)
            around: list[Range] = []  # the ranges we are in, the longest prefix last
            for one in inside:
                while around and around[-1].last < one.first:
                    yield _leave(around)
                if around:
                    self._around[one.number] = around[-1].number
                yield Cut(network, one.first, one.number)
                around.append(one)
            while around:
                yield _leave(around)
        yield Cut(self._networks, 0, _NONE)  # every network nobody declared


class _V4:
    """Cuts as network << 32 | address."""

    def __init__(self, cuts: list[Cut]) -> None:
        self._key = np.array(
            [cut.network << 32 | cut.first & int(_LOW_32) for cut in cuts], np.uint64
        )
        self._number = np.array([cut.number for cut in cuts], np.int64)

    def find(self, network: UInt64s, ip_lo: UInt64s) -> Int64s:
        key = network << np.uint64(32) | ip_lo & _LOW_32
        return self._number[np.searchsorted(self._key, key, side="right") - 1]


class _V6:
    """
    Cuts grouped by (network, high half), and by low half within a group.

    High and low halves are replaced by their rank among those of the cuts, so
    that (network, high) and (group, low) each are one 64-bit number.
    """

    def __init__(self, cuts: list[Cut]) -> None:
        network = np.array([cut.network for cut in cuts], np.uint64)
        high = np.array([cut.first >> 64 for cut in cuts], np.uint64)
        low = np.array([cut.first & _LOW_64 for cut in cuts], np.uint64)
        self._high, self._low = np.unique(high), np.unique(low)
        self._group = np.unique(self._group_key(network, high))
        group = np.searchsorted(self._group, self._group_key(network, high)).astype(np.uint64)
        self._key = group << np.uint64(32) | self._low_rank(low)
        self._number = np.array([cut.number for cut in cuts], np.int64)

    def find(self, network: UInt64s, ip_hi: UInt64s, ip_lo: UInt64s) -> Int64s:
        wanted = self._group_key(network, ip_hi)
        group = np.searchsorted(self._group, wanted, side="right") - 1
        inside = (self._group[group] == wanted) & (self._high[self._high_rank(ip_hi)] == ip_hi)
        low = np.where(inside, self._low_rank(ip_lo), _LOW_32)  # else after all of the group
        key = group.view(np.uint64) << np.uint64(32) | low
        return self._number[np.searchsorted(self._key, key, side="right") - 1]

    def _group_key(self, network: UInt64s, high: UInt64s) -> UInt64s:
        return network << np.uint64(32) | self._high_rank(high)

    def _high_rank(self, high: UInt64s) -> UInt64s:
        """Rank of the last cut at or before; every network has a cut at 0."""
        return (np.searchsorted(self._high, high, side="right") - 1).view(np.uint64)

    def _low_rank(self, low: UInt64s) -> UInt64s:
        return (np.searchsorted(self._low, low, side="right") - 1).view(np.uint64)


def _ranges(
    prefixes: pl.DataFrame, codes: Mapping[str, int]
) -> tuple[Int64s, list[Range], list[Range]]:
    """Number of each row's range; the ranges of IPv4 and of IPv6, as `_cuts` wants them."""
    numbers: dict[tuple[int, int, int], int] = {}
    families: tuple[list[Range], list[Range]] = ([], [])
    columns = prefixes.select("network", "prefix_ip_hi", "prefix_ip_lo", "prefix_length")
    of_row = np.empty(len(prefixes), np.int64)
    for row, (network, high, low, length) in enumerate(columns.iter_rows()):
        first = high << 64 | low
        key = (codes[network], first, length)
        number = numbers.setdefault(key, len(numbers))
        of_row[row] = number
        if number == len(families[0]) + len(families[1]):
            family = families[0 if first >> 32 == int(_MAPPED) else 1]
            family.append(Range(key[0], first, first | (1 << 128 - length) - 1, number))
    for family in families:
        family.sort(key=lambda one: (one.network, one.first, -one.last))
    return of_row, *families


def _rank(prefixes: pl.DataFrame) -> UInt8s:
    rank = pl.col("kind").replace_strict(_RANKS, default=_HIGHEST, return_dtype=pl.UInt8)
    declared = (pl.col("source") == SOURCE).fill_null(value=False).cast(pl.UInt8) * _DECLARED
    return prefixes.select(rank + declared).to_series().to_numpy()


def _leave(around: list[Range]) -> Cut:
    """After the innermost range the one around it is the longest again."""
    left = around.pop()
    return Cut(left.network, left.last + 1, around[-1].number if around else _NONE)
