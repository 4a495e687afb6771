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

Before: __init__.py. After: __init__.py.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.log import Place
from pipeline.decode import Source
from pipeline.decode.lines import Fault, Faults, without_stamp

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
        opened, told = np.zeros(len(faults), np.bool_), np.isin(faults, _WHOLE)
        opened[tried[entry]] = True
        told[tried[opens | entry]] = True
        faults[tried[entry]] = Fault.IGNORED
        within = self._goes_on(pl.Series(opened), pl.Series(told), pl.Series(source), sources)
        goes_on = within.to_numpy() & ~told & ~np.isin(faults, _CANNOT_GO_ON)
        faults[goes_on] = Fault.IGNORED

    def _goes_on(
        self, within: pl.Series, told: pl.Series, source: pl.Series, sources: list[Source]
    ) -> pl.Series:
        """
        Whether each line is of an entry, those that do not tell as what is before them.

        Parameters
        ----------
        within, told, source
            n rows: whether a line opens an entry; whether it tells at all, by
            that or by another log's entry; and who wrote it.
        """
        before = [_key(one) in self._within.get(one.place, ()) for one in sources]
        lines = pl.DataFrame({"within": within, "told": told, "source": source})
        lines = lines.with_columns(before=pl.Series(before, dtype=pl.Boolean).gather(source))
        now = lines.select(
            "source",
            now=pl.coalesce(pl.when("told").then("within").forward_fill().over("source"), "before"),
        )
        for code, last in now.group_by("source").last().iter_rows():
            self._remember(sources[code], within=last)
        return now["now"]

    def _remember(self, source: Source, *, within: bool) -> None:
        known = self._within.setdefault(source.place, set())
        if within and len(known) < MAX_REMEMBERED:
            known.add(_key(source))
        elif not within:
            known.discard(_key(source))
        if not known:
            del self._within[source.place]

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
