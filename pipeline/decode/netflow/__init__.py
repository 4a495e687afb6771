"""
NetFlow v5, v9 and IPFIX datagrams of many exporters to flow rows, together.

    datagrams -> messages -> sets          opening.py, sets.py, a step for all at once
    template sets, in order                control.py
    data sets that wait for a template     waiting.py
    options sets, in order                 options.py
    data sets, grouped by layout           records.py, one gather a group
    raw values -> rows                     losses.py, flows.py

Templates and options take effect where they stand: a template that changes in
the middle of a batch divides the sets before it from those behind. A set whose
template has not come yet waits, bounded, and is decoded when it comes; the rest
of its datagram is not held up by it.

Before: pipeline/intake.py. After: pipeline/normalize.py.
Source: RFC 3954, RFC 7011, Cisco NetFlow v5 record format.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.log import Place
from pipeline import schema
from pipeline.decode import Decoded, Payloads
from pipeline.decode.netflow.batch import Batch
from pipeline.decode.netflow.control import learn_templates, resolve
from pipeline.decode.netflow.domains import Domains
from pipeline.decode.netflow.flows import Context, Values, to_rows
from pipeline.decode.netflow.netflow5 import read_v5
from pipeline.decode.netflow.opening import open_batch
from pipeline.decode.netflow.options import History, Told
from pipeline.decode.netflow.records import Records, read
from pipeline.decode.netflow.sets import FIRST_DATA_SET, IPFIX, V5
from pipeline.decode.netflow.templates import Layout
from pipeline.decode.netflow.waiting import Late, settle
from pipeline.rejects import Reason

I64 = npt.NDArray[np.int64]

_SEQUENCE_COUNTERS: Final = (
    "sequence_units_expected",
    "sequence_units_received",
    "sequence_resets",
    "out_of_order_payloads",
)


class Netflow:
    """The decoder of kind ``netflow``; see `pipeline.decode.Decoder`."""

    def __init__(self) -> None:
        self._places: dict[Place, Domains] = {}

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these datagrams, and of sets that waited for them."""
        batch = open_batch(payloads, self._places)
        frames = [*_decode_v5(batch), *_decode_sets(batch)]
        _count_sequences(batch)
        rejects, counts = batch.ledger.close()
        flows = pl.concat(frames) if frames else schema.DECODED_FLOWS.to_frame()
        return Decoded(batch.ledger.vantages, {"flows": flows}, rejects, counts)

    def snapshot(self, place: Place) -> bytes:
        """Templates, options, numbering and waiting sets of one partition."""
        domains = self._places.get(place)
        return domains.dump() if domains else b""

    def restore(self, place: Place, state: bytes) -> None:
        """Replace what is remembered of one partition."""
        self._places.pop(place, None)
        if state:
            self._places[place] = Domains.load(state)


def _context(batch: Batch, message: I64, count: I64) -> Context:
    """What messages say, once for each of ``count`` records of theirs."""
    total = int(count.sum())
    return Context(
        np.repeat(batch.vantage[message], count),
        np.repeat(batch.received_ns[message], count),
        np.repeat(batch.headers.export_ns[message], count),
        np.repeat(batch.headers.boot_ns[message], count),
        np.ones(total),
        np.zeros(total, np.uint8),
    )


def _decode_v5(batch: Batch) -> list[pl.DataFrame]:
    rows = np.flatnonzero(batch.messages.version == V5)
    if not len(rows):
        return []
    values, count, factor, source = read_v5(
        batch.buffer, batch.messages.begin[rows], batch.messages.end[rows]
    )
    batch.units[rows] = count
    batch.ledger.add("decoded_records", rows, count)
    batch.ledger.used[batch.messages.payload[rows]] = True
    context = _context(batch, rows, count)._replace(
        factor=np.repeat(factor, count), factor_source=np.repeat(source, count)
    )
    return to_rows(values, context)


def _decode_sets(batch: Batch) -> Iterator[pl.DataFrame]:
    """Rows of NetFlow v9 and IPFIX."""
    sets = batch.sets
    is_data = sets.number >= FIRST_DATA_SET
    changes = learn_templates(batch, np.flatnonzero(~is_data))
    rows = np.flatnonzero(is_data)
    layouts, index = resolve(batch, rows, changes)
    missing = rows[index < 0]
    batch.unknown[sets.message[missing]] = True
    late = settle(batch, missing, changes)
    groups = _groups(layouts, rows, index)
    history = _learn_options(batch, groups, late)
    for layout, mine in groups:
        if layout.is_options:
            continue
        records = read(batch.buffer, layout, sets.position[mine], sets.length[mine])
        batch.take_records(_counter(layout), mine, records.count, records.cut)
        if layout.is_traffic and records.values:
            context = _context(batch, sets.message[mine], records.count)
            yield from to_rows(
                records.values,
                history.apply(
                    context, batch.of_set[mine], sets.position[mine], records.count, records.values
                ),
            )
    yield from _decode_late(batch, late, history)


def _groups(layouts: list[Layout], rows: I64, index: I64) -> list[tuple[Layout, I64]]:
    """Data sets of each layout, in order."""
    if len(layouts) == 1:
        return [(layouts[0], rows[index == 0])]
    order = np.argsort(index, kind="stable")
    bounds = np.searchsorted(index[order], np.arange(len(layouts) + 1))
    return [
        (layout, rows[order[bounds[number] : bounds[number + 1]]])
        for number, layout in enumerate(layouts)
    ]


def _counter(layout: Layout) -> str:
    if layout.is_options:
        return "option_records"
    return "decoded_records" if layout.is_traffic else "ignored_records"


def _learn_options(batch: Batch, groups: list[tuple[Layout, I64]], late: list[Late]) -> History:
    """Learn from options data, in the order in which it can be read."""
    sets = batch.sets
    history = History(batch.known)
    every: list[Told] = []
    for layout, rows in groups:
        if not layout.is_options:
            continue
        records = read(batch.buffer, layout, sets.position[rows], sets.length[rows])
        batch.take_records("option_records", rows, records.count, records.cut)
        np.add.at(batch.option_units, sets.message[rows], records.count)
        every += [
            Told(int(sets.position[row]), int(batch.of_set[row]), row, values, count)
            for row, (values, count) in zip(rows.tolist(), _by_set(records), strict=True)
        ]
    for one in late:
        if one.layout.is_options:
            records = _read_late(batch, one.layout, [one])
            every += [
                Told(one.position, one.vantage, -1, values, count)
                for values, count in _by_set(records)
            ]
    for told in sorted(every, key=lambda told: told.position):
        if not history.learn(told) and told.row >= 0:
            detail = f"set {sets.number[told.row]}: no room for all its samplers"
            batch.refuse_set(told.row, Reason.STATE_LIMIT, detail)
    return history


def _by_set(records: Records) -> Iterator[tuple[Values, int]]:
    """Values and number of records of each set."""
    end = np.cumsum(records.count).tolist()
    for stop, count in zip(end, records.count.tolist(), strict=True):
        start = stop - count
        yield {name: column[start:stop] for name, column in records.values.items()}, count


def _decode_late(batch: Batch, late: list[Late], history: History) -> Iterator[pl.DataFrame]:
    """Rows of sets that waited for their template."""
    by_layout: dict[Layout, list[Late]] = {}
    for one in late:
        if not one.layout.is_options:
            by_layout.setdefault(one.layout, []).append(one)
    for layout, ones in by_layout.items():
        records = _read_late(batch, layout, ones)
        if not (layout.is_traffic and records.values):
            continue
        vantage = np.array([one.vantage for one in ones], np.int32)
        position = np.array([one.position for one in ones])
        total = int(records.count.sum())
        context = Context(
            np.repeat(vantage, records.count),
            np.repeat([one.pending.received_ns for one in ones], records.count),
            np.repeat([one.pending.export_ns for one in ones], records.count),
            np.repeat([one.pending.boot_ns for one in ones], records.count),
            np.ones(total),
            np.zeros(total, np.uint8),
        )
        yield from to_rows(
            records.values,
            history.apply(context, vantage, position, records.count, records.values),
        )


def _read_late(batch: Batch, layout: Layout, ones: list[Late]) -> Records:
    """Read sets that waited, and account for them."""
    length = np.array([len(one.pending.body) for one in ones])
    buffer = np.frombuffer(b"".join(one.pending.body for one in ones), np.uint8)
    records = read(buffer, layout, np.cumsum(length) - length, length)
    for one, count in zip(ones, records.count.tolist(), strict=True):
        batch.ledger.add_one(_counter(layout), one.vantage, one.pending.received_ns, count)
    for place in records.cut.tolist():
        one = ones[place]
        message = int(np.searchsorted(batch.messages.begin, one.position, "right")) - 1
        payload = int(batch.messages.payload[message])
        batch.ledger.cut_late(one.vantage, one.pending, payload)
    return records


def _count_sequences(batch: Batch) -> None:
    """Compare each message's number with what its exporter sent before."""
    units = np.where(batch.unknown & (batch.messages.version == IPFIX), -1, batch.units)
    order = np.argsort(batch.vantage, kind="stable")
    bounds = np.searchsorted(batch.vantage[order], np.arange(len(batch.known) + 1))
    for number, one in enumerate(batch.known):
        rows = order[bounds[number] : bounds[number + 1]]
        columns = one.domain.sequence.steps(
            batch.headers.sequence[rows], units[rows], batch.option_units[rows]
        )
        for name, column in zip(_SEQUENCE_COUNTERS, columns, strict=True):
            batch.ledger.add(name, rows, column)
