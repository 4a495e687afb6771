"""
NetFlow v5, v9 and IPFIX read one byte at a time: what the decoder must agree with.

It knows nothing of arrays, groups or layouts, and shares no code with
`pipeline.decode`: a record is a dictionary of (enterprise, element) to bytes,
and each column is one line of `netflow_slow_rows.row_of`. Bounds and numbering are not its business.
"""

from collections import Counter
from dataclasses import dataclass, field

from netflow_slow_rows import (
    REVERSE,
    TEXT,
    Record,
    Row,
    address,
    factor_of,
    first,
    integer,
    mirrored,
    of_nprobe,
    row_of,
    uint,
)


@dataclass
class Template:
    """Fields as (enterprise, element, length); element -1 is a scope of v9."""

    fields: list[tuple[int, int, int]]
    scopes: int | None = None


@dataclass
class Domain:
    """What one exporter's domain has said."""

    templates: dict[int, Template] = field(default_factory=dict)
    factors: dict[int | None, float] = field(default_factory=dict)
    init_ms: int | None = None
    waiting: list[tuple[int, bytes, Row]] = field(default_factory=list)


class SlowNetflow:
    """The decoder, datagram by datagram."""

    def __init__(self) -> None:
        self.domains: dict[tuple[str, str, int], Domain] = {}
        self.rows: list[Row] = []
        self.counts: Counter[tuple[str, str, int, str]] = Counter()
        self.waits = self.bad = self.used = False

    def datagram(self, exporter: str, received_ns: int, data: bytes) -> str:
        """Decode one; ``decoded``, ``partial`` or ``rejected``."""
        self.waits = self.bad = self.used = False
        if not data:
            self.bad = True
        while data:
            data = self._message(exporter, received_ns, data)
        if self.waits or (self.bad and self.used):
            return "partial"
        return "rejected" if self.bad else "decoded"

    def _message(self, exporter: str, received_ns: int, data: bytes) -> bytes:
        version = integer(data[:2])
        header = {5: 24, 9: 20, 10: 16}.get(version)
        if len(data) < 2 or header is None or len(data) < header:
            self.bad = True
            return b""
        told = integer(data[2:4])
        length = {5: 24 + 48 * told, 9: len(data), 10: told}[version]
        if length > len(data) or length < header + (48 if version == 5 else 0):
            self.bad = True
            return b""
        message, rest = data[:length], data[length:]
        word = [integer(message[at : at + 4]) for at in range(0, header, 4)]
        about: Row = {"received_ns": received_ns, "exporter": exporter, "version": version}
        if version == 5:
            about["domain"] = integer(message[20:22])
            about["export_ns"] = word[2] * 10**9 + min(word[3], 999_999_999)
            about["up_ms"] = word[1]
            self._v5(about, message)
            return rest
        about["domain"] = word[4] if version == 9 else word[3]
        about["export_ns"] = (word[2] if version == 9 else word[1]) * 10**9
        about["up_ms"] = word[1] if version == 9 else None
        at = header
        while len(message) - at >= 4:
            number, size = integer(message[at : at + 2]), integer(message[at + 2 : at + 4])
            if version == 9 and number == size == 0:
                break
            if size < 4 or size > len(message) - at:
                self.bad = True
                break
            self._set(about, number, message[at + 4 : at + size])
            at += size
        return rest

    def _v5(self, about: Row, message: bytes) -> None:
        sampling = integer(message[22:24]) & 0x3FFF
        about |= {"factor": float(max(sampling, 1)), "factor_source": 1 if sampling > 1 else 0}
        widths = (8, 4), (12, 4), (None, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4)
        widths += (7, 2), (11, 2), (None, 1), (6, 1), (4, 1), (5, 1), (16, 2), (17, 2), (None, 4)
        for begin in range(24, len(message), 48):
            record: Record = {}
            at = begin
            for element, width in widths:
                if element is not None:
                    record[0, element] = message[at : at + width]
                at += width
            self._emit(about, record)
        self.used = True

    # --- sets ----------------------------------------------------------------

    def _set(self, about: Row, number: int, body: bytes) -> None:
        version = about["version"]
        key = (about["exporter"], TEXT[version], about["domain"])
        domain = self.domains.setdefault(key, Domain())
        plain, options = (0, 1) if version == 9 else (2, 3)
        if number in (plain, options):
            self._templates(about, domain, body, number == options)
        elif number < 256:
            self.bad = True
        elif number not in domain.templates:
            domain.waiting.append((number, body, dict(about)))
            self._count(about, "waiting_sets", 1)
            self.waits = True
        else:
            self._data(about, domain, domain.templates[number], body)

    def _templates(  # noqa: C901, PLR0912 - one obvious reading, top to bottom
        self, about: Row, domain: Domain, body: bytes, is_options: bool
    ) -> None:
        version = about["version"]
        at = 0
        header = 6 if version == 9 and is_options else 4
        learned = []
        while len(body) - at >= header and any(body[at:]):
            number, count = integer(body[at : at + 2]), integer(body[at + 2 : at + 4])
            at += 4
            if (
                version == 10
                and count == 0
                and (number >= 256 or number == (3 if is_options else 2))
            ):
                every = list(domain.templates) if number < 256 else [number]
                for one in every:
                    if (
                        one in domain.templates
                        and (domain.templates[one].scopes is not None) == is_options
                    ):
                        del domain.templates[one]
                self._count(about, "template_records", 1)
                self.used = True
                continue
            scopes: int | None = None
            if is_options and version == 9:
                option_bytes = integer(body[at : at + 2])
                at += 2
                if count % 4 or option_bytes % 4:
                    self.bad = True
                    break
                scopes, count = count // 4, (count + option_bytes) // 4
            elif is_options:
                if len(body) - at < 2:
                    self.bad = True
                    break
                scopes = integer(body[at : at + 2])
                at += 2
                if not 0 < scopes <= count:
                    self.bad = True
                    break
            if number < 256:
                self.bad = True
                break
            fields = []
            for place in range(count):
                one, at = self._field(body, at, version)
                if one is None:
                    break
                fields.append((0, -1, one[2]) if version == 9 and place < (scopes or 0) else one)
            if (
                len(fields) < count
                or not any(length for _, _, length in fields)
                or (version == 9 and any(length == 65535 for _, _, length in fields))
            ):
                self.bad = True
                break
            domain.templates[number] = Template(fields, scopes)
            learned.append(number)
            self._count(about, "template_records", 1)
            self.used = True
            self._wake(domain, number)

    @staticmethod
    def _field(body: bytes, at: int, version: int) -> tuple[tuple[int, int, int] | None, int]:
        if len(body) - at < 4:
            return None, at
        element, length = integer(body[at : at + 2]), integer(body[at + 2 : at + 4])
        at += 4
        if version == 10 and element & 0x8000:
            if len(body) - at < 4:
                return None, at
            return (integer(body[at : at + 4]), element & 0x7FFF, length), at + 4
        return (0, element, length), at

    def _wake(self, domain: Domain, number: int) -> None:
        ready = [one for one in domain.waiting if one[0] == number]
        domain.waiting = [one for one in domain.waiting if one[0] != number]
        for _, body, then in ready:
            self._count(then, "waiting_sets", -1)
            bad, used = self.bad, self.used
            self._data(then, domain, domain.templates[number], body)
            self.bad, self.used = bad, used

    def _data(self, about: Row, domain: Domain, template: Template, body: bytes) -> None:
        least = sum(1 if length == 65535 else length for _, _, length in template.fields)
        at, taken, is_cut = 0, 0, False
        while len(body) - at >= least:
            record, end = _record(template, body, at)
            if record is None:
                is_cut = True
                break
            at = end
            taken += 1
            if template.scopes is None:
                self._emit_data(about, domain, record)
            else:
                self._count(about, "option_records", 1)
                _learn_options(domain, record)
        left = body[at:]
        is_cut = is_cut or (len(left) > 3 and any(left))
        if is_cut:
            self.bad = True
        if taken or not is_cut:
            self.used = True

    def _emit_data(self, about: Row, domain: Domain, record: Record) -> None:
        factor = domain.factors.get(None, 0.0)
        selector = uint(record, 302)
        selector = uint(record, 48) if selector is None else selector
        if selector is not None:
            factor = domain.factors.get(selector, factor)
        own = factor_of(record)
        source = 3 if factor > 0 else 0
        if own:
            factor, source = own, 2
        self._emit(
            {**about, "factor": factor or 1.0, "factor_source": source, "init_ms": domain.init_ms},
            record,
        )

    # --- rows ----------------------------------------------------------------

    def _emit(self, about: Row, record: Record) -> None:
        if not any(address(record, *pair) for pair in ((8, 27), (12, 28))):
            self._count(about, "ignored_records", 1)
            return
        self._count(about, "decoded_records", 1)
        record = of_nprobe(record)
        octets = first(record, (REVERSE, 1), (REVERSE, 85), (0, 232))
        packets = first(record, (REVERSE, 2), (REVERSE, 86), (0, 299))
        row = row_of(about, record)
        is_biflow = octets is not None or packets is not None
        if is_biflow:
            row["biflow_direction"] = row["biflow_direction"] or 0
        self.rows.append(row)
        if octets or packets:
            back = row_of(about, mirrored(record))
            back["biflow_direction"] = row["biflow_direction"] | 128
            self.rows.append(back)

    def _count(self, about: Row, name: str, amount: int) -> None:
        self.counts[about["exporter"], TEXT[about["version"]], about["domain"], name] += amount


def _record(template: Template, body: bytes, at: int) -> tuple[Record | None, int]:
    record: Record = {}
    for place, (enterprise, element, told) in enumerate(template.fields):
        length, is_variable = told, told == 65535
        if is_variable:
            if len(body) - at < 1:
                return None, at
            length = body[at]
            at += 1
            if length == 255:
                if len(body) - at < 2:
                    return None, at
                length = integer(body[at : at + 2])
                at += 2
        if len(body) - at < length:
            return None, at
        is_scope = place < (template.scopes or 0) and (enterprise, element) not in (
            (0, 48),
            (0, 302),
        )
        if not is_variable and not is_scope and _fits(element, length):
            record.setdefault((enterprise, element), body[at : at + length])
        at += length
    return record, at


def _learn_options(domain: Domain, record: Record) -> None:
    factor = factor_of(record)
    if factor:
        selector = uint(record, 302)
        domain.factors[uint(record, 48) if selector is None else selector] = factor
    init_ms = uint(record, 160)
    if init_ms and init_ms < 1 << 43:
        domain.init_ms = init_ms


_V4S = (8, 12, 225, 226)
_V6S = (27, 28, 281, 282)
_NTPS = (154, 155, 156, 157, 324, 325)


def _fits(element: int, length: int) -> bool:
    if element in _V4S:
        return length == 4
    if element in _V6S:
        return length == 16
    return length == 8 if element in _NTPS else 1 <= length <= 8
