"""
Addresses as proxies write them to numbers: ``10.0.0.1:80``, ``[2001:db8::1]:80``.

What is no address and port (``-``, ``pipe``, ``envoy://internal_client_address/``)
is null. Only the distinct addresses of a batch are parsed; there are few.

Before: access_log.py. After: schema `DECODED_REQUESTS`.
"""

import ipaddress
from typing import Final

import polars as pl

_IP: Final = r"^\[?([0-9a-fA-F:.]+?)\]?:[0-9]{1,5}$"
_PORT: Final = r":([0-9]{1,5})$"


def split_addresses(frame: pl.DataFrame, columns: dict[str, str]) -> pl.DataFrame:
    """
    Text columns to ``{name}_ip_hi``, ``{name}_ip_lo`` and ``{name}_port``.

    Parameters
    ----------
    frame
        n rows with the text columns.
    columns
        Name of a text column to the name its numbers get.

    Returns
    -------
    DataFrame
        The same rows, same order, with the numbers beside; port 0 is null.
    """
    texts = frame.select(pl.col(text).str.extract(_IP).alias(name) for text, name in columns.items())
    distinct = pl.concat([texts[name].alias("text") for name in texts.columns]).unique().drop_nulls()
    halves = [_halves(text) for text in distinct]
    known = pl.DataFrame(
        {"text": distinct, "hi": [high for high, _ in halves], "lo": [low for _, low in halves]},
        schema={"text": pl.String, "hi": pl.UInt64, "lo": pl.UInt64},
    )
    added = []
    for text, name in columns.items():
        found = texts.select(name).join(
            known, left_on=name, right_on="text", how="left", maintain_order="left"
        )
        port = frame[text].str.extract(_PORT).cast(pl.UInt16, strict=False)
        has_address = found["hi"].is_not_null()
        added += [
            found["hi"].alias(f"{name}_ip_hi"),
            found["lo"].alias(f"{name}_ip_lo"),
            pl.select(pl.when(has_address & (port > 0)).then(port)).to_series().alias(f"{name}_port"),
        ]
    return frame.with_columns(added)


def _halves(text: str) -> tuple[int | None, int | None]:
    """High and low 64 bits of the 16-byte (v4-mapped) form; None for what is no address."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None, None
    number = int(parsed) | (0xFFFF << 32 if isinstance(parsed, ipaddress.IPv4Address) else 0)
    return number >> 64, number & (1 << 64) - 1
