"""
Endpoints that change: a large index that stands, and a small one that is asked first.

    changes --> overlay: every address touched since the base, with all its rows
                base:    everything else

An address that was touched is answered by the overlay alone, and if no row of
it is left, the answer is that nobody has it. When the overlay has grown, a new
base is built of both in the background; until it is there, and for what is
touched meanwhile, the overlay goes on answering. So what is found never depends
on when that ends.

Before: identity.py. After: identities.py.
"""

import ipaddress
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import polars as pl

from pipeline.enrich.addresses import AddressTable
from pipeline.enrich.identity import KEY, EndpointIndex, Resolved, addresses, lives
from pipeline.enrich.timeline import Bools, Int64s, TooManyHoldError, UInt64s
from pipeline.errors import InventoryError

OVERLAY_ROWS: Final = 100_000
"""Rows and addresses of an overlay from which on a new base is worth its while..."""
OVERLAY_SHARE: Final = 16
"""... and so is a sixteenth of the base."""


@dataclass(frozen=True, slots=True)
class _Built:
    """An index and the `lives` it was built of."""

    rows: pl.DataFrame
    index: EndpointIndex


@dataclass(frozen=True, slots=True)
class _Overlay:
    """Addresses that were touched, their rows, and the index of both."""

    touched: pl.DataFrame
    rows: pl.DataFrame
    index: EndpointIndex


@dataclass(frozen=True, slots=True)
class _Rebuild:
    """A base that is being built, and the addresses touched since."""

    base: Future[_Built]
    touched: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Who had which address; a value that never changes, `changed` gives the next one."""

    base: _Built
    overlay: _Overlay | None = None
    rebuild: _Rebuild | None = None

    @classmethod
    def of(cls, endpoints: pl.DataFrame, network_codes: Mapping[str, int]) -> Self:
        """
        Arrange rows of `schema.ENDPOINTS`.

        Raises
        ------
        InventoryError
            If so many rows of an address overlap that the intervals would not fit in memory.
        """
        rows = lives(endpoints, network_codes)
        try:
            return cls(_built(rows))
        except TooManyHoldError as error:
            raise _too_many(rows, error.row, network_codes) from error

    def changed(
        self, touched: pl.DataFrame, endpoints: pl.DataFrame, network_codes: Mapping[str, int]
    ) -> Self:
        """
        Take all rows of the addresses that changed; those without rows are nobody's.

        Parameters
        ----------
        touched
            ``network``, ``endpoint_ip_hi``, ``endpoint_ip_lo`` of the addresses.
        endpoints
            Rows of `schema.ENDPOINTS`: all that there are of these addresses.

        Raises
        ------
        InventoryError
            As `of`.
        """
        base, overlay, rebuild = self._settled()
        fresh = lives(endpoints, network_codes)
        keys = pl.concat([touched.select(addresses("endpoint", network_codes)), fresh[KEY]])
        keys = keys.unique()
        if rebuild:
            rebuild = replace(rebuild, touched=pl.concat([rebuild.touched, keys]).unique())
        if overlay:
            kept = overlay.rows.join(keys, on=KEY, how="anti")
            keys = pl.concat([overlay.touched, keys]).unique()
            fresh = pl.concat([kept, fresh])
        try:
            index = EndpointIndex(fresh, keys)
        except TooManyHoldError as error:
            raise _too_many(fresh, error.row, network_codes) from error
        overlay = _Overlay(keys, fresh, index)
        size = len(keys) + len(fresh)
        if not rebuild and size > min(OVERLAY_ROWS, max(len(base.rows) // OVERLAY_SHARE, 1_000)):
            rebuild = _Rebuild(_start(base, overlay), keys.clear())
        return type(self)(base, overlay, rebuild)

    @property
    def addresses(self) -> AddressTable:
        """Those of the base."""
        return self.base.index.addresses

    def resolve_span(
        self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s, start_us: Int64s, end_us: Int64s
    ) -> Resolved:
        """As `EndpointIndex.resolve_span`; a touched address has no number in `addresses`."""
        base = self.base.index
        if self.overlay is None:
            return base.resolve_span(network, ip_hi, ip_lo, start_us, end_us)
        index = self.overlay.index
        number = index.addresses.find(network, ip_hi, ip_lo)
        mine = number != index.addresses.count
        if not mine.any():
            return base.resolve_span(network, ip_hi, ip_lo, start_us, end_us)
        touched, others = np.flatnonzero(mine), np.flatnonzero(~mine)
        return _merged(
            np.full(len(mine), base.addresses.count),
            mine,
            index.resolve_numbers(number[touched], start_us[touched], end_us[touched]),
            base.resolve_span(
                network[others], ip_hi[others], ip_lo[others], start_us[others], end_us[others]
            ),
        )

    def _settled(self) -> tuple[_Built, _Overlay | None, _Rebuild | None]:
        """With the new base, if it is there: the overlay is then what was touched since."""
        if self.rebuild is None or self.overlay is None or not self.rebuild.base.done():
            return self.base, self.overlay, self.rebuild
        try:
            base = self.rebuild.base.result()
        except TooManyHoldError:  # together too much for memory, apart they were not
            return self.base, self.overlay, None
        touched = self.rebuild.touched
        rows = self.overlay.rows.join(touched, on=KEY, how="semi")
        return base, _Overlay(touched, rows, self.overlay.index), None


def _built(rows: pl.DataFrame) -> _Built:
    return _Built(rows, EndpointIndex(rows))


def _too_many(rows: pl.DataFrame, row: int, network_codes: Mapping[str, int]) -> InventoryError:
    code, high, low = rows.select(KEY).row(row)
    network = next(name for name, number in network_codes.items() if number == code)
    ip = ipaddress.IPv6Address(high << 64 | low)
    return InventoryError(
        f"endpoints: too many rows hold at once, for instance of {ip.ipv4_mapped or ip} in"
        f" {network!r}; set valid_to where an owner is gone"
    )


def _start(base: _Built, overlay: _Overlay) -> Future[_Built]:
    """Build a new base in the background."""

    def build() -> _Built:
        kept = base.rows.join(overlay.touched, on=KEY, how="anti")
        return _built(pl.concat([kept, overlay.rows]).rechunk())

    with_one_thread = ThreadPoolExecutor(1, thread_name_prefix="endpoints")
    future = with_one_thread.submit(build)
    with_one_thread.shutdown(wait=False)
    return future


def _merged(number: Int64s, mine: Bools, here: Resolved, there: Resolved) -> Resolved:
    """Put answers back where their questions were: those of ``mine``, and the others."""
    touched, others = np.flatnonzero(mine), np.flatnonzero(~mine)

    def both(name: str) -> np.ndarray:
        left = getattr(here, name)
        column = np.empty(len(mine), left.dtype)
        column[touched], column[others] = left, getattr(there, name)
        return column

    number[others] = there.number
    return Resolved(
        number,
        both("endpoint_id"),
        both("resolution"),
        both("method"),
        np.concatenate([touched[here.candidate_row], others[there.candidate_row]]),
        np.concatenate([here.candidate_id, there.candidate_id]),
    )
