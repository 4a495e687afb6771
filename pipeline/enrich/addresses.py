"""
Addresses to numbers: (network, ip) to 0, 1, 2..., exactly.

Before: identity.py and routes.py, which say what is known of each. After: them.
"""

import numpy as np

from pipeline.enrich.timeline import Int64s, UInt64s, changes


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
        new = changes(network[order], ip_hi[order], ip_lo[order])
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

    @property
    def addresses(self) -> tuple[Int64s, UInt64s, UInt64s]:
        """Network, high and low half of each, by number."""
        return self._network[:-1], self._hi[:-1], self._lo[:-1]

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
