"""
Values that clients send for ``$1``, as what DuckDB casts to their type.

Before: parameters.py. After: session.py.
Source: PostgreSQL 15, the ``*in`` and ``*recv`` functions of its types.
"""

import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np

from pipeline.errors import ServeError
from pipeline.serve.pgwire import types
from pipeline.serve.pgwire.types import BY_ARRAY_OID, BY_OID, JSONB_OIDS, UNKNOWN_OIDS, Kind

_BAD_TEXT: Final = "22P02"
_BAD_BYTES: Final = "22P03"
_US_1970: Final = 946_684_800_000_000
"""From 1970 to 2000."""
_DAYS_1970: Final = 10_957
_INFINITE_US: Final = {(1 << 63) - 1: "infinity", -(1 << 63): "-infinity"}
_INFINITE_DAYS: Final = {(1 << 31) - 1: "infinity", -(1 << 31): "-infinity"}
_MOST: Final = 64
"""Levels an array may be deep; digits of base 10,000 a numeric may have."""


def value(data: bytes | None, oid: int, *, binary: bool) -> Any:
    """
    What DuckDB is given for a value.

    Raises
    ------
    ServeError
        22P02 for text, 22P03 for bytes that are no value of the type, 0A000
        for bytes of a type that is not known here.
    """
    if data is None:
        return None
    try:
        return (_of_bytes if binary else _of_text)(data, oid, 0)
    except (ValueError, ArithmeticError, struct.error, LookupError, TypeError) as error:
        state = _BAD_BYTES if binary else _BAD_TEXT
        raise ServeError(state, f"not a value of type {oid}: {error}") from error


def _of_text(data: bytes, oid: int, _: int) -> Any:
    text = data.decode()
    if "\0" in text:
        raise ValueError("a null character")
    if oid in BY_ARRAY_OID:
        return _array_of_text(text, BY_ARRAY_OID[oid])
    kind = BY_OID.get(oid)
    if kind is types.BYTEA:
        return bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode()
    if kind is types.NUMERIC:
        return _number(text.strip())
    return text


def _number(text: str) -> Any:
    """A whole number, a decimal, or a float where DuckDB has no decimal for it."""
    if text.lower() in {"nan", "infinity", "-infinity", "inf", "-inf"}:
        return float(text)
    found = Decimal(text)
    if found == found.to_integral_value() and abs(found) < 1 << 126:
        return int(found)
    fits = len(found.as_tuple().digits) <= 38 and abs(found.adjusted()) < 38  # noqa: PLR2004 - DECIMAL(38)
    return found if fits else float(found)


def _array_of_text(text: str, kind: Kind) -> list[Any]:
    r"""
    ``{a,"b c",NULL}``, nested.

    >>> _array_of_text('{1,NULL,"a\\"b"}', types.TEXT)
    ['1', None, 'a"b']
    """
    stack: list[list[Any]] = [[]]
    for found in _ELEMENT.finditer(text.strip()):
        match found.lastgroup:
            case "open":
                if len(stack) > _MOST:
                    raise ValueError("an array too deep")
                inner: list[Any] = []
                stack[-1].append(inner)
                stack.append(inner)
            case "close":
                if len(stack) < 2:  # noqa: PLR2004 - the outermost is ours
                    raise ValueError("a bracket too many")
                stack.pop()
            case "quoted":
                plain = re.sub(r"\\(.)", r"\1", found[0][1:-1], flags=re.DOTALL)
                stack[-1].append(_of_text(plain.encode(), kind.oid, 0))
            case "plain":
                word = found[0].strip()
                null = word.upper() == "NULL"
                stack[-1].append(None if null else _of_text(word.encode(), kind.oid, 0))
            case "other":
                raise ValueError(f"not an array at {found[0]!r}")
    if len(stack) != 1 or len(stack[0]) != 1 or not isinstance(stack[0][0], list):
        raise ValueError("not an array")
    whole: list[Any] = stack[0][0]
    return whole


_ELEMENT: Final = re.compile(
    r'(?P<open>\{)|(?P<close>\})|(?P<separator>,|\s+)|(?P<quoted>"(?:[^"\\]|\\.)*")'
    r'|(?P<plain>[^{}",\\]+)|(?P<other>.)',
    re.DOTALL,
)


def _of_bytes(data: bytes, oid: int, depth: int) -> Any:
    if oid in BY_ARRAY_OID:
        return _array_of_bytes(data, depth)
    if oid in UNKNOWN_OIDS:
        return _of_text(data, oid, 0)
    if oid == types.OID:
        return struct.unpack("!I", data)[0]
    if oid in JSONB_OIDS:
        data = data[1:]
    kind = BY_OID.get(oid)
    if kind not in _DECODERS:
        raise ServeError("0A000", f"bytes of type {oid} are not understood: send text")
    return _DECODERS[kind](data)


def _array_of_bytes(data: bytes, depth: int) -> list[Any]:
    dimensions, _, oid = struct.unpack_from("!iiI", data)
    if not dimensions:
        return []
    if dimensions != 1 or depth:
        raise ServeError("0A000", "arrays of more than one dimension are not understood")
    (length,) = struct.unpack_from("!i", data, 12)
    if not 0 <= length <= len(data) // 4:
        raise ValueError("a length that cannot be")
    out: list[Any] = []
    at = 20
    for _ in range(length):
        (size,) = struct.unpack_from("!i", data, at)
        at += 4
        if size < 0:
            out.append(None)
            continue
        if at + size > len(data):
            raise ValueError("an element beyond the end")
        out.append(_of_bytes(data[at : at + size], oid, depth + 1))
        at += size
    return out


def _struct(form: str) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        return struct.unpack(form, data)[0]

    return decode


def _timestamp(data: bytes) -> str:
    (us,) = struct.unpack("!q", data)
    if us in _INFINITE_US:
        return _INFINITE_US[us]
    return str(np.datetime64(us + _US_1970, "us")).replace("T", " ")


def _timestamptz(data: bytes) -> str:
    text = _timestamp(data)
    return text if text.endswith("infinity") else text + "+00"


def _date(data: bytes) -> str:
    (days,) = struct.unpack("!i", data)
    return _INFINITE_DAYS.get(days) or str(np.datetime64(days + _DAYS_1970, "D"))


def _time(data: bytes) -> str:
    (us,) = struct.unpack("!q", data)
    seconds, fraction = divmod(us, 1_000_000)
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"


def _timetz(data: bytes) -> str:
    west = struct.unpack("!i", data[8:])[0]
    east = abs(west)
    sign = "-" if west > 0 else "+"
    return f"{_time(data[:8])}{sign}{east // 3_600:02}:{east // 60 % 60:02}"


def _interval(data: bytes) -> str:
    us, days, months = struct.unpack("!qii", data)
    return f"{months} months {days} days {us} microseconds"


def _numeric(data: bytes) -> Any:
    groups, weight, sign, scale = struct.unpack_from("!hhHh", data)
    if sign not in {0, 0x4000}:
        return {0xC000: float("nan"), 0xD000: float("inf"), 0xF000: float("-inf")}[sign]
    if not 0 <= groups <= _MOST or abs(weight) > _MOST:
        raise ValueError("more digits than any column has")
    digits = struct.unpack_from(f"!{groups}H", data, 8)
    number = sum(digit * 10_000 ** (len(digits) - 1 - i) for i, digit in enumerate(digits))
    exponent = 4 * (weight - len(digits) + 1)
    found = Decimal(number).scaleb(exponent)
    text = format(-found if sign else found, "f")
    if scale > 0 and "." in text:
        whole, _, fraction = text.partition(".")
        text = f"{whole}.{fraction[:scale]}"
    return _number(text)


_DECODERS: Final[Mapping[Kind | None, Callable[[bytes], Any]]] = {
    types.BOOL: lambda data: struct.unpack("!?", data)[0],
    types.INT2: _struct("!h"),
    types.INT4: _struct("!i"),
    types.INT8: _struct("!q"),
    types.FLOAT4: _struct("!f"),
    types.FLOAT8: _struct("!d"),
    types.NUMERIC: _numeric,
    types.TEXT: lambda data: _of_text(data, types.TEXT_OID, 0),
    types.JSON: lambda data: _of_text(data, types.JSON.oid, 0),
    types.BYTEA: bytes,
    types.UUID: lambda data: data.hex(),
    types.DATE: _date,
    types.TIME: _time,
    types.TIMETZ: _timetz,
    types.TIMESTAMP: _timestamp,
    types.TIMESTAMPTZ: _timestamptz,
    types.INTERVAL: _interval,
}
"""Bytes of a type to what DuckDB casts to it."""
