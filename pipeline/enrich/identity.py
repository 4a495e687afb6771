"""
Who had an address: (network, ip, time) to an endpoint, or an honest no.

    (network, ip) --hash table--> address --search--> interval --> its owners

When the index is built, the rows of each address are cut at all their starts
and ends into elementary intervals [from, to), so that within one nothing
changes. An interval has no owner (unknown), one (resolved) or several
(ambiguous). Then a lookup is two steps on plain arrays, exact to the
microsecond, whatever the address family.

Owner: rows of one address alike in every column of `inventory.OWNER` speak of
the same owner, whatever their validity: where they overlap they do not
contend, and the one that starts first stands for them.

Time: a record is its owner's at its first packet. Where nobody is known to
have had the address then, it is unknown, even if somebody has it later. Where
another owner had it before the last packet, the address changed hands within
the record, and all of them are candidates.

Before: inventory.py. After: prefix.py.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipeline import schema
from pipeline.errors import InventoryError
from pipeline.inventory.file import OWNER

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

RESOLVED: Final = 0
AMBIGUOUS: Final = 1
UNKNOWN: Final = 2
"""Codes of `schema.RESOLUTION`."""

_ALWAYS: Final = np.iinfo(np.int64).min
_NEVER: Final = np.iinfo(np.int64).max
_COVERS: Final = 20_000_000
"""Intervals that rows may cover, beyond four each: n rows that never end cover n * n / 2."""

_LOW_32: Final = np.int64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    Owners of n addresses.

    Attributes
    ----------
    endpoint_id
        uint64[n]; means nothing unless resolved.
    resolution
        uint8[n], codes of `schema.RESOLUTION`.
    ambiguous
        int64[k], the ambiguous rows, ascending.
    candidate_count
        int64[k], how many contend for each.
    candidate_ids
        uint64[sum of counts], theirs, ascending within each row.
    """

    endpoint_id: UInt64s
    resolution: npt.NDArray[np.uint8]
    ambiguous: Int64s
    candidate_count: Int64s
    candidate_ids: UInt64s

    def columns(self, side: str) -> list[pl.Series]:
        """``{side}_endpoint_id``, ``{side}_resolution`` and ``{side}_candidate_ids``."""
        counts = np.zeros(len(self.resolution), np.int64)
        counts[self.ambiguous] = self.candidate_count
        offsets = np.concatenate([[0], np.cumsum(counts)])
        lists = pa.LargeListArray.from_arrays(
            pa.array(offsets), pa.array(self.candidate_ids), mask=pa.array(counts == 0)
        )
        ids = pa.array(self.endpoint_id, mask=self.resolution != RESOLVED)
        return [
            pl.Series(f"{side}_endpoint_id", ids),
            pl.Series(f"{side}_resolution", self.resolution).cat.to(schema.RESOLUTION),
            pl.Series(f"{side}_candidate_ids", lists, pl.List(pl.UInt64)),
        ]


class EndpointIndex:
    """
    Rows of `schema.ENDPOINTS`, arranged for lookup.

    Parameters
    ----------
    endpoints
        Rows with distinct ``endpoint_id``, as `inventory.load` gives them.
    network_codes
        Name of each network to its code, 0 or more.

    Raises
    ------
    InventoryError
        If so many rows of an address overlap that the intervals would not fit in memory.
    """

    def __init__(self, endpoints: pl.DataFrame, network_codes: Mapping[str, int]) -> None:
        codes = endpoints["network"].replace_strict(dict(network_codes)).cast(pl.Int64)
        self._addresses = AddressTable(
            codes.to_numpy(),
            endpoints["endpoint_ip_hi"].to_numpy(),
            endpoints["endpoint_ip_lo"].to_numpy(),
        )
        address = self._addresses.row_index
        begin = endpoints["valid_from"].to_physical().fill_null(_ALWAYS).to_numpy()
        end = endpoints["valid_to"].to_physical().fill_null(_NEVER).to_numpy()
        first, after = self._cut(address, begin, end)
        if int((after - first).sum()) > _COVERS + 4 * len(endpoints):
            row = endpoints.row(int(np.argmax(after - first)), named=True)
            ip = ipaddress.IPv6Address(row["endpoint_ip_hi"] << 64 | row["endpoint_ip_lo"])
            raise InventoryError(
                f"endpoints: too many rows hold at once, for instance of {ip.ipv4_mapped or ip} in"
                f" {row['network']!r}; set valid_to where an owner is gone"
            )
        self._assign(
            first,
            after,
            begin,
            _owners(endpoints, address),
            endpoints["endpoint_id"].to_numpy(),
        )

    def resolve(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s, time_us: Int64s) -> Resolved:
        """
        Owners at one instant.

        Parameters
        ----------
        network
            Codes; -1 where the network is not known.
        ip_hi, ip_lo
            Addresses, halves of the 16-byte form.
        time_us
            UTC microseconds.
        """
        return self.resolve_span(network, ip_hi, ip_lo, time_us, time_us)

    def resolve_span(
        self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s, start_us: Int64s, end_us: Int64s
    ) -> Resolved:
        """Owners at ``start_us``; ambiguous if another had the address by ``end_us``, inclusive."""
        address = self._addresses.find(network, ip_hi, ip_lo)
        first = self._interval(address, start_us)
        resolution = self._resolution[first]
        rows = np.flatnonzero(
            (resolution == AMBIGUOUS) | ((end_us >= self._to[first]) & (resolution == RESOLVED))
        )
        last = self._interval(address[rows], np.maximum(start_us[rows], end_us[rows]))
        spans, span = np.unique(first[rows] << 32 | last, return_inverse=True)
        counts, ids = self._contenders(spans >> 32, spans & _LOW_32)
        several = counts[span] > 1
        rows, span = rows[several], span[several]
        resolution[rows] = AMBIGUOUS
        before = np.cumsum(counts) - counts
        return Resolved(
            endpoint_id=self._endpoint_id[first],
            resolution=resolution,
            ambiguous=rows,
            candidate_count=counts[span],
            candidate_ids=ids[_ranges(before[span], counts[span])],
        )

    def _cut(self, address: Int64s, begin: Int64s, end: Int64s) -> tuple[Int64s, Int64s]:
        """
        Make the intervals, by (address, from): a cut where a row starts or ends.

        Returns the first interval of each row, and the one after its last.
        """
        closed = np.flatnonzero(end != _NEVER)
        addresses = np.concatenate([address, address[closed]])
        times = np.concatenate([begin, end[closed]])
        order = np.lexsort((times, addresses))
        new = _changes(addresses[order], times[order])
        at = np.empty(len(order), np.int64)
        at[order] = np.cumsum(new) - 1
        cuts = order[new]
        # One more address, which stands for every unknown one, with one interval, the empty one.
        self._empty = len(cuts)
        starts = np.searchsorted(addresses[cuts], np.arange(self._addresses.count + 1))
        self._first = starts
        self._latest = np.append(starts[1:] - 1, self._empty)
        self._from = np.append(times[cuts], _ALWAYS)
        self._to = np.append(self._from[1:], _NEVER)
        self._to[self._latest] = _NEVER
        after = starts[1:][address]  # a row that still holds covers all that follow
        after[closed] = at[len(address) :]
        return at[: len(address)], after

    def _assign(
        self, begin: Int64s, end: Int64s, valid_from: Int64s, owner: Int64s, ids: UInt64s
    ) -> None:
        """Give each interval the owners of the rows that cover it."""
        order = np.argsort(valid_from, kind="stable")
        begin, end, owner, ids = begin[order], end[order], owner[order], ids[order]
        interval = _ranges(begin, end - begin)
        row = np.repeat(np.arange(len(ids)), end - begin)
        order = np.lexsort((owner[row], interval))  # stable: the first to start stays first
        interval, row = interval[order], row[order]
        first = _changes(interval, owner[row])
        interval, row = interval[first], row[first]
        counts = np.bincount(interval, minlength=len(self._from))
        self._owners_at = np.concatenate([[0], np.cumsum(counts)])
        self._owner = owner[row]
        self._owner_id = ids[row]
        self._resolution = np.full(len(counts), UNKNOWN, np.uint8)
        self._resolution[counts == 1] = RESOLVED
        self._resolution[counts > 1] = AMBIGUOUS
        self._endpoint_id = np.zeros(len(counts), np.uint64)
        self._endpoint_id[interval] = self._owner_id  # means nothing where there are several

    def _interval(self, address: Int64s, time: Int64s) -> Int64s:
        """Interval of each address in which the time is; the empty one before the first."""
        found = self._latest[address]
        rows = np.flatnonzero(self._from[found] > time)  # most traffic is in the latest
        if not len(rows):
            return found
        low, wanted = self._first[address[rows]], time[rows]
        count = found[rows] - low  # it is in the first of these, if not before
        for _ in range(int(count.max()).bit_length()):
            half = count >> 1
            low += half * (self._from[low + half] <= wanted)
            count -= half
        found[rows] = np.where(self._from[low] > wanted, self._empty, low)
        return found

    def _contenders(self, first: Int64s, last: Int64s) -> tuple[Int64s, UInt64s]:
        """Distinct owners in each span of intervals: how many, and one id of each, ascending."""
        begin = self._owners_at[first]
        counts = self._owners_at[last + 1] - begin
        at = _ranges(begin, counts)
        span = np.repeat(np.arange(len(first)), counts)
        order = np.lexsort((self._owner[at], span))  # stable: the first interval stays first
        at, span = at[order], span[order]
        new = _changes(span, self._owner[at])
        ids, span = self._owner_id[at[new]], span[new]
        return np.bincount(span, minlength=len(first)), ids[np.lexsort((ids, span))]


class AddressTable:
    """
    Distinct (network, address) to 0, 1, 2..., exactly; ``count`` for any other.

    Addresses are sorted by hash; a bucket is a run of them, and there are
    more than four times as many buckets as rows, so nearly all hold 0 or 1.

    Attributes
    ----------
    row_index
        int64[rows], number of the address of each row it was built from.
    count
        How many are distinct.
    """

    def __init__(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s) -> None:
        bits = max(8, (4 * len(network)).bit_length())
        self._shift = np.uint64(64 - bits)
        bucket = self._bucket(network, ip_hi, ip_lo)
        order = np.lexsort((ip_lo, ip_hi, network, bucket))
        new = _changes(network[order], ip_hi[order], ip_lo[order])
        self.row_index = np.empty(len(order), np.int64)
        self.row_index[order] = np.cumsum(new) - 1
        self.count = int(new.sum())
        chosen = order[new]
        sizes = np.bincount(bucket[chosen], minlength=1 << bits)
        self._start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        # One more, which no address equals, for the empty buckets after the last.
        self._network = np.append(network[chosen], -2)
        self._hi = np.append(ip_hi[chosen], np.uint64(0))
        self._lo = np.append(ip_lo[chosen], np.uint64(0))

    def find(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s) -> Int64s:
        """Number of each address."""
        bucket = self._bucket(network, ip_hi, ip_lo)
        at = self._start[bucket]
        hit = self._lo[at] == ip_lo  # of an empty bucket: the next one's, which is never equal
        hit &= self._hi[at] == ip_hi
        hit &= self._network[at] == network
        found = np.where(hit, at, self.count).astype(np.int64)
        rows = np.flatnonzero(~hit)
        at = at[rows]
        while len(rows):
            at += 1
            more = at < self._start[bucket[rows] + 1]
            rows, at = rows[more], at[more]
            hit = (self._lo[at] == ip_lo[rows]) & (self._hi[at] == ip_hi[rows])
            hit &= self._network[at] == network[rows]
            found[rows[hit]] = at[hit]
            rows, at = rows[~hit], at[~hit]
        return found

    def _bucket(self, network: Int64s, ip_hi: UInt64s, ip_lo: UInt64s) -> Int64s:
        mixed = ip_lo * np.uint64(0x9E37_79B9_7F4A_7C15)
        mixed ^= ip_hi * np.uint64(0xC2B2_AE3D_27D4_EB4F)
        mixed ^= network.view(np.uint64) * np.uint64(0x1656_67B1_9E37_79F9)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xD6E8_FEB8_6659_FD93)
        return (mixed >> self._shift).view(np.int64)


def _owners(endpoints: pl.DataFrame, address: Int64s) -> Int64s:
    """Number the distinct owners: rows of one address alike in all of `OWNER`."""
    owner: Int64s = (
        endpoints.select(OWNER)
        .with_columns(pl.Series("address", address))
        .with_row_index("row")
        .group_by("address", *OWNER)
        .agg("row")
        .with_row_index("owner")
        .explode("row")
        .sort("row")
        .get_column("owner")
        .cast(pl.Int64)
        .to_numpy()
    )
    return owner


def _changes(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Where a row differs from the one before it in any column; the first always does."""
    new = np.zeros(len(columns[0]), np.bool_)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def _ranges(begin: Int64s, count: Int64s) -> Int64s:
    """``begin[0] .. begin[0] + count[0] - 1``, then the next, in one array."""
    before = np.cumsum(count) - count
    ranges: Int64s = np.arange(int(count.sum())) + np.repeat(begin - before, count)
    return ranges
