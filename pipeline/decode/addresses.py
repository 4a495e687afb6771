"""
Whom a proxy says it talked to, as text, to columns: n texts in, n rows out.

    10.0.0.1:80            address and port
    [2001:db8::1]:80       address and port; a zone (%eth0) is left out
    10.0.0.1               address, port null
    10.0.0.1:0             address, port null: Envoy writes 0 where it was not told
    pipe, envoy://...      null: an address, but none of a network
    -, text of no address  null

Ports differ from line to line and hosts recur, so the text is cut first and
only distinct hosts are read: IPv4 by columns, IPv6 one by one.

Before: access_log. After: access_log (what it reads its columns with).
"""

from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.compute as pc

_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4: Final = rf"^{_OCTET}(?:\.{_OCTET}){{3}}$"
_V6_CHARACTERS: Final = 100
"""No text of an IPv6 address is longer, zone included."""
_MAPPED: Final = 0xFFFF << 32
_SELDOM: Final = 4
"""Whole texts that recur more often than so are read once each."""
_LOW_64: Final = (1 << 64) - 1


class Addresses(NamedTuple):
    """Halves of the 16-byte form (UInt64, both null or neither) and ports (UInt16)."""

    ip_hi: pl.Series
    ip_lo: pl.Series
    port: pl.Series


class Distinct(NamedTuple):
    """A column as its distinct values, and for each row the index of its value."""

    values: pl.Series
    codes: pl.Series

    def rows(self, read: pl.Series) -> pl.Series:
        """What was read from the values, for each row; null where the row is."""
        return read.gather(self.codes)


def distinct(text: pl.Series) -> Distinct:
    """Distinct values of a String column, in order of appearance."""
    encoded = pc.dictionary_encode(text.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return Distinct(
        pl.Series(text.name, encoded.dictionary, dtype=pl.String),
        pl.Series("code", encoded.indices, dtype=pl.Int32),
    )


def parse_addresses(text: pl.Series) -> Addresses:
    """
    Read n texts.

    Parameters
    ----------
    text
        n rows, String. Nothing in them raises.
    """
    known = distinct(text)
    if len(known.values) * _SELDOM < len(text):
        return Addresses(*map(known.rows, _parse(known.values)))
    return _parse(text)


def _parse(text: pl.Series) -> Addresses:
    host, port = _cut(text)
    hosts = distinct(host)
    hi, lo = _read_hosts(hosts.values)
    number = port.cast(pl.UInt16, strict=False)
    # Polars reads a sign as part of a number; in a port there is none.
    wrong = port.is_not_null() & (number.is_null() | port.str.starts_with("+"))
    rows = pl.DataFrame([hosts.rows(hi), hosts.rows(lo), number, wrong.alias("wrong")])
    rows = rows.select(
        pl.when(~pl.col("wrong")).then(pl.col("ip_hi", "ip_lo")),
        pl.when(~pl.col("wrong") & pl.col("ip_lo").is_not_null() & (pl.col("port") != 0)).then(
            pl.col("port")
        ),
    )
    return Addresses(rows["ip_hi"], rows["ip_lo"], rows["port"])


def _cut(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Host and port, as texts; the host of IPv6 keeps its opening bracket."""
    whole = pl.col("text")
    at_colon = whole.str.splitn(":", 2)
    host, port = at_colon.struct[0], at_colon.struct[1]
    bracket = whole.str.starts_with("[")
    if text.str.starts_with("[").any():
        at_bracket = whole.str.splitn("]", 2)
        rest = at_bracket.struct[1]
        after = (
            pl.when(rest.str.starts_with(":"))
            .then(rest.str.strip_prefix(":"))
            .when(rest.is_null() | (rest != ""))
            .then(pl.lit("no port"))
        )
        host = pl.when(bracket).then(at_bracket.struct[0]).otherwise(host)
        port = pl.when(bracket).then(after).otherwise(port)
    cut = text.alias("text").to_frame().select(host=host, port=port)
    return cut["host"], cut["port"]


def _read_hosts(hosts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Halves of distinct hosts; null where a host is no address."""
    is_v4 = hosts.str.contains(_V4)
    octet = pl.col("host").str.split_exact(".", 3)
    v4 = (
        hosts.alias("host")
        .to_frame()
        .filter(is_v4)
        .select(
            (octet.struct[place].cast(pl.UInt64) * (1 << (24 - 8 * place))).alias(str(place))
            for place in range(4)
        )
    )
    rows = is_v4.fill_null(value=False).to_numpy()
    hi = np.zeros(len(hosts), np.uint64)
    lo = np.zeros(len(hosts), np.uint64)
    known = rows.copy()
    lo[rows] = v4.select(pl.sum_horizontal(pl.all()) + _MAPPED).to_series().to_numpy()
    for row in np.flatnonzero(hosts.str.starts_with("[").fill_null(value=False).to_numpy()):
        number = _read_v6(hosts[int(row)])
        if number is not None:
            hi[row], lo[row], known[row] = number >> 64, number & _LOW_64, True
    return _nullable("ip_hi", hi, known), _nullable("ip_lo", lo, known)


def _read_v6(host: str) -> int | None:
    """Number of ``[2001:db8::1``, bracket included; None if it is no address."""
    if len(host) > _V6_CHARACTERS:
        return None
    try:
        return int(IPv6Address(host[1:]))
    except AddressValueError:
        return None


def _nullable(name: str, values: npt.NDArray[np.uint64], known: npt.NDArray[np.bool_]) -> pl.Series:
    frame = pl.DataFrame({name: values, "known": known})
    return frame.select(pl.when(pl.col("known")).then(pl.col(name))).to_series()
