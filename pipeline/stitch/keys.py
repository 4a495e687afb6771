"""
64-bit keys by which records join: of names, addresses, sockets.

An address means something in its network, so a key holds network, address and
port. A public address is the same in every network: its network is the internet.

Before: __init__.py. After: records.py.
"""

from functools import reduce
from operator import xor
from typing import Final

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

from pipeline.inventory.file import INTERNET
from pipeline.inventory.numbers import PRIVATE

UInt64s = NDArray[np.uint64]

_PRIVATE_V4: Final = tuple(  # first address, bits
    (int(network.network_address), network.prefixlen)
    for network in PRIVATE
    if network.version == 4  # noqa: PLR2004 as in IPv4
)
_MAPPED: Final = 0xFFFF
INTERNET_NO: Final = np.uint64(xxhash.xxh3_64_intdigest(INTERNET.encode()))
_IN_CACHE: Final = 1 << 14
"""Rows at a time, so that what is made of them on the way needs no memory of its own."""
GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def mix(*parts: UInt64s) -> UInt64s:
    """
    One number of several, the same in every version: splitmix64, part by part.

    >>> int(mix(np.array([1], np.uint64), np.array([2], np.uint64))[0])
    13608149317741381227
    """
    mixed = np.zeros(len(parts[0]), np.uint64)
    for first in range(0, len(mixed), _IN_CACHE):
        rows = slice(first, first + _IN_CACHE)
        some = mixed[rows]
        for part in parts:
            some += part[rows] + GOLDEN
            some ^= some >> np.uint64(30)
            some *= np.uint64(0xBF58476D1CE4E5B9)
            some ^= some >> np.uint64(27)
            some *= np.uint64(0x94D049BB133111EB)
            some ^= some >> np.uint64(31)
    return mixed


def number(values: pl.Series) -> UInt64s:
    """Numbers of names of which there are few, the same in every version; 0 for null."""
    names = values.unique().drop_nulls().to_list()
    known = [xxhash.xxh3_64_intdigest(name.encode()) for name in names]
    places = values.cast(pl.Enum(names)).to_physical().cast(pl.UInt32).fill_null(len(names))
    return np.array([*known, 0], np.uint64)[places]


def is_public(high: UInt64s, low: UInt64s) -> NDArray[np.bool_]:
    """Whether addresses mean the same in every network."""
    public = np.empty(len(low), np.bool_)
    for first in range(0, len(low), _IN_CACHE):
        rows = slice(first, first + _IN_CACHE)
        public[rows] = _is_public(high[rows], low[rows])
    return public


def _is_public(high: UInt64s, low: UInt64s) -> NDArray[np.bool_]:
    v4 = (high == 0) & (low >> np.uint64(32) == _MAPPED)
    v4_private = np.zeros(len(low), np.bool_)
    last_32 = low.astype(np.uint32)
    for first, bits in _PRIVATE_V4:
        v4_private |= last_32 - np.uint32(first) < np.uint32(1 << 32 - bits)
    if v4.all():
        return ~v4_private
    unique_local = high >> np.uint64(57) == 0xFC >> 1
    link_local = high >> np.uint64(54) == 0xFE80 >> 6
    v6_private = unique_local | link_local | ((high == 0) & (low <= np.uint64(1)))
    return np.where(v4, ~v4_private, ~v6_private)


def socket(rows: pl.DataFrame, network: UInt64s, end: str) -> tuple[UInt64s, NDArray[np.bool_]]:
    """Key of network, address and port of one end, and whether there is one."""
    names = [f"{end}_ip_hi", f"{end}_ip_lo", f"{end}_port"]
    high, low, port = (rows[name].cast(pl.UInt64).fill_null(0).to_numpy() for name in names)
    there = np.where(is_public(high, low), INTERNET_NO, network)
    known = rows.select(pl.all_horizontal(pl.col(names).is_not_null())).to_series().to_numpy()
    return mix(there, high, low, port), known & (network != 0)


def nullable(name: str, values: UInt64s, known: NDArray[np.bool_]) -> pl.Series:
    """A column that is null where nothing is known."""
    frame = pl.DataFrame({name: values, "known": known})
    return frame.select(pl.when("known").then(name)).to_series()


def places(ids: pl.Series, known: pl.Series) -> pl.Series:
    """Where ids are among those known, each of which is there once; null if it is not."""
    numbers = pl.int_range(len(known), dtype=pl.UInt32, eager=True)
    return ids.replace_strict(known, numbers, default=None, return_dtype=pl.UInt32)


def hashed(*columns: str | pl.Expr) -> pl.Expr:
    """One number of columns, in this process: a quarter of hashing them as a struct."""
    told = (pl.col(column) if isinstance(column, str) else column for column in columns)
    return reduce(xor, (column.hash(nth) for nth, column in enumerate(told)))
