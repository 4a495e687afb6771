"""
Formats of %START_TIME%, and times so written to UTC nanoseconds.

    %START_TIME%                     2026-01-02T03:04:05.678Z
    %START_TIME(%s.%3f)%             1767323045.678
    %START_TIME(%Y/%m/%dT%H:%M:%S%z)%

Specifiers are those of strftime, with Envoy's ``%f`` and ``%1f``..``%9f``
(digits of the second's fraction) and Abseil's ``%E*S``, ``%E3S``, ``%Ez``.
A format is of use if it says a date and a time of day, or seconds since 1970;
START_TIME is UTC, START_TIME_LOCAL is of use with an offset only.

Before: format_string.py. After: fields.py.
Source: Envoy, access log command operators, START_TIME; Abseil, FormatTime.
"""

import re
from typing import Final, NamedTuple

import polars as pl

from pipeline.decode.addresses import distinct
from pipeline.errors import FormatError

LIMIT_S: Final = 9_223_372_035
"""What nanoseconds in 64 bits reach, either way from 1970."""

RFC3339: Final = "%Y-%m-%dT%H:%M:%E*SZ"
_WRITTEN_OUT: Final = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_LONG_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_FRACTION: Final = r"\.(?P<fraction>[0-9]+)"
_TOKENS: Final = {
    "Y": "(?P<year>[0-9]{4})",
    "y": "(?P<short_year>[0-9]{2})",
    "m": "(?P<month>[0-9]{2})",
    "d": "(?P<day>[0-9]{2})",
    "e": "(?P<day>[ 0-9][0-9])",
    "b": f"(?P<month_name>{'|'.join(_MONTHS)})",
    "h": f"(?P<month_name>{'|'.join(_MONTHS)})",
    "B": f"(?P<month_name>{'|'.join(_LONG_MONTHS)})",
    "H": "(?P<hour>[0-9]{2})",
    "M": "(?P<minute>[0-9]{2})",
    "S": "(?P<second>[0-9]{2})",
    "s": "(?P<epoch>-?[0-9]{1,11})",
    "z": "(?P<offset>[+-][0-9]{4})",
    "Ez": "(?P<offset>[+-][0-9]{2}:[0-9]{2})",
    "E*S": rf"(?P<second>[0-9]{{2}})(?:{_FRACTION})?",
    "f": "(?P<fraction>[0-9]+)",
    "E*f": "(?P<fraction>[0-9]+)",
    "a": "[A-Z][a-z]{2}",
    "A": "[A-Z][a-z]+",
    "j": "[0-9]{3}",
    "Z": "[A-Z]{3,5}",
    "%": "%",
    "n": "\n",
    "t": "\t",
}
_SPECIFIER: Final = re.compile(r"%(E\*[Sf]|E[0-9][Sf]|Ez|[0-9]f|.)|([^%]+)", re.DOTALL)
_ISO: Final = re.compile(r"%Y-%m-%dT%H:%M:(?:%E\*S|%E[0-9]S|%S|%S\.%[1-9]?f)Z")
_ISO_SECOND: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$"
_ISO_REST: Final = r"^(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
_CENTURY: Final = 69
"""POSIX: years of two digits below this are of the 21st century."""


class TimeFormat(NamedTuple):
    """How a start time is written."""

    pattern: str
    """Regular expression of such a text, with named groups."""
    iso: bool
    """Whether RFC 3339 describes it."""


def compile_time(argument: str, *, local: bool) -> TimeFormat:
    """
    Read the argument of a START_TIME operator.

    Raises
    ------
    FormatError
        If it does not say when, or has a specifier that is not known.
    """
    text = argument or RFC3339
    for short, long in _WRITTEN_OUT.items():
        text = text.replace(short, long)
    pattern, names = "", []
    for specifier, literal in _SPECIFIER.findall(text):
        part = re.escape(literal) if literal else _token(specifier)
        names += re.findall(r"\?P<(\w+)>", part)
        pattern += part
    told = set(names)
    if len(told) < len(names):
        raise FormatError(f"%START_TIME({argument})%: says a part of the time twice")
    dated = told & {"year", "short_year"} and told & {"month", "month_name"}
    if "epoch" not in told and not (dated and told >= {"day", "hour", "minute"}):
        raise FormatError(f"%START_TIME({argument})%: says no date and time of day")
    if local and not told & {"epoch", "offset"}:
        raise FormatError(f"%START_TIME_LOCAL({argument})%: says no offset from UTC; add %z")
    return TimeFormat(pattern, iso=_ISO.fullmatch(text) is not None)


def _token(specifier: str) -> str:
    if specifier in _TOKENS:
        return _TOKENS[specifier]
    if re.fullmatch("[1-9]f|E[1-9]f", specifier):
        return f"(?P<fraction>[0-9]{{{specifier[-2]}}})"
    if re.fullmatch("E[0-9]S", specifier):
        digits = int(specifier[1])
        return "(?P<second>[0-9]{2})" + (rf"\.(?P<fraction>[0-9]{{{digits}}})" if digits else "")
    raise FormatError(f"%START_TIME%: %{specifier} is not known")


def start_ns(text: pl.Series, time: TimeFormat | None = None) -> pl.Series:
    """UTC nanoseconds of start times, RFC 3339 if no format is told; else null."""
    if time is None or time.iso:
        return _iso_ns(text)
    part = pl.col("text").str.extract_groups(f"^(?:{time.pattern})$")
    told = set(re.findall(r"\?P<(\w+)>", time.pattern))
    second = part.struct.field("epoch").cast(pl.Int64) if "epoch" in told else _second(part, told)
    if "offset" in told and "epoch" not in told:
        offset = part.struct.field("offset").str.replace(":", "", literal=True)
        second = second - _offset_s(offset)
    fraction = part.struct.field("fraction") if "fraction" in told else None
    return text.alias("text").to_frame().select(start_ns=_nanoseconds(second, fraction)).to_series()


def _second(part: pl.Expr, told: set[str]) -> pl.Expr:
    """Seconds since 1970 of a calendar's parts, in whatever zone they are."""
    number = {
        name: part.struct.field(name).str.strip_chars(" ").cast(pl.Int32)
        for name in told & {"year", "short_year", "month", "day", "hour", "minute", "second"}
    }
    year = number.get("year")
    if year is None:
        short = number["short_year"]
        year = short + pl.when(short < _CENTURY).then(2000).otherwise(1900)
    month = number.get("month")
    if month is None:
        names = part.struct.field("month_name").str.head(3)
        month = names.replace_strict(
            dict(zip(_MONTHS, range(1, 13), strict=True)), default=None, return_dtype=pl.Int32
        )
    day = pl.format(
        "{}-{}-{}",
        year,
        month.cast(pl.String).str.zfill(2),
        number["day"].cast(pl.String).str.zfill(2),
    ).str.to_date("%Y-%m-%d", strict=False)
    hour, minute = number["hour"], number["minute"]
    second = number.get("second", pl.lit(0))
    whole = day.cast(pl.Int64) * 86_400 + hour * 3_600 + minute * 60 + second
    fits = hour.is_between(0, 23) & minute.is_between(0, 59) & second.is_between(0, 60)
    return pl.when(fits).then(whole)


def _offset_s(text: pl.Expr) -> pl.Expr:
    """Seconds east of UTC of ``+0230``."""
    minutes = text.str.slice(1, 2).cast(pl.Int64) * 60 + text.str.slice(3).cast(pl.Int64)
    return pl.when(text.str.starts_with("-")).then(-minutes).otherwise(minutes) * 60


def _nanoseconds(second: pl.Expr, fraction: pl.Expr | None) -> pl.Expr:
    """Whole seconds and digits beyond them; digits beyond the ninth are left out."""
    whole = pl.when(second.is_between(-LIMIT_S, LIMIT_S)).then(second * 10**9)
    if fraction is None:
        return whole
    return whole + fraction.str.head(9).str.pad_end(9, "0").cast(pl.Int64).fill_null(0)


def _iso_ns(text: pl.Series) -> pl.Series:
    """Seconds and what is behind them recur, so each is read once."""
    seconds, rests = distinct(text.str.head(19)), distinct(text.str.slice(19))
    second = seconds.values.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    # `to_datetime` takes signs and single digits, too.
    is_second = seconds.values.str.contains(_ISO_SECOND)
    rest = pl.DataFrame({"rest": rests.values}).select(
        offset=_offset_s(
            pl.col("rest")
            .str.extract("([+-][0-9]{2}:[0-9]{2})$")
            .str.replace(":", "", literal=True)
        ).fill_null(0),
        fraction=pl.col("rest").str.extract(r"^\.([0-9]{1,9})"),
        fits=pl.col("rest").str.contains(_ISO_REST),
    )
    rows = pl.DataFrame(
        {
            "second": seconds.rows(second.cast(pl.Int64) // 1_000_000),
            "is_second": seconds.rows(is_second),
            **{column.name: rests.rows(column) for column in rest},
        }
    )
    utc = pl.when(pl.col("is_second") & pl.col("fits")).then(pl.col("second") - pl.col("offset"))
    return rows.select(start_ns=_nanoseconds(utc, pl.col("fraction"))).to_series()
