"""
Sets that change how others are read: templates, withdrawals, options data.

They take effect where they stand. Most repeat what is known, word for word, and
cost one look into a dictionary.

Before: templates.py, domains.py. After: netflow.py.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pipeline.decode.domains import MAX_SELECTORS, Known, Options
from pipeline.decode.flows import Values, factor_of
from pipeline.decode.records import read
from pipeline.decode.sets import IPFIX, V9, Messages, Reject, Sets
from pipeline.decode.templates import MAX_TEMPLATES, Layout, parse_ipfix, parse_netflow9
from pipeline.rejects import Reason

if TYPE_CHECKING:
    from pipeline.decode.netflow import _Batch

I64 = npt.NDArray[np.int64]

_TEMPLATE_SETS: Final = {V9: (0, 1), IPFIX: (2, 3)}
_ALL_TEMPLATES: Final = (2, 3)


class Control:
    """Control sets of one batch."""

    def __init__(
        self,
        batch: "_Batch",
        messages: Messages,
        vantage: npt.NDArray[np.int32],
        known: list[Known],
        sets: Sets,
    ) -> None:
        self._batch = batch
        self._messages = messages
        self._known = known
        self._sets = sets
        self._vantage = vantage[sets.message] if len(sets.message) else np.array([], np.int32)
        self._before = [dict(one.layouts) if len(sets.message) else {} for one in known]
        self._changes: dict[tuple[int, int], list[tuple[int, Layout | None]]] = defaultdict(list)
        self._told: list[tuple[int, int, Values, int]] = []  # position, set, values, records
        self._states: dict[int, list[tuple[int, Options]]] = {}

    def templates(self, rows: I64, used: npt.NDArray[np.bool_]) -> None:
        """Learn templates of sets ``rows``, in order; refuse ids that are reserved."""
        sets, batch = self._sets, self._batch
        counted: dict[int, list[int]] = defaultdict(list)
        for row in rows.tolist():
            message = int(sets.message[row])
            version = int(self._messages.version[message])
            begin = int(sets.position[row])
            end = begin + int(sets.length[row])
            payload, number = int(self._messages.payload[message]), int(sets.number[row])
            if number not in _TEMPLATE_SETS[version]:
                batch.rejects.append(
                    Reject(payload, Reason.SET_ID_RESERVED, f"set {number}", begin, end)
                )
                continue
            vantage = int(self._vantage[row])
            known = self._known[vantage]
            raw = batch.buffer[begin:end].tobytes()
            repeats = known.seen.get(raw)
            if repeats is None:
                repeats = self._learn(
                    vantage,
                    raw,
                    version,
                    number,
                    Reject(payload, Reason.TEMPLATE_MALFORMED, "", begin, end),
                )
            if repeats:
                used[payload] = True
                counted[vantage] += [payload] * repeats
        for vantage, payloads in counted.items():
            received = batch.payloads.received_ns[np.array(payloads)]
            batch.add("template_records", np.full(len(payloads), vantage, np.int32), received)

    def _learn(self, vantage: int, raw: bytes, version: int, number: int, reject: Reject) -> int:
        known, begin = self._known[vantage], reject.begin
        is_options = number == _TEMPLATE_SETS[version][1]
        parse = parse_netflow9 if version == V9 else parse_ipfix
        found, malformed = parse(raw[4:], is_options)
        withdrawn = False
        for template, layout in found:
            if layout is None:
                withdrawn = True
                gone = list(known.layouts) if template in _ALL_TEMPLATES else [template]
                for one in gone:
                    if one in known.layouts and known.layouts[one].is_options == is_options:
                        known.learn(one, None)
                        self._changes[vantage, one].append((begin, None))
                continue
            if template not in known.layouts and len(known.layouts) >= MAX_TEMPLATES:
                detail = f"template {template}: {MAX_TEMPLATES} are known"
                self._batch.rejects.append(
                    reject._replace(reason=Reason.TEMPLATE_LIMIT, detail=detail)
                )
                return len(found)
            if known.learn(template, layout):
                self._changes[vantage, template].append((begin, layout))
        if malformed:
            self._batch.rejects.append(
                reject._replace(reason=Reason(malformed.reason), detail=malformed.detail)
            )
        elif found and not withdrawn:
            known.seen[raw] = len(found)
        return len(found)

    def resolve(self, rows: I64) -> tuple[list[Layout], I64]:
        """Layouts of data sets ``rows``, and by set the index among them; -1 where none is known."""
        index = np.full(len(self._sets.number), -1, np.int64)
        layouts: dict[int, int] = {}
        found: list[Layout] = []

        def number_of(layout: Layout | None) -> int:
            if layout is None:
                return -1
            if id(layout) not in layouts:
                layouts[id(layout)] = len(found)
                found.append(layout)
            return layouts[id(layout)]

        key = self._vantage[rows].astype(np.int64) << 16 | self._sets.number[rows]
        distinct, inverse = np.unique(key, return_inverse=True)
        numbers = np.full(len(distinct), -1, np.int64)
        for place, one in enumerate(distinct.tolist()):
            vantage, template = one >> 16, one & 0xFFFF
            changes = self._changes.get((vantage, template))
            if not changes:
                numbers[place] = number_of(self._before[vantage].get(template))
                continue
            mine = rows[inverse == place]
            after = np.searchsorted(
                [position for position, _ in changes], self._sets.position[mine]
            )
            choices = [self._before[vantage].get(template), *(layout for _, layout in changes)]
            index[mine] = np.array([number_of(layout) for layout in choices], np.int64)[after]
            numbers[place] = -2
        settled = numbers[inverse] > -2 if len(rows) else np.array([], np.bool_)
        index[rows[settled]] = numbers[inverse[settled]] if len(rows) else []
        return found, index

    def first_layout(self, vantage: int, template: int) -> Layout | None:
        """The first layout an id got in this batch, else the one it has."""
        for _, layout in self._changes.get((vantage, template), ()):
            if layout is not None:
                return layout
        return self._known[vantage].layouts.get(template)

    def options(self, layout: Layout, rows: I64, units: I64, used: npt.NDArray[np.bool_]) -> None:
        """Learn from options data sets ``rows`` of one layout."""
        batch, sets = self._batch, self._sets
        records = read(batch.buffer, layout, sets.position[rows], sets.length[rows])
        batch.reject_cut(self._messages, sets, rows[records.cut])
        row = rows[records.of_set]
        message = sets.message[row]
        counted = np.bincount(
            message[self._messages.version[message] == IPFIX], minlength=len(units)
        )
        units += counted
        batch.option_units += counted
        payload = self._messages.payload[sets.message[rows]]
        used[payload] = True
        batch.add(
            "option_records",
            self._vantage[row],
            batch.payloads.received_ns[self._messages.payload[message]],
        )
        if not records.values:
            return
        for one in np.unique(row).tolist():
            mine = row == one
            values = {name: column[mine] for name, column in records.values.items()}
            self._told.append((int(sets.position[one]), one, values, int(mine.sum())))

    def settle_options(self) -> None:
        """Apply what options records told, in the order in which they came."""
        for position, row, values, count in sorted(self._told, key=lambda told: told[0]):
            vantage = int(self._vantage[row])
            domain = self._known[vantage].domain
            states = self._states.setdefault(vantage, [(-1, domain.options)])
            self.learn_options(self._known[vantage], values, count)
            states.append((position, domain.options))

    def learn_options(self, known: Known, values: Values, count: int) -> None:
        """Take what options records of one domain tell."""
        old = known.domain.options
        factor, init_ns = old.factor, old.system_init_ns
        by_selector = dict(old.by_selector)
        told = factor_of(values)
        selector = values.get("selector_id", values.get("sampler_id"))
        for place in range(count if told is not None else 0):
            if told[place] <= 0:  # type: ignore[index]
                continue
            if selector is None:
                factor = float(told[place])  # type: ignore[index]
            elif len(by_selector) < MAX_SELECTORS or int(selector[place]) in by_selector:
                by_selector[int(selector[place])] = float(told[place])  # type: ignore[index]
        if "system_init_ms" in values and count:
            init_ms = int(values["system_init_ms"][-1])
            init_ns = init_ms * 10**6 if init_ms < 1 << 43 else -1
        known.domain.options = Options(by_selector, factor, init_ns)

    def states(self, rows: I64) -> tuple[list[Options], I64]:
        """What options said, in versions, and by set which version holds there."""
        found = [one.domain.options for one in self._known]
        of_set = np.zeros(len(self._sets.number), np.int64)
        of_set[rows] = self._vantage[rows]
        for vantage, states in self._states.items():
            first = len(found)
            found += [options for _, options in states]
            mine = rows[self._vantage[rows] == vantage]
            positions = [position for position, _ in states]
            of_set[mine] = first + np.searchsorted(positions, self._sets.position[mine]) - 1
        return found, of_set
