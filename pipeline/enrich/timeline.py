"""
What held of a key, and when: rows with [begin, end), cut where anything changes.

    key --> its intervals, in order --search--> interval --> the rows that hold in it

The rows of each key are cut at all their begins and ends into elementary
intervals, so that within one nothing changes. In each interval the rows of the
highest rank contend, and lower ones are as if they were not there. Rows of one
owner do not contend: the one that begins first stands for them.

Before: identity.py, prefix.py and routes.py, which say what the keys are. After: them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
UInt8s = npt.NDArray[np.uint8]

ALWAYS: Final = np.iinfo(np.int64).min
NEVER: Final = np.iinfo(np.int64).max
COVERS: Final = 20_000_000
"""Intervals that rows may cover, beyond four each: n rows that never end cover n * n / 2."""


class TooManyHoldError(Exception):
    """So many rows of a key overlap that the intervals would not fit in memory."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


class Timeline:
    """
    Rows by key and time.

    Parameters
    ----------
    key
        int64[n], 0 up to ``keys``.
    keys
        How many keys there are; key ``keys`` is allowed in questions, and nothing holds of it.
    begin, end
        int64[n], microseconds; ``ALWAYS`` and ``NEVER`` where open.
    rank
        uint8[n], the highest contends. Its bits above the lowest are its class: over a span
        of time only what is of the first interval's class, or a higher one, contends.
    owner
        64-bit integers [n]; equal: not in contention.

    Attributes
    ----------
    count
        int64[intervals], distinct owners that contend.
    row
        int64[intervals], row of the owner; means nothing unless ``count`` is 1.
    until
        int64[intervals], when each ends.
    empty
        Number of the interval in which nothing holds of any key.

    Raises
    ------
    TooManyHoldError
        With the row that covers most intervals.
    """

    def __init__(
        self,
        key: Int64s,
        keys: int,
        *,
        begin: Int64s,
        end: Int64s,
        rank: UInt8s,
        owner: UInt64s | Int64s,
    ) -> None:
        first, after = self._cut(key, keys, begin, end)
        covered = np.maximum(after - first, 0)
        if int(covered.sum()) > COVERS + 4 * len(key):
            raise TooManyHoldError(int(np.argmax(covered)))
        self._assign(first, covered, begin, rank, owner)

    def at(self, key: Int64s, time: Int64s) -> Int64s:
        """Interval of each key in which the time is; the empty one before the first."""
        found = self._latest[key]
        rows = np.flatnonzero(self._latest_from[key] > time)  # most traffic is in the latest
        if not len(rows):
            return found
        low, wanted = self._first[key[rows]], time[rows]
        count = found[rows] - low  # it is in the first of these, if not before
        for _ in range(int(count.max()).bit_length()):
            half = count >> 1
            low += half * (self._from[low + half] <= wanted)
            count -= half
        found[rows] = np.where(self._from[low] > wanted, self.empty, low)
        return found

    def contenders(self, first: Int64s, last: Int64s) -> tuple[Int64s, Int64s]:
        """
        Distinct owners in each span of intervals, of the class that its first has, or higher.

        Returns how many, and a row of each, those of one span together.
        """
        begin = self._owners_at[first]
        counts = self._owners_at[last + 1] - begin
        at = ranges(begin, counts)
        span = np.repeat(np.arange(len(first)), counts)
        kept = self._class[at] >= self._class[begin][span]
        at, span = at[kept], span[kept]
        order = np.lexsort((self._owner[at], span))  # stable: the first interval stays first
        at, span = at[order], span[order]
        new = changes(span, self._owner[at])
        return np.bincount(span[new], minlength=len(first)), self._owner_row[at[new]]

    def _cut(self, key: Int64s, keys: int, begin: Int64s, end: Int64s) -> tuple[Int64s, Int64s]:
        """
        Make the intervals, by (key, from): a cut where a row begins or ends.

        Returns the first interval of each row, and the one after its last.
        """
        closed = np.flatnonzero(end != NEVER)
        cut_keys = np.concatenate([key, key[closed]])
        times = np.concatenate([begin, end[closed]])
        order = np.lexsort((times, cut_keys))
        new = changes(cut_keys[order], times[order])
        at = np.empty(len(order), np.int64)
        at[order] = np.cumsum(new) - 1
        cuts = order[new]
        self.empty = len(cuts)
        # One more key, which stands for every unknown one, with the empty interval only.
        starts = np.searchsorted(cut_keys[cuts], np.arange(keys + 1))
        self._first = starts
        self._latest = np.append(starts[1:] - 1, self.empty)
        self._latest[:-1][starts[1:] == starts[:-1]] = self.empty  # a key without rows
        self._from = np.append(times[cuts], ALWAYS)
        self._latest_from = self._from[self._latest]
        self.until = np.append(self._from[1:], NEVER)
        self.until[self._latest] = NEVER
        after = starts[1:][key]  # a row that still holds covers all that follow
        after[closed] = at[len(key) :]
        return at[: len(key)], after

    def _assign(
        self,
        first: Int64s,
        covered: Int64s,
        begin: Int64s,
        rank: UInt8s,
        owner: UInt64s | Int64s,
    ) -> None:
        """Give each interval the owners of the highest rank of the rows that cover it."""
        by_begin = np.argsort(begin, kind="stable")
        covered = covered[by_begin]
        interval = ranges(first[by_begin], covered)
        row = np.repeat(by_begin, covered)
        highest = np.zeros(len(self._from), np.uint8)
        np.maximum.at(highest, interval, rank[row])
        kept = rank[row] == highest[interval]
        interval, row = interval[kept], row[kept]
        order = np.lexsort((owner[row], interval))  # stable: the first to begin stays first
        interval, row = interval[order], row[order]
        new = changes(interval, owner[row])
        interval, row = interval[new], row[new]
        self.count = np.bincount(interval, minlength=len(self._from))
        self._owners_at = np.concatenate([[0], np.cumsum(self.count)])
        self._owner = owner[row]
        self._owner_row = row
        self._class = rank[row] >> 1
        self.row = np.zeros(len(self._from), np.int64)
        self.row[interval] = row


def changes(*columns: npt.NDArray[np.generic]) -> Bools:
    """Where a row differs from the one before it in any column; the first always does."""
    new = np.zeros(len(columns[0]), np.bool_)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def ranges(begin: Int64s, count: Int64s) -> Int64s:
    """``begin[0] .. begin[0] + count[0] - 1``, then the next, in one array."""
    before = np.cumsum(count) - count
    made: Int64s = np.arange(int(count.sum())) + np.repeat(begin - before, count)
    return made
