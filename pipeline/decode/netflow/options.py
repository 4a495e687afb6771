"""
What options data say of the exporter: sampling factors, and when it started.

It holds from the options set on, for the sets behind it. Most options repeat
what is known.

Before: control.py, waiting.py. After: __init__.py.
Source: RFC 5476 section 6, RFC 3954 section 6.1.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.netflow.domains import ALL, INIT, Known
from pipeline.decode.netflow.flows import NO_TIME, Context, Values, factor_of

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
F64 = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.unsignedinteger]

_MAX_INIT_MS: Final = 1 << 43
"""Beyond it, nanoseconds do not fit 64 bits."""
_NOTHING: Final = np.array([], np.uint64)


class Told(NamedTuple):
    """Records of one options set, at a position; ``row`` is -1 for a set that waited."""

    position: int
    vantage: int
    row: int
    values: Values
    records: int


class History:
    """What options said in the course of a batch, beside what they said last."""

    def __init__(self, known: list[Known]) -> None:
        self._known = known
        self._changes: dict[tuple[int, int], tuple[list[int], list[float]]] = {}

    def learn(self, told: Told) -> bool:
        """Take one set; False if it tells of more samplers than may be remembered."""
        room = True
        factor = factor_of(told.values)
        selector = selector_of(told.values)
        if factor is not None:
            selectors = [ALL] * told.records if selector is None else selector.tolist()
            for what, value in zip(selectors, factor.tolist(), strict=True):
                if value > 0:
                    room &= self._set(told, what, value)
        for init_ms in reversed(told.values.get("system_init_ms", _NOTHING).tolist()):
            if 0 < init_ms < _MAX_INIT_MS:
                room &= self._set(told, INIT, float(init_ms))
                break
        return room

    def _set(self, told: Told, what: int, value: float) -> bool:
        known = self._known[told.vantage]
        before = known.domain.options.get(what, 0.0)
        if before == value:
            return True
        if not known.tell(what, value):
            return False
        positions, values = self._changes.setdefault((told.vantage, what), ([], [before]))
        positions.append(told.position)
        values.append(value)
        return True

    def apply(
        self, context: Context, set_vantage: I32, position: I64, count: I64, values: Values
    ) -> Context:
        """
        Sampling and start of the exporter for records, as said before them.

        Parameters
        ----------
        context
            Of n records.
        set_vantage, position, count
        Of their m sets: whose, where, and how many records.
        """
        if not any(self._known[number].domain.options for number in np.unique(set_vantage)):
            return context
        factor = np.repeat(self._value(set_vantage, None, position), count)
        selector = selector_of(values)
        if selector is not None:
            own = self._value(np.repeat(set_vantage, count), selector, np.repeat(position, count))
            factor = np.where(own > 0, own, factor)
        init_ms = self._value(set_vantage, None, position, INIT).astype(np.int64)
        init_ns = np.repeat(np.where(init_ms > 0, init_ms * 10**6, NO_TIME), count)
        return context._replace(
            boot_ns=np.where(context.boot_ns == NO_TIME, init_ns, context.boot_ns),
            factor=np.where(factor > 0, factor, 1.0),
            factor_source=np.where(factor > 0, np.uint8(3), np.uint8(0)),
        )

    def _value(
        self, vantage: I32, selector: _Numbers | None, position: I64, what: int = ALL
    ) -> F64:
        """What was said of ``what``, or of each selector, where each item stands; 0 if nothing."""
        if selector is None:
            whats, of_what = [what], np.zeros(len(vantage), np.int64)
        else:
            distinct_selectors, of_what = np.unique(selector, return_inverse=True)
            whats = distinct_selectors.tolist()
        key = vantage.astype(np.int64) * len(whats) + of_what
        distinct, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
        pairs = [divmod(one, len(whats)) for one in distinct.tolist()]
        now = [self._known[number].domain.options.get(whats[one], 0.0) for number, one in pairs]
        value = np.array(now, np.float64)[inverse]
        changed = [
            (place, change)
            for place, (number, one) in enumerate(pairs)
            if (change := self._changes.get((number, whats[one])))
        ]
        order = np.argsort(inverse, kind="stable") if changed else inverse
        end = np.cumsum(counts)
        for place, (positions, values) in changed:
            mine = order[end[place] - counts[place] : end[place]]
            then = np.searchsorted(positions, position[mine], "right")
            value[mine] = np.array(values)[then]
        return value


def selector_of(values: Values) -> _Numbers | None:
    """The sampler a record names, if it names one."""
    return values.get("selector_id", values.get("sampler_id"))
