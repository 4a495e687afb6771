"""
The reading end of one partition of the local log: forward, from segment to segment.

Another process may append, roll and delete meanwhile: a segment that is gone
before it was opened was deleted by retention; one that is open stays readable.

Before: segments.py. After: local.py.
"""

import logging
from pathlib import Path

from collectors.log import LogError, Message, Place
from collectors.log.segments import Segment, segment_bases

_log = logging.getLogger(__name__)


class Cursor:
    """Reads one place forward, from segment to segment."""

    def __init__(self, root: Path, place: Place, offset: int) -> None:
        self._place = place
        self._directory = root / place.topic / str(place.partition)
        self._offset = offset
        self._segment: Segment | None = None

    def read(self, max_bytes: int, *, at_least_one: bool) -> list[Message]:
        """Read what is there now; as `Segment.walk`, over the borders of segments."""
        while segment := self._segment or self._open():
            found = self._walk(segment, max_bytes, at_least_one)
            if found or segment.full:
                return found
            later = [base for base in segment_bases(self._directory) if base > segment.base]
            if not later:
                self._check_not_cut(segment)
                return []
            # Now that there is a later segment this one grows no more: look a last time.
            found = self._walk(segment, max_bytes, at_least_one)
            if found or segment.full:
                return found
            if segment.damage is not None:
                _log.warning(
                    "damaged record (%s) at offset %d of %s: skipped to offset %d",
                    segment.damage,
                    segment.offset,
                    self._place,
                    later[0],
                )
            self._offset = max(self._offset, later[0])
            self.close()
        return []

    def _walk(self, segment: Segment, max_bytes: int, at_least_one: bool) -> list[Message]:
        found = segment.walk(max_bytes, skip_below=self._offset, at_least_one=at_least_one)
        if found:
            self._offset = found[-1].offset + 1
        return found

    def _open(self) -> Segment | None:
        """Open the segment with the wanted offset, else the oldest kept, if there is one."""
        while bases := segment_bases(self._directory):
            base = max((base for base in bases if base <= self._offset), default=bases[0])
            try:
                self._segment = Segment(self._directory, self._place, base)
            except FileNotFoundError:  # retention was faster: look again
                continue
            return self._segment
        return None

    def _check_not_cut(self, segment: Segment) -> None:
        """Refuse to wait at an offset that the log has not reached, or no longer reaches."""
        if segment.size() < segment.position or (
            segment.damage is None and segment.offset < self._offset
        ):
            raise LogError(
                f"{self._place} of the local log ends before offset {self._offset}: it was cut"
                " after a loss of power, or replaced. What it holds now is no continuation of"
                " what was read; seek to its begin or end offset to go on"
            )

    def close(self) -> None:
        """Let go of the file."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
