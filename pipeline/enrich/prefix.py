"""
Which range an address is in: the longest declared prefix of its network.

Prefixes nest or are apart, so they cut the addresses of a network into disjoint
intervals, each of which the longest prefix over it owns. A lookup is one
binary search for the interval's first address: on (network, v4) in one 64-bit
number, or for IPv6 on the high half, then on the low half.

A prefix of one address family says nothing of the other: ``::/0`` is not the
default of IPv4. A range that two different rows of a network claim is nobody's,
and the addresses for which it is the longest match have no prefix: not that of
one claimant, and not the shorter one around it.

Before: identity.py. After: __init__.py (both sides of flows and requests).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.enrich.identity import Int64s, UInt64s

_LOW_32: Final = np.uint64(0xFFFF_FFFF)
_LOW_64: Final = (1 << 64) - 1
_MAPPED: Final = np.uint64(0xFFFF)
"""High 32 of the low 64 bits of a v4-mapped address; its high 64 bits are 0."""

_V4_END: Final = 0x1_0000 << 32
_V6_END: Final = 1 << 128
"""Not an address any more: where a range ends there, nothing has to be cut."""

_NONE: Final = -1


class Range(NamedTuple):
    """One prefix: network code, first and last address, row of the frame or -1 if contested."""

    network: int
    first: int
    last: int
    row: int


class Cut(NamedTuple):
    """From this address of this network on, up to the next cut, the row holds."""

    network: int
    first: int
    row: int


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
        self._ids = np.append(prefixes["prefix_id"].to_numpy(), np.uint64(0))  # last: no prefix
        self._networks = max(network_codes.values(), default=_NONE) + 1
        v4, v6 = _ranges(prefixes, network_codes)
        self._v4 = _V4([cut for cut in _cuts(v4, self._networks) if cut.first < _V4_END])
        self._v6 = _V6([cut for cut in _cuts(v6, self._networks) if cut.first < _V6_END])

    def find(
        self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s
    ) -> tuple[UInt64s, npt.NDArray[np.bool_]]:
        """
        Longest match of each address.

        Parameters
        ----------
        network
            Codes; -1 where the network is not known.
        ip_hi, ip_lo
            Addresses, halves of the 16-byte form.

        Returns
        -------
        tuple
            ``prefix_id``, which means nothing where there is none, and where there is one.
        """
        is_v4 = (ip_hi == 0) & (ip_lo >> np.uint64(32) == _MAPPED)
        code = np.where(network < 0, self._networks, network).view(np.uint64)
        if is_v4.all():
            row = self._v4.find(code, ip_lo)
        else:
            row = np.empty(len(code), np.int64)
            row[is_v4] = self._v4.find(code[is_v4], ip_lo[is_v4])
            other = ~is_v4
            row[other] = self._v6.find(code[other], ip_hi[other], ip_lo[other])
        return self._ids[row], row != _NONE


class _V4:
    """Cuts as network << 32 | address."""

    def __init__(self, cuts: list[Cut]) -> None:
        self._key = np.array(
            [cut.network << 32 | cut.first & int(_LOW_32) for cut in cuts], np.uint64
        )
        self._row = np.array([cut.row for cut in cuts], np.int64)

    def find(self, network: UInt64s, ip_lo: UInt64s) -> Int64s:
        key = network << np.uint64(32) | ip_lo & _LOW_32
        return self._row[np.searchsorted(self._key, key, side="right") - 1]


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
        self._row = np.array([cut.row for cut in cuts], np.int64)

    def find(self, network: UInt64s, ip_hi: UInt64s, ip_lo: UInt64s) -> Int64s:
        wanted = self._group_key(network, ip_hi)
        group = np.searchsorted(self._group, wanted, side="right") - 1
        inside = (self._group[group] == wanted) & (self._high[self._high_rank(ip_hi)] == ip_hi)
        low = np.where(inside, self._low_rank(ip_lo), _LOW_32)  # else after all of the group
        key = group.view(np.uint64) << np.uint64(32) | low
        return self._row[np.searchsorted(self._key, key, side="right") - 1]

    def _group_key(self, network: UInt64s, high: UInt64s) -> UInt64s:
        return network << np.uint64(32) | self._high_rank(high)

    def _high_rank(self, high: UInt64s) -> UInt64s:
        """Rank of the last cut at or before; every network has a cut at 0."""
        return (np.searchsorted(self._high, high, side="right") - 1).view(np.uint64)

    def _low_rank(self, low: UInt64s) -> UInt64s:
        return (np.searchsorted(self._low, low, side="right") - 1).view(np.uint64)


def _ranges(prefixes: pl.DataFrame, codes: Mapping[str, int]) -> tuple[list[Range], list[Range]]:
    """Ranges of IPv4 and of IPv6, by (network, first, longest last); each range once."""
    found: tuple[dict[Range, int], dict[Range, int]] = ({}, {})
    columns = prefixes.select("network", "prefix_ip_hi", "prefix_ip_lo", "prefix_length")
    for row, (network, high, low, length) in enumerate(columns.iter_rows()):
        first = high << 64 | low
        one = Range(codes[network], first, first | (1 << 128 - length) - 1, 0)
        family = found[0 if first >> 32 == int(_MAPPED) else 1]
        family[one] = _NONE if one in family else row
    v4, v6 = (
        sorted(
            (one._replace(row=row) for one, row in family.items()),
            key=lambda one: (one.network, one.first, -one.last),
        )
        for family in found
    )
    return v4, v6


def _cuts(ranges: Iterable[Range], networks: int) -> Iterator[Cut]:
    """Where the longest match changes, in order; every network starts with a cut to nothing."""
    by_network: dict[int, list[Range]] = {network: [] for network in range(networks)}
    for one in ranges:
        by_network[one.network].append(one)
    for network, inside in by_network.items():
        yield from _network_cuts(network, inside)
    yield Cut(networks, 0, _NONE)  # every network nobody declared


def _network_cuts(network: int, ranges: Iterable[Range]) -> Iterator[Cut]:
    yield Cut(network, 0, _NONE)
    around: list[Range] = []  # the ranges we are in, the longest prefix last
    for one in ranges:
        while around and around[-1].last < one.first:
            yield _leave(around)
        yield Cut(network, one.first, one.row)
        around.append(one)
    while around:
        yield _leave(around)


def _leave(around: list[Range]) -> Cut:
    """After the innermost range its parent holds again."""
    left = around.pop()
    return Cut(left.network, left.last + 1, around[-1].row if around else _NONE)
