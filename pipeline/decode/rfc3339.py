"""
Times as RFC 3339 writes them, to UTC nanoseconds: n texts in, n numbers out.

    2026-01-02T03:04:05.678Z    2026-01-02T03:04:05+01:00

Before: json_lines.py. After: the decoders of lines.
"""

from typing import Final

import polars as pl

_FORM: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
)
_LIMIT_S: Final = 9_223_372_035
"""What nanoseconds in 64 bits reach, either way from 1970."""


def utc_ns(text: pl.Expr) -> pl.Expr:
    """
    Int64, null where the text is no time; digits beyond the ninth are left out.

    >>> pl.select(utc_ns(pl.lit("1970-01-01T01:00:00.5+01:00"))).item()
    500000000
    """
    tail = text.str.slice(19)
    second = text.str.head(19).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    fraction = tail.str.extract(r"^\.([0-9]{1,9})").str.pad_end(9, "0").cast(pl.Int64)
    offset = tail.str.extract("([+-][0-9]{2}:[0-9]{2})$")
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(4).cast(pl.Int64)
    east = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    utc = second.cast(pl.Int64) // 1_000_000 - east.fill_null(0) * 60
    fits = text.str.contains(_FORM) & utc.is_between(-_LIMIT_S, _LIMIT_S)
    return pl.when(fits).then(utc * 10**9 + fraction.fill_null(0))
