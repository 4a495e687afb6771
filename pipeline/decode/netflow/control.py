"""
Template sets: what they change, where they stand, and what then holds for each data set.

Most repeat what is known, word for word, and cost one look into a dictionary.

Before: templates.py, domains.py. After: waiting.py, options.py, __init__.py.
"""

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.netflow.batch import Batch
from pipeline.decode.netflow.domains import (
    MAX_ALL_TEMPLATE_FIELDS,
    MAX_TEMPLATE_FIELDS,
    MAX_TEMPLATES,
    Known,
)
from pipeline.decode.netflow.sets import IPFIX, V9
from pipeline.decode.netflow.templates import ALL_TEMPLATES, Layout, parse_templates
from pipeline.rejects import Reason

I64 = npt.NDArray[np.int64]

_TEMPLATE_SETS: Final = {V9: (0, 1), IPFIX: (2, 3)}


class Change(NamedTuple):
    """What a template id means from a position of the buffer on; None: nothing."""

    position: int
    layout: Layout | None


Changes = dict[tuple[int, int], list[Change]]
"""
By vantage and template id, those of one batch in order.

The first of each, at position -1, is what the id meant before.
"""


def learn_templates(batch: Batch, rows: I64) -> Changes:
    """Learn from template sets ``rows``, in order; refuse ids that are reserved."""
    changes: Changes = defaultdict(list)
    messages, sets = batch.messages, batch.sets
    for row in rows.tolist():
        message, number = int(sets.message[row]), int(sets.number[row])
        version = int(messages.version[message])
        if number not in _TEMPLATE_SETS[version]:
            batch.refuse_set(row, Reason.SET_ID_RESERVED, f"set {number}")
            continue
        begin = int(sets.position[row])
        raw = batch.buffer[begin : begin + int(sets.length[row])].tobytes()
        count = batch.known[batch.of_set[row]].repeats(raw) or _learn(batch, row, raw, changes)
        if count:
            batch.ledger.used[messages.payload[message]] = True
            batch.ledger.add("template_records", np.array([message]), count)
    return changes


def _learn(batch: Batch, row: int, raw: bytes, changes: Changes) -> int:
    """Read one template set; how many templates of it were taken."""
    sets, vantage = batch.sets, int(batch.of_set[row])
    known, position = batch.known[vantage], int(sets.position[row])
    version = int(batch.messages.version[sets.message[row]])
    is_options = int(sets.number[row]) == _TEMPLATE_SETS[version][1]
    found, malformed = parse_templates(raw[4:], version, is_options=is_options)
    refused: dict[Reason, str] = {}
    taken = 0
    for template, layout in found:
        reason = None if layout is None else _no_room(known, template, layout)
        if reason:
            refused[reason] = f"template {template}: too many templates or fields are known"
            continue
        taken += 1
        for one in [template] if layout else _withdrawn(known, template, is_options):
            before = known.layouts.get(one)
            if known.learn(one, layout):
                history = changes[vantage, one]
                history += [] if history else [Change(-1, before)]
                history.append(Change(position, layout))
    for reason, detail in refused.items():
        batch.refuse_set(row, reason, detail)
    if malformed:
        batch.refuse_set(row, malformed.reason, malformed.detail)
    elif not refused and all(layout for _, layout in found):
        known.repeat(raw, len(found))
    return taken


def _no_room(known: Known, template: int, layout: Layout) -> Reason | None:
    before = known.layouts.get(template)
    more = len(layout.fields) - (len(before.fields) if before else 0)
    if known.fields + more > MAX_TEMPLATE_FIELDS or (
        before is None and len(known.layouts) >= MAX_TEMPLATES
    ):
        return Reason.TEMPLATE_LIMIT
    if more > 0 and known.owner.fields + more > MAX_ALL_TEMPLATE_FIELDS:
        return Reason.STATE_LIMIT
    return None


def _withdrawn(known: Known, template: int, is_options: bool) -> list[int]:
    """Templates of a kind that a withdrawal of ``template`` takes away."""
    named = list(known.layouts) if template in ALL_TEMPLATES else [template]
    return [
        one for one in named if one in known.layouts and known.layouts[one].is_options == is_options
    ]


def resolve(batch: Batch, rows: I64, changes: Changes) -> tuple[list[Layout], I64]:
    """
    Layouts of data sets ``rows``.

    Returns
    -------
    tuple
        The distinct layouts, and of each row the index among them; -1 where
        the template is not known at that place.
    """
    layouts: dict[Layout, int] = {}

    def number_of(layout: Layout | None) -> int:
        return -1 if layout is None else layouts.setdefault(layout, len(layouts))

    key = batch.of_set[rows].astype(np.int64) << 16 | batch.sets.number[rows]
    distinct, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    numbers = np.full(len(distinct), -1, np.int64)
    changed: list[int] = []
    for place, one in enumerate(distinct.tolist()):
        vantage, template = one >> 16, one & 0xFFFF
        if (vantage, template) in changes:
            changed.append(place)
        else:
            numbers[place] = number_of(batch.known[vantage].layouts.get(template))
    index = numbers[inverse]
    if changed:
        order = np.argsort(inverse, kind="stable")
        end = np.cumsum(count)
        position = batch.sets.position[rows]
        for place in changed:
            mine = order[end[place] - count[place] : end[place]]
            history = changes[int(distinct[place]) >> 16, int(distinct[place]) & 0xFFFF]
            choices = np.array([number_of(change.layout) for change in history], np.int64)
            positions = [change.position for change in history]
            index[mine] = choices[np.searchsorted(positions, position[mine]) - 1]
    return list(layouts), index
