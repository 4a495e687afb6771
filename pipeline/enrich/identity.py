"""
Who had an address: (network, ip, time) to an endpoint, or an honest no.

    (network, ip) --addresses.py--> number --timeline.py--> interval --> its owners

An interval has no owner (unknown), one (resolved) or several (ambiguous). A
lookup is two steps on plain arrays, exact to the microsecond, whatever the
address family.

Owner: rows of one address alike in every column of `inventory.OWNER` speak of
the same owner, whatever their validity: where they overlap they do not
contend, and the one that begins first stands for them. They are compared by a
64-bit hash, within one address.

Rank: a cloud's network interface, or a range somebody named, says less than a
machine of a cloud, that less than a node, and a node less than a pod, a VM that
a mesh or a file tells of, a load balancer, a gateway or a service at the same
address: within an interval only the highest contend, so that an interface behind
a pod makes nothing ambiguous, nor the machine that a node is. Of one rank, those observed at
the time come before those that say so of themselves (``seen_from``, ``seen_to``).

Time: a record is its owner's at its first packet. Where nobody is known to
have had the address then, it is unknown, even if somebody has it later. Where
another owner of the same rank or a higher had it before the last packet, the
address changed hands within the record, and all of them are candidates.

Before: inventory/. After: overlay.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pipeline.enrich.addresses import AddressTable
from pipeline.enrich.timeline import (
    ALWAYS,
    NEVER,
    Int64s,
    Timeline,
    TooManyHoldError,
    UInt8s,
    UInt64s,
    ranges,
)
from pipeline.inventory.file import OWNER

RESOLVED: Final = 0
AMBIGUOUS: Final = 1
UNKNOWN: Final = 2
"""Codes of `schema.RESOLUTION`."""

EXACT: Final = 0
SERVICE: Final = 1
GATEWAY: Final = 2
"""Codes of `schema.METHOD`."""

_RANKS: Final = {"interface": 0, "external": 0, "node": 4}
_MACHINE: Final = 2
_HIGHEST: Final = 6
_CLOUDS: Final = ["aws", "gcp", "azure", "netbox"]
"""Sources to which a node is one machine of many: what they call ``vm`` ranks as `_MACHINE`."""
_OBSERVED: Final = 1
"""Ranks: the kind's, and one more while it is observed."""

_METHODS: Final = {"service": SERVICE, "gateway": GATEWAY}

KEY: Final = ["network", "ip_hi", "ip_lo"]
"""Columns of an address in frames of `lives`."""

_LOW_32: Final = np.int64(0xFFFF_FFFF)


def lives(endpoints: pl.DataFrame, network_codes: Mapping[str, int]) -> pl.DataFrame:
    """
    Rows of `schema.ENDPOINTS` as numbers: all that the index knows of them.

    Returns
    -------
    DataFrame
        `KEY` (Int64 code, UInt64, UInt64); ``begin``, ``end``, ``seen_from``, ``seen_to``
        (Int64, microseconds, not null); ``rank``, ``method`` (UInt8); ``owner``,
        ``endpoint_id`` (UInt64).
    """
    begin = pl.col("valid_from").to_physical().fill_null(ALWAYS)
    end = pl.col("valid_to").to_physical().fill_null(NEVER)
    kind = pl.col("kind")
    return endpoints.select(
        [
            *addresses("endpoint", network_codes),
            begin.alias("begin"),
            end.alias("end"),
            pl.col("seen_from").to_physical().fill_null(begin).clip(begin, end).alias("seen_from"),
            pl.col("seen_to").to_physical().fill_null(end).clip(begin, end).alias("seen_to"),
            pl.when((kind == "vm") & pl.col("source").is_in(_CLOUDS))
            .then(pl.lit(_MACHINE, pl.UInt8))
            .otherwise(kind.replace_strict(_RANKS, default=_HIGHEST, return_dtype=pl.UInt8))
            .alias("rank"),
            kind.replace_strict(_METHODS, default=EXACT, return_dtype=pl.UInt8).alias("method"),
            endpoints.select(OWNER).hash_rows().alias("owner"),
            pl.col("endpoint_id"),
        ]
    )


def addresses(name: str, network_codes: Mapping[str, int]) -> list[pl.Expr]:
    """`KEY` of columns ``network``, ``{name}_ip_hi`` and ``{name}_ip_lo``."""
    network = pl.col("network").replace_strict(dict(network_codes), return_dtype=pl.Int64)
    return [network, pl.col(f"{name}_ip_hi").alias("ip_hi"), pl.col(f"{name}_ip_lo").alias("ip_lo")]


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    Owners of n addresses.

    Attributes
    ----------
    number
        int64[n], those of the addresses in the index.
    endpoint_id
        uint64[n]; means nothing unless resolved.
    resolution
        uint8[n], codes of `schema.RESOLUTION`.
    method
        uint8[n], `EXACT`, `SERVICE` or `GATEWAY`; means nothing if unknown.
    candidate_row
        int64[k], the ambiguous rows, each as often as it has contenders.
    candidate_id
        uint64[k], theirs.
    """

    number: Int64s
    endpoint_id: UInt64s
    resolution: UInt8s
    method: UInt8s
    candidate_row: Int64s
    candidate_id: UInt64s


class EndpointIndex:
    """
    Endpoints, arranged for lookup.

    Parameters
    ----------
    rows
        A frame of `lives`.
    gone
        Columns `KEY`: further addresses, of which it is known that nobody has them.

    Attributes
    ----------
    addresses
        Number of each address.

    Raises
    ------
    TooManyHoldError
        If so many rows of an address overlap that the intervals would not fit in memory.
    """

    def __init__(self, rows: pl.DataFrame, gone: pl.DataFrame | None = None) -> None:
        keys = rows.select(KEY) if gone is None else pl.concat([rows.select(KEY), gone])
        self.addresses = AddressTable(*(keys[name].to_numpy() for name in KEY))
        row, begin, end, rank = _pieces(rows)
        try:
            timeline = Timeline(
                self.addresses.row_index[row],
                self.addresses.count,
                begin=begin,
                end=end,
                rank=rank,
                owner=rows["owner"].to_numpy()[row],
            )
        except TooManyHoldError as error:
            raise TooManyHoldError(int(row[error.row])) from error
        self._timeline = timeline
        self._row = row
        self._ids = rows["endpoint_id"].to_numpy()
        state = np.array([UNKNOWN, RESOLVED, AMBIGUOUS], np.uint8)[np.minimum(timeline.count, 2)]
        one = np.append(row, 0)[timeline.row]
        method = np.append(rows["method"].to_numpy(), np.uint8(EXACT))[one]
        method[state != RESOLVED] = EXACT
        self._state: UInt8s = np.bitwise_or(state, np.left_shift(method, np.uint8(2)))
        self._endpoint_id = np.append(self._ids, np.uint64(0))[one]

    def resolve_span(
        self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s, start_us: Int64s, end_us: Int64s
    ) -> Resolved:
        """
        Owners at ``start_us``; ambiguous if another had the address by ``end_us``, inclusive.

        Parameters
        ----------
        network
            Codes; -1 where the network is not known.
        ip_hi, ip_lo
            Addresses, halves of the 16-byte form.
        start_us, end_us
            UTC microseconds.
        """
        return self.resolve_numbers(self.addresses.find(network, ip_hi, ip_lo), start_us, end_us)

    def resolve_numbers(self, number: Int64s, start_us: Int64s, end_us: Int64s) -> Resolved:
        """As `resolve_span`, of addresses by their number."""
        timeline = self._timeline
        first = timeline.at(number, start_us)
        state = self._state[first]
        resolution: UInt8s = np.bitwise_and(state, np.uint8(3))
        rows = np.flatnonzero(
            (resolution == AMBIGUOUS)
            | ((end_us >= timeline.until[first]) & (resolution == RESOLVED))
        )
        last = timeline.at(number[rows], np.maximum(start_us[rows], end_us[rows]))
        spans, span = np.unique(first[rows] << 32 | last, return_inverse=True)
        counts, owners = timeline.contenders(spans >> 32, spans & _LOW_32)
        several = counts[span] > 1
        rows, span = rows[several], span[several]
        resolution[rows] = AMBIGUOUS
        method: UInt8s = np.right_shift(state, np.uint8(2))
        method[rows] = EXACT
        before = np.cumsum(counts) - counts
        return Resolved(
            number=number,
            endpoint_id=self._endpoint_id[first],
            resolution=resolution,
            method=method,
            candidate_row=np.repeat(rows, counts[span]),
            candidate_id=self._ids[self._row[owners[ranges(before[span], counts[span])]]],
        )


def _pieces(rows: pl.DataFrame) -> tuple[Int64s, Int64s, Int64s, UInt8s]:
    """
    Row, begin, end and rank of what is known of each row: before, while and after it was observed.

    Those of one row are one owner's, so only the rank changes from one to the next.
    """
    begin, seen_from, seen_to, end = (
        rows[name].to_numpy() for name in ("begin", "seen_from", "seen_to", "end")
    )
    rank = rows["rank"].to_numpy()
    seen_to = np.maximum(seen_from, seen_to)
    whole = np.arange(len(rows))
    parts = [
        (part, low[part], high[part], rank[part] | np.uint8(observed))
        for low, high, observed in (
            (seen_from, seen_to, _OBSERVED),
            (begin, seen_from, 0),
            (seen_to, end, 0),
        )
        for part in [whole[low < high]]
    ]
    row, low, high, ranks = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, low, high, ranks
