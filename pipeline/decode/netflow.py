"""
NetFlow v5, v9 and IPFIX datagrams of many exporters to flow rows, together.

    datagrams -> messages -> sets          sets.py, a step for all at once
    template and options sets, in order    templates.py, domains.py
    data sets, grouped by layout           records.py, one gather a group
    raw values -> rows                     flows.py

Templates and options take effect where they stand: a template that changes in
the middle of a batch divides the sets before it from those behind. A set whose
template has not come yet waits, bounded, and is decoded when it comes; the rest
of its datagram is not held up by it.

Before: pipeline/intake.py. After: pipeline/normalize.py.
Source: RFC 3954, RFC 7011, Cisco NetFlow v5 record format.
"""

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from collectors.log import Place
from pipeline import accounting, rejects, schema
from pipeline.decode import Decoded, Payloads, Vantage
from pipeline.decode.control import Control
from pipeline.decode.domains import (
    MAX_PENDING_BYTES,
    MAX_PENDING_SETS,
    PENDING_NS,
    Domains,
    Known,
    Options,
    Pending,
)
from pipeline.decode.flows import NO_TIME, Context, Values, to_rows
from pipeline.decode.netflow5 import read_v5
from pipeline.decode.records import read
from pipeline.decode.sets import (
    IPFIX,
    V5,
    V9,
    Messages,
    Reject,
    Sets,
    be16,
    be32,
    find_messages,
    find_sets,
)
from pipeline.rejects import RAW_BYTES, Reason

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

_FORMATS: Final = {V5: "netflow5", V9: "netflow9", IPFIX: "ipfix"}
_FIRST_DATA_SET: Final = 256
_MINUTE_NS: Final = 60 * 10**9


class Netflow:
    """The decoder of kind ``netflow``; see `pipeline.decode.Decoder`."""

    def __init__(self) -> None:
        self._places: dict[Place, Domains] = {}

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these datagrams, and of sets that waited for them."""
        return _Batch(payloads, self._places).decode()

    def snapshot(self, place: Place) -> bytes:
        """Templates, options, numbering and waiting sets of one partition."""
        domains = self._places.get(place)
        return domains.dump() if domains else b""

    def restore(self, place: Place, state: bytes) -> None:
        """Replace what is remembered of one partition."""
        self._places.pop(place, None)
        if state:
            self._places[place] = Domains.load(state)


class _Headers(NamedTuple):
    """What message headers say, m long."""

    sequence: I64
    domain: I64
    export_ns: I64
    boot_ns: I64


class _Batch:
    """One call of `Netflow.decode`."""

    def __init__(self, payloads: Payloads, places: dict[Place, Domains]) -> None:
        self.payloads = payloads
        self._places = places
        count = len(payloads.payload)
        _, offsets, data = payloads.payload.buffers()
        first = payloads.payload.offset
        self._offsets = np.frombuffer(offsets, np.int32)[first : first + count + 1].astype(np.int64)
        self.buffer = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        self.rejects: list[Reject] = []
        self._frames: list[pl.DataFrame] = []
        self._vantages: list[Vantage] = []
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._totals: dict[str, list[tuple[npt.NDArray[np.int32], I64, I64]]] = defaultdict(list)

    def decode(self) -> Decoded:
        count = len(self.payloads.payload)
        messages, refused = find_messages(self.buffer, self._offsets[:-1], self._offsets[1:])
        self.rejects += refused
        headers = self._read_headers(messages)
        vantage = self._number(messages, headers)
        known = [self._domain(self._vantages[number]) for number in range(len(self._vantages))]
        sets, refused = find_sets(self.buffer, messages)
        self.rejects += refused
        used = np.zeros(count, np.bool_)
        units = np.where(messages.version == V9, 1, 0)
        self.option_units = np.zeros(len(units), np.int64)
        self._decode_v5(messages, headers, vantage, units, used)
        waits = self._decode_sets(messages, headers, vantage, known, sets, units, used)
        self._sequences(messages, headers, vantage, known, units)
        return Decoded(
            vantages=self._vantages,
            frames={
                "flows": pl.concat(self._frames)
                if self._frames
                else schema.DECODED_FLOWS.to_frame()
            },
            rejects=self._reject_rows(messages, vantage),
            counts=self._counts(messages, vantage, used, waits),
        )

    # --- messages ------------------------------------------------------------

    def _read_headers(self, messages: Messages) -> _Headers:
        buffer, at, version = self.buffer, messages.begin, messages.version
        if not len(at):
            return _Headers(*(np.array([], np.int64) for _ in range(4)))
        v5, v9 = version == V5, version == V9
        word = [be32(buffer, at + 4 * number) for number in range(4)]
        last = be32(buffer, np.minimum(at + 16, messages.end - 4))
        export_s = np.where(version == IPFIX, word[1], word[2])
        nanoseconds = np.where(v5, np.minimum(word[3], 999_999_999), 0)
        export_ns = export_s * 10**9 + nanoseconds
        boot_ns = np.where(version == IPFIX, NO_TIME, export_ns - word[1] * 10**6)
        engine = be16(buffer, np.minimum(at + 20, messages.end - 2))
        sequence = np.select([v5, v9], [last, word[3]], word[2])
        domain = np.select([v5, v9], [engine, last], word[3])
        return _Headers(sequence, domain, export_ns, boot_ns)

    def _number(self, messages: Messages, headers: _Headers) -> npt.NDArray[np.int32]:
        """Vantage of each message."""
        source = self.payloads.source[messages.payload].astype(np.int64)
        key = (source << 36) | (messages.version << 32) | headers.domain
        distinct, inverse = np.unique(key, return_inverse=True)
        numbers = []
        for one in distinct.tolist():
            parts = (one >> 36, one >> 32 & 15, one & 0xFFFF_FFFF)
            numbers.append(self._vantage(*parts))
        return np.array(numbers, np.int32)[inverse] if numbers else np.array([], np.int32)

    def _vantage(self, source: int, version: int, domain: int) -> int:
        key = (source, version, domain)
        if key not in self._numbers:
            self._numbers[key] = len(self._vantages)
            name = _FORMATS.get(version, "unknown")
            self._vantages.append(Vantage(self.payloads.sources[source], name, domain))
        return self._numbers[key]

    def _domain(self, vantage: Vantage) -> Known:
        source = vantage.source
        key = (
            source.agent,
            source.network,
            source.exporter,
            vantage.format,
            vantage.observation_domain,
        )
        return self._places.setdefault(source.place, Domains()).get(key)

    # --- NetFlow v5 ----------------------------------------------------------

    def _decode_v5(
        self,
        messages: Messages,
        headers: _Headers,
        vantage: npt.NDArray[np.int32],
        units: I64,
        used: npt.NDArray[np.bool_],
    ) -> None:
        rows = np.flatnonzero(messages.version == V5)
        if not len(rows):
            return
        values, of_message, factor, source = read_v5(
            self.buffer, messages.begin[rows], messages.end[rows]
        )
        message = rows[of_message]
        units[rows] = np.bincount(of_message, minlength=len(rows))
        context = self._context(messages, headers, vantage, message)._replace(
            factor=factor, factor_source=source
        )
        self._emit(values, context)
        used[messages.payload[rows]] = True

    def _context(
        self, messages: Messages, headers: _Headers, vantage: npt.NDArray[np.int32], message: I64
    ) -> Context:
        return Context(
            vantage[message],
            self.payloads.received_ns[messages.payload[message]],
            headers.export_ns[message],
            headers.boot_ns[message],
            np.ones(len(message)),
            np.zeros(len(message), np.uint8),
        )

    def _emit(self, values: Values, context: Context) -> None:
        frames, ignored = to_rows(values, context)
        self._frames += frames
        if ignored:
            self.add("ignored_records", context.vantage, context.received_ns)
        else:
            self.add("decoded_records", context.vantage, context.received_ns)

    def add(
        self, counter: str, vantage: npt.NDArray[np.int32], received_ns: I64, amount: I64 | int = 1
    ) -> None:
        self._totals[counter].append(
            (
                vantage,
                received_ns,
                np.broadcast_to(
                    np.int64(amount) if isinstance(amount, int) else amount, vantage.shape
                ),
            )
        )

    # --- NetFlow v9 and IPFIX ------------------------------------------------

    def _decode_sets(
        self,
        messages: Messages,
        headers: _Headers,
        vantage: npt.NDArray[np.int32],
        known: list[Known],
        sets: Sets,
        units: I64,
        used: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Decode all data sets; True where a payload has a set that waits."""
        payload = messages.payload[sets.message]
        waits = np.zeros(len(used), np.bool_)
        of_vantage = vantage[sets.message]
        is_data = sets.number >= _FIRST_DATA_SET
        control = Control(self, messages, vantage, known, sets)
        control.templates(np.flatnonzero(~is_data), used)
        layouts, index = control.resolve(np.flatnonzero(is_data))
        missing = np.flatnonzero(is_data & (index < 0))
        self._put_aside(messages, headers, known, of_vantage, sets, missing, waits)
        version = messages.version[sets.message]
        units[sets.message[missing[version[missing] == IPFIX]]] = -(1 << 40)
        options = [number for number, layout in enumerate(layouts) if layout.is_options]
        for number in options:
            rows = np.flatnonzero(index == number)
            control.options(layouts[number], rows, units, used)
        control.settle_options()
        states, state_of = control.states(np.flatnonzero(is_data))
        for number, layout in enumerate(layouts):
            if layout.is_options:
                continue
            rows = np.flatnonzero(index == number)
            records = read(self.buffer, layout, sets.position[rows], sets.length[rows])
            self.reject_cut(messages, sets, rows[records.cut])
            message = sets.message[rows[records.of_set]]
            ipfix = message[version[rows[records.of_set]] == IPFIX]
            units += np.bincount(ipfix, minlength=len(units))
            used[payload[rows]] = True
            if len(message):
                context = self._context(messages, headers, vantage, message)
                self._emit(
                    records.values,
                    _with_options(context, states, state_of[rows[records.of_set]], records.values),
                )
        self._take_up(known, control)
        return waits

    def reject_cut(self, messages: Messages, sets: Sets, rows: I64) -> None:
        for row in rows.tolist():
            begin, end = int(sets.position[row]), int(sets.position[row] + sets.length[row])
            payload = int(messages.payload[sets.message[row]])
            self.rejects.append(
                Reject(payload, Reason.RECORD_TRUNCATED, f"set {sets.number[row]}", begin, end)
            )

    def _put_aside(
        self,
        messages: Messages,
        headers: _Headers,
        known: list[Known],
        of_vantage: npt.NDArray[np.int32],
        sets: Sets,
        rows: I64,
        waits: npt.NDArray[np.bool_],
    ) -> None:
        for row in rows.tolist():
            message = int(sets.message[row])
            payload = int(messages.payload[message])
            begin, length = int(sets.position[row]), int(sets.length[row])
            domain = known[of_vantage[row]].domain
            received_ns = int(self.payloads.received_ns[payload])
            if (
                domain.pending_bytes + length > MAX_PENDING_BYTES
                or len(domain.pending) >= MAX_PENDING_SETS
            ):
                detail = f"set {sets.number[row]}: {domain.pending_bytes} bytes wait already"
                self.rejects.append(
                    Reject(payload, Reason.PENDING_LIMIT, detail, begin, begin + length)
                )
                continue
            waits[payload] = True
            domain.pending_bytes += length
            domain.pending.append(
                Pending(
                    int(sets.number[row]),
                    received_ns,
                    int(headers.export_ns[message]),
                    int(headers.boot_ns[message]),
                    self.buffer[begin : begin + length].tobytes(),
                )
            )
            self.add("waiting_sets", of_vantage[row : row + 1], np.array([received_ns]))

    def _take_up(self, known: list[Known], control: Control) -> None:
        """Decode sets whose template has come; give up those that waited too long."""
        now_ns = int(self.payloads.received_ns.max()) if len(self.payloads.received_ns) else 0
        for number, one in enumerate(known):
            domain = one.domain
            if not domain.pending:
                continue
            waiting, ready = [], []
            for pending in domain.pending:
                if control.first_layout(number, pending.number) is not None:
                    ready.append(pending)
                elif now_ns - pending.received_ns > PENDING_NS:
                    self.rejects.append(
                        Reject(
                            -1 - number,
                            Reason.PENDING_LIMIT,
                            f"set {pending.number}: no template in time",
                            0,
                            0,
                        )
                    )
                    self._left(number, pending)
                else:
                    waiting.append(pending)
            domain.pending = waiting
            domain.pending_bytes = sum(len(pending.body) for pending in waiting)
            for pending in ready:
                self._left(number, pending)
                self._decode_pending(number, one, pending, control)

    def _left(self, number: int, pending: Pending) -> None:
        self.add("waiting_sets", np.array([number], np.int32), np.array([pending.received_ns]), -1)

    def _decode_pending(self, number: int, one: Known, pending: Pending, control: Control) -> None:
        layout = control.first_layout(number, pending.number)
        assert layout is not None
        buffer = np.frombuffer(pending.body, np.uint8)
        records = read(buffer, layout, np.array([0]), np.array([len(buffer)]))
        count = len(records.of_set)
        vantage, received = np.full(count, number, np.int32), np.full(count, pending.received_ns)
        if layout.is_options:
            self.add("option_records", vantage, received)
            control.learn_options(one, records.values, count)
        elif count:
            context = Context(
                vantage,
                received,
                np.full(count, pending.export_ns),
                np.full(count, pending.boot_ns),
                np.ones(count),
                np.zeros(count, np.uint8),
            )
            state = np.zeros(count, np.int64)
            self._emit(
                records.values, _with_options(context, [one.domain.options], state, records.values)
            )

    # --- what is told about it -----------------------------------------------

    def _sequences(
        self,
        messages: Messages,
        headers: _Headers,
        vantage: npt.NDArray[np.int32],
        known: list[Known],
        units: I64,
    ) -> None:
        names = (
            "sequence_units_expected",
            "sequence_units_received",
            "sequence_resets",
            "out_of_order_payloads",
        )
        order = np.argsort(vantage, kind="stable")
        bounds = np.searchsorted(vantage[order], np.arange(len(known) + 1))
        for number, one in enumerate(known):
            rows = order[bounds[number] : bounds[number + 1]]
            if not len(rows):
                continue
            columns = one.domain.sequence.steps(
                headers.sequence[rows], units[rows], self.option_units[rows]
            )
            received = self.payloads.received_ns[messages.payload[rows]]
            for name, column in zip(names, columns, strict=True):
                if column.any():
                    self.add(name, vantage[rows], received, column)

    def _reject_rows(self, messages: Messages, vantage: npt.NDArray[np.int32]) -> pl.DataFrame:
        first: dict[int, int] = {}
        if self.rejects:
            for payload, number in zip(
                messages.payload[::-1].tolist(), vantage[::-1].tolist(), strict=True
            ):
                first[payload] = number
        rows = []
        for reject in self.rejects:
            number = first.get(reject.payload) if reject.payload >= 0 else -1 - reject.payload
            payload = max(reject.payload, 0)
            if number is None:
                number = self._vantage(int(self.payloads.source[payload]), 0, 0)
            raw = self.buffer[reject.begin : min(reject.end, reject.begin + RAW_BYTES)].tobytes()
            rows.append(
                (
                    number,
                    payload,
                    reject.reason.value,
                    reject.detail[:200],
                    raw,
                    reject.end - reject.begin,
                )
            )
        return pl.DataFrame(rows, rejects.FRAME, orient="row")

    def _counts(
        self,
        messages: Messages,
        vantage: npt.NDArray[np.int32],
        used: npt.NDArray[np.bool_],
        waits: npt.NDArray[np.bool_],
    ) -> pl.DataFrame:
        count = len(used)
        of_payload = np.full(count, -1, np.int64)
        of_payload[messages.payload[::-1]] = vantage[::-1]
        for payload in np.flatnonzero(of_payload < 0).tolist():
            of_payload[payload] = self._vantage(int(self.payloads.source[payload]), 0, 0)
        numbers, received = of_payload.astype(np.int32), self.payloads.received_ns
        refused = np.zeros(count, np.bool_)
        refused[[reject.payload for reject in self.rejects if reject.payload >= 0]] = True
        partial = (refused & used) | (waits & ~refused) | (waits & used)
        rejected = refused & ~partial
        self.add("received_payloads", numbers, received)
        self.add("received_bytes", numbers, received, np.diff(self._offsets))
        for name, rows in (
            ("decoded_payloads", ~partial & ~rejected),
            ("partial_payloads", partial),
            ("rejected_payloads", rejected),
        ):
            self.add(name, numbers[rows], received[rows])
        sets = [reject for reject in self.rejects if reject.reason not in _WHOLE]
        if sets:
            payloads = np.array([max(reject.payload, 0) for reject in sets])
            self.add("rejected_sets", numbers[payloads], received[payloads])
        width = len(self._vantages)
        minutes: dict[int, dict[str, int]] = defaultdict(
            lambda: dict.fromkeys(accounting.COUNTERS, 0)
        )
        for name, parts in self._totals.items():
            for of_vantage, received_ns, amount in parts:
                key = received_ns // _MINUTE_NS * width + of_vantage
                distinct, inverse = np.unique(key, return_inverse=True)
                sums = np.bincount(inverse, weights=amount, minlength=len(distinct))
                for one, total in zip(distinct.tolist(), sums.tolist(), strict=True):
                    minutes[one][name] += int(total)
        rows = [
            (key % width, key // width * _MINUTE_NS, *counts.values())
            for key, counts in minutes.items()
        ]
        return pl.DataFrame(rows, accounting.FRAME, orient="row")


_WHOLE: Final = frozenset(
    {Reason.PAYLOAD_EMPTY, Reason.VERSION_UNKNOWN, Reason.HEADER_TRUNCATED, Reason.LENGTH_MISMATCH}
)
"""Reasons that speak of a message, not of a set in one."""


def _with_options(context: Context, states: list[Options], state: I64, values: Values) -> Context:
    """Sampling and start of the exporter, as options data said before each record."""
    if all(not one.by_selector and not one.factor and one.system_init_ns < 0 for one in states):
        return context
    factor = np.array([one.factor for one in states])[state]
    selector = values.get("selector_id", values.get("sampler_id"))
    if selector is not None:
        pairs, inverse = np.unique(
            np.stack([state.astype(np.uint64), selector]), axis=1, return_inverse=True
        )
        told = np.array(
            [states[int(one)].by_selector.get(int(number), 0.0) for one, number in pairs.T]
        )
        factor = np.where(told[inverse.reshape(-1)] > 0, told[inverse.reshape(-1)], factor)
    init_ns = np.array([one.system_init_ns for one in states], np.int64)[state]
    return context._replace(
        boot_ns=np.where((context.boot_ns == NO_TIME) & (init_ns >= 0), init_ns, context.boot_ns),
        factor=np.where(factor > 0, factor, 1.0),
        factor_source=np.where(factor > 0, np.uint8(3), np.uint8(0)),
    )
