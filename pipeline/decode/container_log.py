"""
Lines of other logs in a proxy's container, which has one output for all.

    2020-06-29T23:37:27.335928Z<tab>info<tab>...       Istio's agent, and Envoy under it
    {"level":"info","time":"2023-05-10T...","msg":     the same, as JSON
    [2023-05-10 17:43:55.356][12][info][main] ...      Envoy
    [Envoy (Epoch 0)] [2020-06-29 23:37:27.335]...     Envoy, as an old agent wrote it

An entry of such a log may go on over lines that say nothing of themselves
(YAML, a certificate, an empty line): they are of it until an entry opens, of
this log or of the access log. So who left off within such an entry is
remembered: it is all that this kind of payload needs to remember.

Before: access_log.py. After: access_log.py.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.log import Place
from pipeline.decode import Source
from pipeline.decode.access_log_lines import Fault, Faults, without_stamp

MAX_REMEMBERED: Final = 4_096
"""Sources of one partition that may be within an entry; more are not remembered."""

_ENTRY: Final = (
    "^(?:"
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\t[a-z]+\t"
    r'|\{"level":"[a-z]+","time":"'
    r"|\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+\] ?\[[0-9]+\] ?\[[a-z]+\] ?\["
    r"|\[Envoy \(Epoch [0-9]+\)\]"
    ")"
)
_OPENS: Final = r"^[{\[]"
_CANNOT_GO_ON: Final = (Fault.LONG, Fault.NOT_UTF8, Fault.LINES)
_WHOLE: Final = (Fault.NONE, Fault.NO_START, Fault.BAD_START, Fault.BAD_STATUS, Fault.AMBIGUOUS)
_NEITHER, _WITHIN, _OUTSIDE = -1, 1, 0

_Key = tuple[str, str, str, str]


class ContainerLogs:
    """Which sources left off within an entry of another log than the access log."""

    def __init__(self) -> None:
        self._within: dict[Place, set[_Key]] = {}

    def ignore(
        self,
        text: pl.Series,
        source: npt.NDArray[np.int32],
        sources: list[Source],
        faults: Faults,
    ) -> None:
        """
        Find lines of other logs among n lines; `Fault.IGNORED` takes the place of their fault.

        Parameters
        ----------
        text
            n lines in log order, null where there is none.
        source
            int32[n], index into ``sources``.
        faults
            int8[n], after all lines were tried as an access log's.
        """
        tried = np.flatnonzero(~np.isin(faults, (Fault.NONE, *_CANNOT_GO_ON)))
        if not len(tried) and not self._within:
            return
        lines = without_stamp(text.gather(tried))
        entry = lines.str.contains(_ENTRY).fill_null(value=False).to_numpy()
        opens = lines.str.contains(_OPENS).fill_null(value=False).to_numpy()
        where = np.where(np.isin(faults, _WHOLE), _OUTSIDE, _NEITHER).astype(np.int8)
        where[tried[opens]] = _OUTSIDE
        where[tried[entry]] = _WITHIN
        faults[tried[entry]] = Fault.IGNORED
        self._follow(where, source, sources, faults)

    def _follow(
        self,
        where: npt.NDArray[np.int8],
        source: npt.NDArray[np.int32],
        sources: list[Source],
        faults: Faults,
    ) -> None:
        """Lines that are neither go on with what the same source wrote before them."""
        before = [
            _key(one) in self._within.get(one.place, set()) if len(source) else False
            for one in sources
        ]
        frame = pl.DataFrame({"source": source, "where": where}).with_columns(
            told=pl.when(pl.col("where") != _NEITHER).then("where")
        )
        now = frame.select(pl.col("told").forward_fill().over("source")).to_series()
        first = pl.Series(np.array(before, np.int8), dtype=pl.Int8).gather(frame["source"])
        now = (
            now.fill_null(first) if now.dtype == first.dtype else now.cast(pl.Int8).fill_null(first)
        )
        goes_on = (now == _WITHIN).to_numpy() & (where == _NEITHER)
        faults[goes_on & ~np.isin(faults, _CANNOT_GO_ON)] = Fault.IGNORED
        last = pl.DataFrame({"source": source, "now": now}).group_by("source").last()
        for code, state in last.iter_rows():
            one = sources[code]
            within = self._within.setdefault(one.place, set())
            if state != _WITHIN:
                within.discard(_key(one))
            elif len(within) < MAX_REMEMBERED:
                within.add(_key(one))

    def snapshot(self, place: Place) -> bytes:
        """Sources of one partition that are within an entry; empty if none."""
        within = self._within.get(place)
        return msgspec.json.encode(sorted(within)) if within else b""

    def restore(self, place: Place, state: bytes) -> None:
        """Replace them."""
        self._within.pop(place, None)
        if state:
            self._within[place] = set(msgspec.json.decode(state, type=list[_Key]))


def _key(source: Source) -> _Key:
    return source.agent, source.cluster, source.network, source.exporter
