"""
Data sets that came before their template: put aside, taken up, given up.

What happens to a set that waits depends on nothing but the log: the order of
its domain's messages, and when each was received. How the log was divided into
batches makes no difference.

Before: control.py. After: options.py, __init__.py.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.netflow.batch import Batch
from pipeline.decode.netflow.control import Changes
from pipeline.decode.netflow.domains import Pending
from pipeline.decode.netflow.templates import Layout
from pipeline.rejects import Reason

I64 = npt.NDArray[np.int64]

_MESSAGE: Final = 0
_MISSING: Final = 1
_TEMPLATE: Final = 2


class Late(NamedTuple):
    """A set that waited, and the template that came for it at ``position``."""

    position: int
    vantage: int
    layout: Layout
    pending: Pending


def settle(batch: Batch, missing: I64, changes: Changes) -> list[Late]:
    """
    Go through what concerns sets that wait, in order.

    Parameters
    ----------
    missing
        Data sets of this batch whose template is not known where they stand.
    changes
        Templates that came in this batch.

    Returns
    -------
    list
        Sets to read now, in the order in which their templates came.
    """
    concerned = {number for number, one in enumerate(batch.known) if one.domain.pending}
    concerned.update(batch.of_set[missing].tolist())
    if not concerned:
        return []
    late: list[Late] = []
    for position, kind, number, layout in _events(batch, missing, changes, concerned):
        if kind == _MESSAGE:
            _give_up(batch, number)
        elif kind == _MISSING:
            _put_aside(batch, number)
        elif layout is not None:
            vantage, template = number >> 16, number & 0xFFFF
            for pending in batch.known[vantage].take(template):
                batch.ledger.add_one("waiting_sets", vantage, pending.received_ns, -1)
                late.append(Late(position, vantage, layout, pending))
    return late


def _events(
    batch: Batch, missing: I64, changes: Changes, concerned: set[int]
) -> list[tuple[int, int, int, Layout | None]]:
    """Position, kind, and what it is about: a message, a set, or vantage and template."""
    is_concerned = np.zeros(len(batch.known), np.bool_)
    is_concerned[list(concerned)] = True
    events: list[tuple[int, int, int, Layout | None]] = [
        (int(batch.messages.begin[message]), _MESSAGE, message, None)
        for message in np.flatnonzero(is_concerned[batch.vantage]).tolist()
    ]
    events += [(int(batch.sets.position[row]), _MISSING, row, None) for row in missing.tolist()]
    events += [
        (change.position, _TEMPLATE, vantage << 16 | template, change.layout)
        for (vantage, template), history in changes.items()
        if vantage in concerned
        for change in history[1:]
    ]
    return sorted(events, key=lambda event: event[0])


def _give_up(batch: Batch, message: int) -> None:
    vantage = int(batch.vantage[message])
    for pending in batch.known[vantage].give_up(int(batch.received_ns[message])):
        batch.ledger.given_up(vantage, pending, int(batch.messages.payload[message]))


def _put_aside(batch: Batch, row: int) -> None:
    sets, messages, headers = batch.sets, batch.messages, batch.headers
    message, vantage = int(sets.message[row]), int(batch.of_set[row])
    begin = int(sets.position[row])
    known = batch.known[vantage]
    pending = Pending(
        int(sets.number[row]),
        int(batch.received_ns[message]),
        int(headers.export_ns[message]),
        int(headers.boot_ns[message]),
        batch.buffer[begin : begin + int(sets.length[row])].tobytes(),
    )
    if known.wait(pending):
        batch.ledger.waits[messages.payload[message]] = True
        batch.ledger.add_one("waiting_sets", vantage, pending.received_ns)
    else:
        detail = f"set {pending.number}: {known.domain.pending_bytes} bytes wait already"
        batch.refuse_set(row, Reason.PENDING_LIMIT, detail)
