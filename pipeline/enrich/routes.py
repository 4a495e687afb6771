"""
What leads out of a network: networks it is routed to, and gateways.

Before: prefix.py. After: sides.py.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl

from pipeline.enrich.addresses import AddressTable
from pipeline.enrich.identity import addresses
from pipeline.enrich.timeline import (
    ALWAYS,
    NEVER,
    Int64s,
    Timeline,
    TooManyHoldError,
    UInt64s,
)
from pipeline.errors import InventoryError

_PAIR: Final = 32
"""A pair of networks as one number: their codes, 32 bits each."""

_SIEVE_BITS: Final = 16
_MIXER: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


class PeeringIndex:
    """
    Rows of `schema.PEERINGS`: the networks that each is routed to, and when.

    A peering is not passed on: what a peer is routed to is not routed to here.
    """

    def __init__(self, peerings: pl.DataFrame, network_codes: Mapping[str, int]) -> None:
        here, there = (
            peerings[name].replace_strict(dict(network_codes), return_dtype=pl.Int64).to_numpy()
            for name in ("network", "peer_network")
        )
        pairs, number = np.unique(here << _PAIR | there, return_inverse=True)
        self._peer = pairs & np.int64((1 << _PAIR) - 1)
        self._first = np.searchsorted(pairs >> _PAIR, np.arange(len(network_codes) + 1))
        self._timeline = _held(peerings, number, len(pairs), "peerings")

    def peers(self, network: Int64s, time_us: Int64s) -> Iterator[tuple[Int64s, Int64s]]:
        """Rows and a network that each is routed to then; every peer of a row comes once."""
        known = np.flatnonzero((network >= 0) & (network < len(self._first) - 1))
        pair = self._first[network[known]]
        after = self._first[network[known] + 1]
        while True:
            more = pair < after
            known, pair, after = known[more], pair[more], after[more]
            if not len(known):
                return
            held = self._timeline.count[self._timeline.at(pair, time_us[known])] > 0
            if held.any():
                yield known[held], self._peer[pair[held]]
            pair = pair + 1


class GatewayIndex:
    """Rows of `schema.GATEWAYS`: addresses that lead into another network, and when."""

    def __init__(self, gateways: pl.DataFrame, network_codes: Mapping[str, int]) -> None:
        keys = gateways.select(addresses("gateway", network_codes))
        self._addresses = AddressTable(*(keys[name].to_numpy() for name in keys.columns))
        number = self._addresses.row_index
        self._timeline = _held(gateways, number, self._addresses.count, "gateways")
        self._sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
        self._sieve[_sieved(keys["ip_lo"].to_numpy())] = True

    def has(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s, time_us: Int64s) -> Int64s:
        """Which rows are of a gateway then, seen from this network."""
        rows = np.flatnonzero(self._sieve[_sieved(ip_lo)])  # gateways are few: nearly none is left
        number = self._addresses.find(network[rows], ip_hi[rows], ip_lo[rows])
        held = self._timeline.count[self._timeline.at(number, time_us[rows])] > 0
        return rows[held]


def _sieved(ip_lo: UInt64s) -> Int64s:
    return (ip_lo * _MIXER >> np.uint64(64 - _SIEVE_BITS)).view(np.int64)


def _held(rows: pl.DataFrame, key: Int64s, keys: int, table: str) -> Timeline:
    """When any row of a key holds: all are one owner's."""
    same = np.zeros(len(rows), np.int64)
    try:
        return Timeline(
            key,
            keys,
            begin=rows["valid_from"].to_physical().fill_null(ALWAYS).to_numpy(),
            end=rows["valid_to"].to_physical().fill_null(NEVER).to_numpy(),
            rank=same.astype(np.uint8),
            owner=same,
        )
    except TooManyHoldError as error:
        row = rows.row(error.row, named=True)
        raise InventoryError(f"{table}: too many rows hold at once, for instance {row}") from error
