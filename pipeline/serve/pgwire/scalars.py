"""
A column of one type to what the protocol says its values are, as text or as bytes.

Whole columns at a time: Arrow casts them, NumPy turns bytes round. What comes
out has no nulls; whose value is one, `rows` knows.

Before: types.py. After: rows.py.
Source: PostgreSQL 15, the ``*out`` and ``*send`` functions of its types.
"""

import re
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.serve.pgwire import types
from pipeline.serve.pgwire.types import Kind

_EPOCH_DAYS: Final = 10_957
"""From 1970, DuckDB's day 0, to 2000, PostgreSQL's."""
_EPOCH_US: Final = _EPOCH_DAYS * 86_400_000_000
_BASE: Final = 10_000
"""Of a numeric's digits."""
_LEAST_EXPONENT: Final = -4
"""Of a float that is written without one."""
_NOT_FINITE: Final = (
    ("nan", "NaN"), ("-nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity"),
)  # fmt: skip
NUMBERS: Final = frozenset({
    types.INT2, types.INT4, types.INT8, types.FLOAT4, types.FLOAT8, types.NUMERIC, types.BOOL,
})  # fmt: skip
"""Whose text needs no quotes in an array."""
_TIMETZ: Final = re.compile(
    r"(\d+):(\d+):(\d+)(?:\.(\d{1,6}))?(?:([+-])(\d+)(?::(\d+))?(?::(\d+))?)?"
)


def as_text(kind: Kind, values: pa.Array) -> pa.Array:
    """Binary array of the text of each value; empty for null."""
    return filled(_TEXT.get(kind, _plain)(values), values)


def as_bytes(kind: Kind, values: pa.Array) -> pa.Array:
    """Binary array of the bytes of each value; empty for null."""
    return filled(_BYTES.get(kind, _plain)(values), values)


def fixed(data: np.ndarray) -> pa.Array:
    """Binary array of which each value is one element of a contiguous NumPy array."""
    width = data.dtype.itemsize
    offsets = np.arange(0, (len(data) + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.binary(),
        len(data),
        [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))],
    )


def filled(encoded: pa.Array, values: pa.Array) -> pa.Array:
    """Binary array of what values were encoded to; empty for null."""
    if encoded.type != pa.binary():
        encoded = encoded.cast(pa.binary())
    return pc.if_else(values.is_valid(), encoded, b"") if values.null_count else encoded


def _plain(values: pa.Array) -> pa.Array:
    """Text as it is, numbers as Arrow writes them."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.string())


def _bool_text(values: pa.Array) -> pa.Array:
    return pc.if_else(values, b"t", b"f")


def _float_text(most: int) -> Callable[[pa.Array], pa.Array]:
    """Shortest digits, with an exponent where they would be many: from ``most`` on."""

    def convert(values: pa.Array) -> pa.Array:
        text = values.cast(pa.string())
        if pc.all(pc.is_finite(values)).as_py() is False:
            for arrow, postgres in _NOT_FINITE:
                text = pc.if_else(pc.equal(text, arrow), postgres, text)
        size = pc.abs(values)
        small = pc.and_(pc.less(size, 10.0**_LEAST_EXPONENT), pc.greater(size, 0.0))
        odd = pc.or_(pc.or_(small, pc.greater_equal(size, 10.0**most)), _has(text, "e"))
        return _where(pc.and_(odd, pc.is_finite(values)), text, lambda one: _scientific(one, most))

    return convert


def _scientific(text: str, most: int) -> str:
    """
    A number with an exponent where PostgreSQL writes one.

    >>> _scientific("1.234e-7", 15), _scientific("1e+14", 15), _scientific("16777216", 6)
    ('1.234e-07', '100000000000000', '1.6777216e+07')
    """
    number = Decimal(text)
    exponent = number.adjusted()
    if _LEAST_EXPONENT <= exponent < most:
        return format(number, "f")
    sign, digits, _ = number.normalize().as_tuple()
    first, *others = map(str, digits)
    fraction = f".{''.join(others)}" if others else ""
    return f"{'-' * sign}{first}{fraction}e{exponent:+03d}"


def _numeric_text(values: pa.Array) -> pa.Array:
    """Arrow writes small ones with an exponent."""
    text = _plain(values)
    return _where(_has(text, "E"), text, lambda one: format(Decimal(one), "f"))


def _has(text: pa.Array, part: str) -> pa.Array:
    return pc.match_substring(text, part)


def _where(condition: pa.Array, text: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """Text, changed one by one where a condition holds that seldom does."""
    condition = pc.fill_null(condition, False)
    if not pc.any(condition).as_py():
        return text
    changed = [change(one) for one in text.filter(condition).to_pylist()]
    return pc.replace_with_mask(text, condition, pa.array(changed, text.type))


def _timestamp_text(values: pa.Array, zone: str = "") -> pa.Array:
    """No fraction of a second where there is none, and no zeros at its end."""
    number = values.cast(pa.timestamp("us"), safe=False)
    text = pc.replace_substring_regex(number.cast(pa.string()), r"\.0{6}$|0+$", "")
    text = pc.binary_join_element_wise(text, pa.scalar(zone), "")
    return _endless(text, number.view(pa.int64()), np.iinfo(np.int64).max)


def _timestamptz_text(values: pa.Array) -> pa.Array:
    return _timestamp_text(values, "+00")


def _date_text(values: pa.Array) -> pa.Array:
    return _endless(values.cast(pa.string()), values.view(pa.int32()), np.iinfo(np.int32).max)


def _endless(text: pa.Array, number: pa.Array, most: int) -> pa.Array:
    """DuckDB's largest number is infinity, and its negative the other."""
    for value, said in ((most, "infinity"), (-most, "-infinity")):
        is_it = pc.equal(number, pa.scalar(value, number.type))
        if pc.any(is_it).as_py():
            text = pc.if_else(is_it, said, text)
    return text


def _interval_text(values: pa.Array) -> pa.Array:
    """DuckDB says months, PostgreSQL mons; and what is not negative after what is, is +."""
    text = pc.replace_substring(values, "month", "mon")
    text = pc.replace_substring_regex(text, r"(-1 (?:year|mon|day))\b", r"\1s")
    return pc.replace_substring_regex(text, r"(-\d+ [a-z]+) (\d)", r"\1 +\2")


def _bytea_text(values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(b"\\x", _hex(values), b"")


def _hex(values: pa.Array) -> pa.Array:
    values = pc.fill_null(values, b"")
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    data = values.buffers()[2]
    digits = data.to_pybytes()[offsets[0] : offsets[-1]].hex().encode() if data else b""
    doubled = ((offsets - offsets[0]) * 2).astype(np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(values), [None, pa.py_buffer(doubled), pa.py_buffer(digits)]
    )


def _numbers(dtype: str) -> Callable[[pa.Array], pa.Array]:
    def convert(values: pa.Array) -> pa.Array:
        return fixed(_numpy(values).astype(dtype))

    return convert


def _numpy(values: pa.Array) -> np.ndarray:
    """Values, 0 for null."""
    if values.null_count:
        values = pc.fill_null(values, pa.scalar(0, values.type))
    found: np.ndarray = values.to_numpy(zero_copy_only=False)
    return found


def _timestamp_bytes(values: pa.Array) -> pa.Array:
    number = _numpy(values.cast(pa.timestamp("us", values.type.tz), safe=False).view(pa.int64()))
    return _since_2000(number, _EPOCH_US, np.iinfo(np.int64), ">i8")


def _date_bytes(values: pa.Array) -> pa.Array:
    return _since_2000(_numpy(values.view(pa.int32())), _EPOCH_DAYS, np.iinfo(np.int32), ">i4")


def _since_2000(number: np.ndarray, epoch: int, limits: Any, dtype: str) -> pa.Array:
    moved = number - number.dtype.type(epoch)
    moved = np.where(number == limits.max, limits.max, moved)
    moved = np.where(number == -limits.max, limits.min, moved)
    return fixed(moved.astype(dtype))


def _interval_bytes(values: pa.Array) -> pa.Array:
    raw = np.frombuffer(values.buffers()[1], np.dtype("<i4, <i4, <i8"))
    raw = raw[values.offset :][: len(values)]  # what stands where a null is, nobody sees
    out = np.empty(len(values), np.dtype(">i8, >i4, >i4"))
    out["f0"], out["f1"], out["f2"] = raw["f2"] // 1_000, raw["f1"], raw["f0"]
    return fixed(out)


def _uuid_bytes(values: pa.Array) -> pa.Array:
    zeros = pc.fill_null(values, "0" * 32)
    digits = b"".join(pc.replace_substring(zeros, "-", "").cast(pa.binary()).to_pylist())
    return fixed(np.frombuffer(bytes.fromhex(digits.decode()), "V16"))


def _each(convert: Callable[[str], bytes]) -> Callable[[pa.Array], pa.Array]:
    """For types that are rare: value by value, from text."""

    def convert_all(values: pa.Array) -> pa.Array:
        texts: Iterable[str | None] = _plain(values).to_pylist()
        return pa.array([None if text is None else convert(text) for text in texts], pa.binary())

    return convert_all


def numeric(text: str) -> bytes:
    r"""
    Bytes of a numeric: count of digits of base 10,000, weight, sign, scale, digits.

    >>> numeric("-12345.67")
    b'\x00\x03\x00\x01@\x00\x00\x02\x00\x01\t)\x1a,'
    """
    sign = 0x4000 if text.startswith("-") else 0
    whole, _, fraction = text.lstrip("-").partition(".")
    if "E" in fraction or "E" in whole:
        return numeric(format(Decimal(text), "f"))
    scale = len(fraction)
    digits = whole.rjust(-(-len(whole) // 4) * 4, "0")
    digits += fraction.ljust(-(-scale // 4) * 4, "0")
    weight = -(-len(whole) // 4) - 1
    groups = [int(digits[i : i + 4]) for i in range(0, len(digits), 4)]
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    weight = weight if groups else 0
    return struct.pack(f"!HhHH{len(groups)}H", len(groups), weight, sign, scale, *groups)


def timetz(text: str) -> bytes:
    """Bytes of a timetz: microseconds of the day, seconds west of Greenwich."""
    found = _TIMETZ.fullmatch(text)
    if not found:
        raise ValueError(f"no time with a zone: {text!r}")
    hours, minutes, seconds, fraction, sign, *zone = found.groups(default="0")
    us = (int(hours) * 60 + int(minutes)) * 60_000_000 + int(seconds) * 1_000_000
    east = sum(int(part) * unit for part, unit in zip(zone, (3_600, 60, 1), strict=True))
    return struct.pack("!qi", us + int(fraction.ljust(6, "0")), east if sign == "-" else -east)


def _time(text: str) -> bytes:
    return timetz(text)[:8]


_TEXT: Final = {
    types.BOOL: _bool_text,
    types.BYTEA: _bytea_text,
    types.FLOAT4: _float_text(6),
    types.FLOAT8: _float_text(15),
    types.NUMERIC: _numeric_text,
    types.TIMESTAMP: _timestamp_text,
    types.TIMESTAMPTZ: _timestamptz_text,
    types.DATE: _date_text,
    types.INTERVAL: _interval_text,
}
"""Where the text of a type is not what Arrow casts to."""
_BYTES: Final = {
    types.BOOL: lambda values: fixed(_numpy(values.cast(pa.uint8())).astype("u1")),
    types.BYTEA: lambda values: values,
    types.INT2: _numbers(">i2"),
    types.INT4: _numbers(">i4"),
    types.INT8: _numbers(">i8"),
    types.FLOAT4: _numbers(">f4"),
    types.FLOAT8: _numbers(">f8"),
    types.TIMESTAMP: _timestamp_bytes,
    types.TIMESTAMPTZ: _timestamp_bytes,
    types.DATE: _date_bytes,
    types.TIME: _each(_time),
    types.TIMETZ: _each(timetz),
    types.INTERVAL: _interval_bytes,
    types.UUID: _uuid_bytes,
    types.NUMERIC: _each(numeric),
}
"""Where the bytes of a type are not its text."""
