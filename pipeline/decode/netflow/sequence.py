"""
Loss on the way to us, by exporters' sequence numbers.

Before: sets.py. After: accounting.py.
Source: RFC 3954 section 5.1 (counts datagrams), RFC 7011 section 3.1 (counts
data records), NetFlow v5 (counts flows).
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]

_MODULUS: Final = 1 << 32
_RESET: Final = 1 << 20
"""A jump of more units than this, forward or back, is an exporter that counts anew."""
_RESTARTED: Final = 3
"""So many messages in a row that follow each other, but not what was seen: it counts anew."""


class Sequence(msgspec.Struct):
    """
    What is known of one domain's numbering.

    Attributes
    ----------
    last, units
        Number and units of the newest message; ``last`` is -1 if none.
    counts_itself
        Whether a message's number already counts its own records, and options
        records not at all, as softflowd 1.1's does in IPFIX. A reader that
        takes it for RFC 7011 sees loss where there is none. Told by the first
        message that fits the one reading and not the other.
    """

    last: int = -1
    units: int = 0
    counts_itself: bool = False
    behind_last: int = -1
    behind_units: int = 0
    behind_count: int = 0
    behind_received: int = 0

    def step(self, number: int, units: int, options: int = 0) -> tuple[int, int, int, int]:
        """
        Take one message: (expected, received, resets, out of order) to add.

        Of its ``units``, ``options`` are options records.

        ``units`` below 0: not known, since a set waits for its template. Such
        a message says nothing about loss, and the next one starts anew.
        """
        if units < 0:
            self.last = -1
            return 0, 0, 0, 0
        gap = self._gap(number, units, options) if self.last >= 0 else 0
        if self.counts_itself and self.last >= 0:
            units -= options
        if gap < 0 and abs(gap) <= _RESET:
            return self._late(number, units)
        self._take(number, units)
        is_reset = abs(gap) > _RESET
        return units + (0 if is_reset else gap), units, int(is_reset), 0

    def _late(self, number: int, units: int) -> tuple[int, int, int, int]:
        """A message that was counted as lost, unless it proves that counting began anew."""
        if not self._restarted(number, units):
            return 0, units, 0, 1
        received, count = self.behind_received, self.behind_count
        self._take(number, units)
        return units + received, units, 1, 1 - count

    def steps(self, numbers: I64, units: I64, options: I64) -> I64:
        """
        `step` for messages in order: int64[4, n].

        Messages that follow each other, which is nearly all there are, are
        taken at once.
        """
        first = [self.step(int(numbers[0]), max(int(units[0]), -1), int(options[0]))]
        told = units - options if self.counts_itself else units
        gaps = numbers[1:] - numbers[:-1] - (told[1:] if self.counts_itself else told[:-1])
        follows = (units >= 0).all() and not (gaps % _MODULUS).any()
        if follows and (self.last, self.units) == (numbers[0], told[0]):
            taken = np.zeros((4, len(numbers)), np.int64)
            taken[:2] = told
            taken[:, 0] = first[0]
            self._take(int(numbers[-1]), int(told[-1]))
            return taken
        rest = zip(numbers[1:].tolist(), units[1:].tolist(), options[1:].tolist(), strict=True)
        return np.array(first + [self.step(n, max(u, -1), o) for n, u, o in rest], np.int64).T

    def _gap(self, number: int, units: int, options: int) -> int:
        usual = _signed(number - self.last - self.units)
        itself = _signed(number - units + options - self.last)
        if (usual == 0) != (itself == 0):
            self.counts_itself = itself == 0
        return itself if self.counts_itself else usual

    def _restarted(self, number: int, units: int) -> bool:
        step = units if self.counts_itself else self.behind_units
        follows = self.behind_last >= 0 and number == (self.behind_last + step) % _MODULUS
        if not follows:
            self.behind_count = self.behind_received = 0
        self.behind_count += 1
        if self.behind_count >= _RESTARTED:
            return True
        self.behind_last, self.behind_units = number, units
        self.behind_received += units
        return False

    def _take(self, number: int, units: int) -> None:
        self.last, self.units = number, units
        self.behind_last, self.behind_count, self.behind_received = -1, 0, 0


def _signed(difference: int) -> int:
    return (difference + (1 << 31)) % _MODULUS - (1 << 31)
