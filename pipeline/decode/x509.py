"""
Who a certificate is of, who signed it, and until when: one DER certificate in, its fields out.

    Certificate  SEQUENCE { SEQUENCE { version, serial, algorithm, issuer, validity, subject, key,
                                       [3] extensions }, ... }

Nothing is verified: that did the agent that was shown it. Each step reads one
tag and length, and goes on behind it, so any bytes end in an error or in fields.

Before: probe.py. After: probe.py.
Source: RFC 5280 section 4.1; RFC 4514 for names as text.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final, NamedTuple

_INTEGER, _OCTETS, _OID, _UTC, _GENERALIZED, _SEQUENCE, _SET = 2, 4, 6, 23, 24, 0x30, 0x31
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS, _URI, _IP = 0x82, 0x86, 0x87
_SUBJECT_ALT_NAME: Final = bytes.fromhex("551d11")
_LONG: Final = 0x80
_LENGTH_BYTES: Final = 4

_MAX_BYTES: Final = 65_536
_MAX_OID_BYTES: Final = 64

_ENCODINGS: Final = {
    12: "utf-8",
    19: "ascii",
    20: "latin-1",
    22: "ascii",
    28: "utf-32-be",
    30: "utf-16-be",
}
"""Tag of a string to how it is written."""
_ATTRIBUTES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_SPECIAL: Final = re.compile(r'[,+"\\<>;]|^[ #]| $')
_TIMES: Final = {_UTC: re.compile(rb"\d{12}Z"), _GENERALIZED: re.compile(rb"\d{14}Z")}
_CENTURY: Final = 50
"""Years of two digits below this are of 2000 on."""


class Certificate(NamedTuple):
    """What a certificate says of itself."""

    subject: str
    issuer: str
    serial: str
    """Hexadecimal, upper case, as openssl prints it."""
    identities: list[str]
    """URIs among its names."""
    names: list[str]
    """DNS names and addresses among them."""
    not_before: datetime
    not_after: datetime


class _Value(NamedTuple):
    """One element: its tag, its content, and all of it."""

    tag: int
    data: memoryview
    whole: memoryview

    def parts(self) -> Iterator["_Value"]:
        """Elements inside, one behind the other."""
        rest = self.data
        while rest:
            part, rest = _split(rest)
            yield part

    def bytes(self) -> bytes:
        return bytes(self.data)


def read_certificate(der: bytes) -> Certificate | None:
    """Fields of a certificate; None if these bytes are none."""
    try:
        return _read(der)
    except ValueError:
        return None


def _read(der: bytes) -> Certificate:
    whole, rest = _split(memoryview(der))
    if rest or len(der) > _MAX_BYTES:
        raise ValueError("no certificate")
    told, *_ = _expect(whole, _SEQUENCE).parts()
    fields = list(_expect(told, _SEQUENCE).parts())
    if fields and fields[0].tag == _VERSION:
        fields = fields[1:]
    serial, _, issuer, validity, subject, _, *more = fields
    not_before, not_after = _expect(validity, _SEQUENCE).parts()
    names = [name for part in more if part.tag == _EXTENSIONS for name in _alt_names(part)]
    return Certificate(
        subject=_name(subject),
        issuer=_name(issuer),
        serial=_serial(_expect(serial, _INTEGER)),
        identities=[_text(name, "ascii") for name in names if name.tag == _URI],
        names=[
            _text(name, "ascii") if name.tag == _DNS else str(ip_address(name.bytes()))
            for name in names
            if name.tag in (_DNS, _IP)
        ],
        not_before=_time(not_before),
        not_after=_time(not_after),
    )


def _split(data: memoryview) -> tuple[_Value, memoryview]:
    """First element, and what is behind it."""
    if len(data) < 2 or data[0] & 0x1F == 0x1F:  # noqa: PLR2004 tag and length; no tag is longer here
        raise ValueError("cut")
    tag, length, start = data[0], data[1], 2
    if length >= _LONG:
        count = length - _LONG
        start += count
        if not 0 < count <= _LENGTH_BYTES or start > len(data):
            raise ValueError("a length nobody needs")
        length = int.from_bytes(data[2:start])
    if start + length > len(data):
        raise ValueError("cut")
    end = start + length
    return _Value(tag, data[start:end], data[:end]), data[end:]


def _expect(value: _Value, tag: int) -> _Value:
    if value.tag != tag:
        raise ValueError(f"tag {value.tag}, not {tag}")
    return value


def _serial(value: _Value) -> str:
    number = int.from_bytes(value.data, signed=True)
    digits = f"{abs(number):X}"
    return ("-" if number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _time(value: _Value) -> datetime:
    """
    Time of a validity.

    >>> _time(_split(memoryview(bytes([_UTC, 13]) + b"491231235959Z"))[0]).isoformat()
    '2049-12-31T23:59:59+00:00'
    """
    form = _TIMES.get(value.tag)
    text = value.bytes()
    if form is None or not form.fullmatch(text):
        raise ValueError("no time")
    if value.tag == _UTC:
        text = (b"20" if int(text[:2]) < _CENTURY else b"19") + text
    return datetime.strptime(text.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(value: _Value) -> str:
    """Name, the last part first, as RFC 4514 says."""
    parts = []
    for group in _expect(value, _SEQUENCE).parts():
        pairs = []
        for pair in _expect(group, _SET).parts():
            kind, text = _expect(pair, _SEQUENCE).parts()
            number = _dotted(_expect(kind, _OID).bytes())
            pairs.append(f"{_ATTRIBUTES.get(number, number)}={_string(text)}")
        parts.append("+".join(pairs))
    return ",".join(reversed(parts))


def _string(value: _Value) -> str:
    if value.tag not in _ENCODINGS:
        return f"#{value.whole.hex()}"
    return _SPECIAL.sub(r"\\\g<0>", _text(value, _ENCODINGS[value.tag]))


def _text(value: _Value, encoding: str) -> str:
    return value.bytes().decode(encoding, "replace")


def _dotted(oid: bytes) -> str:
    """
    Object identifier as numbers.

    >>> _dotted(bytes.fromhex("2a864886f70d010901"))
    '1.2.840.113549.1.9.1'
    """
    if len(oid) > _MAX_OID_BYTES:
        raise ValueError("an identifier nobody has")
    numbers, number = [], 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if byte < _LONG:
            numbers.append(number)
            number = 0
    first, *rest = numbers
    arc = min(first // 40, 2)
    return ".".join(map(str, (arc, first - 40 * arc, *rest)))


def _alt_names(extensions: _Value) -> Iterator[_Value]:
    (listed,) = extensions.parts()
    for extension in _expect(listed, _SEQUENCE).parts():
        kind, *_, octets = _expect(extension, _SEQUENCE).parts()
        if kind.data == _SUBJECT_ALT_NAME:
            (names,) = _expect(octets, _OCTETS).parts()
            yield from _expect(names, _SEQUENCE).parts()
