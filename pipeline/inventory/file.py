r"""
The inventory: who had which address, in which network, and when.

Files are checked row by row where they are read (tables.py), then, here, against
each other: a name that is used must be declared. What comes out are frames with exactly the
columns of `schema`, with ids that depend on nothing but the row: 64 bits of
xxh3 over the identifying columns, as text, null as ``\x01``, joined by ``\0``.
An endpoint's id does not depend on ``valid_to``, so it stays when it ends.

Before: tables.py, published.py. After: registry.py, enrich/; lake.py keeps the tables.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import xxhash

from pipeline import schema
from pipeline.errors import InventoryError
from pipeline.inventory import numbers
from pipeline.inventory.tables import ROWS, raw_schema, read, refuse

_NAMED: Final = {"cluster": "clusters", "network": "networks", "to_network": "networks"}
"""Column to the table in which its values must be declared."""
INTERNET: Final = "internet"
"""The network whose addresses mean the same in every network; it is always there."""
SOURCE: Final = "file"
"""`source` of rows of an inventory file."""

_RANGE: Final = ["network", "prefix_ip_hi", "prefix_ip_lo", "prefix_length"]
OWNER: Final = [
    *("kind", "cluster", "namespace", "workload", "service"),
    *("pod", "node", "zone", "identity"),
]
"""Columns of an endpoint that say who: rows alike in all of them are the same owner."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The tables of the inventory, each with exactly the columns of its namesake in `schema`."""

    networks: pl.DataFrame
    clusters: pl.DataFrame
    prefixes: pl.DataFrame
    endpoints: pl.DataFrame
    gateways: pl.DataFrame
    peerings: pl.DataFrame
    members: Mapping[str, str]
    """What sources call a part of a network, to the network."""
    files: tuple[Path, ...] = ()
    """What it was read from."""

    @property
    def network_codes(self) -> dict[str, int]:
        """Name of each network to its number; `INTERNET` has one always."""
        names = [*self.networks["network"], INTERNET]
        return {name: code for code, name in enumerate(dict.fromkeys(names))}

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Table name to rows."""
        return {name: getattr(self, name) for name in ROWS}


def _as(table: schema.Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Columns of the table; a file is the source of its rows, and what it lacks is null."""
    return schema.complete(frame.with_columns(source=pl.lit(SOURCE)), table.schema)


def load(path: Path) -> Inventory:
    """
    Read a TOML or YAML file, or a folder of Parquet, CSV and YAML files.

    Raises
    ------
    InventoryError
        Names the file, the row and key (``endpoints[3].ip``), and what is allowed.
    """
    try:
        tables, ranges, files = read(path)
        return replace(build(tables, ranges), files=tuple(files))
    except InventoryError as error:
        raise InventoryError(f"{path}: {error}") from error


def empty() -> Inventory:
    """Nothing is known: every address is unknown."""
    return build({})


def build(rows: Mapping[str, pl.DataFrame], ranges: pl.DataFrame | None = None) -> Inventory:
    """
    Tables of the file, as frames with its keys as columns, to an inventory.

    Columns and types must be right (`load` sees to it); names, addresses and
    times are checked here. ``ranges``, as `published.read` gives them, are those
    of the internet, but for what the rows say something of.
    """
    raw = {
        name: schema.complete(rows[name], raw_schema(name))
        if name in rows
        else pl.DataFrame(schema=raw_schema(name))
        for name in ROWS
    }
    _check_names(raw)
    return Inventory(
        networks=_as(schema.NETWORKS, raw["networks"].rename({"name": "network"})),
        clusters=_as(schema.CLUSTERS, raw["clusters"].rename({"name": "cluster"})),
        prefixes=_as(schema.PREFIXES, _prefixes(raw["prefixes"], ranges)),
        endpoints=_as(schema.ENDPOINTS, _endpoints(raw["endpoints"])),
        gateways=_as(schema.GATEWAYS, _gateways(raw["gateways"])),
        peerings=_as(schema.PEERINGS, _peerings(raw["peerings"])),
        members=_members(raw["networks"]),
    )


# --- checks ------------------------------------------------------------------


def _check_names(raw: Mapping[str, pl.DataFrame]) -> None:
    """Every name that is used is declared, once."""
    for table in ("networks", "clusters"):
        twice = raw[table].select(pl.arg_where(~pl.col("name").is_first_distinct())).to_series()
        if len(twice):
            name = raw[table]["name"][twice[0]]
            first = raw[table]["name"].index_of(name)
            refuse(table, "name", twice[0], f"{name!r} is declared by {table}[{first}] already")
    for table, frame in raw.items():
        for key in _NAMED.keys() & set(frame.columns):
            declared = raw[_NAMED[key]]["name"].unique(maintain_order=True)
            if _NAMED[key] == "networks" and INTERNET not in declared:
                declared = declared.append(pl.Series([INTERNET]))
            bad = frame.select(
                pl.arg_where(pl.col(key).is_not_null() & ~pl.col(key).is_in(declared.implode()))
            ).to_series()
            if len(bad):
                allowed = ", ".join(map(repr, declared.head(20))) or "none"
                what = f"{frame[key][bad[0]]!r} is not declared in {_NAMED[key]}"
                refuse(table, key, bad[0], f"{what}, allowed are {allowed}")


def _gateways(frame: pl.DataFrame) -> pl.DataFrame:
    frame = _with_address("gateways", frame, "gateway")
    key = ["network", "gateway_ip_hi", "gateway_ip_lo", "port", "cluster", "to_network"]
    return frame.with_columns(row_ids(frame, key).alias("gateway_id"))


def _peerings(frame: pl.DataFrame) -> pl.DataFrame:
    """One row each way."""
    here, there = pl.col("networks").list.get(0), pl.col("networks").list.get(1)
    ways = [
        frame.select("name", network=one, peer_network=other, kind=pl.lit("declared"))
        for one, other in ((here, there), (there, here))
    ]
    both = pl.concat(ways)
    key = ["network", "peer_network", "kind", "name"]
    return both.with_columns(row_ids(both, key).alias("peering_id"))


def _members(networks: pl.DataFrame) -> dict[str, str]:
    members: dict[str, str] = {}
    for row, (name, parts) in enumerate(networks.select("name", "members").iter_rows()):
        for part in parts or ():
            if members.setdefault(part, name) != name:
                what = f"{part!r} is a member of {members[part]!r} already"
                refuse("networks", "members", row, what)
    return members


def _with_address(table: str, frame: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """``{prefix}_ip_hi`` and ``_lo`` for the text in ``ip``."""
    addresses = bytearray()
    for row, text in enumerate(frame["ip"].to_list()):
        try:
            addresses += numbers.packed(text)
        except ValueError as error:
            refuse(table, "ip", row, str(error))
    halves = np.frombuffer(addresses, ">u8").astype(np.uint64).reshape(-1, 2)
    return frame.with_columns(
        pl.Series(f"{prefix}_ip_hi", halves[:, 0], pl.UInt64),
        pl.Series(f"{prefix}_ip_lo", halves[:, 1], pl.UInt64),
    )


def _prefixes(frame: pl.DataFrame, ranges: pl.DataFrame | None) -> pl.DataFrame:
    texts = frame["cidr"].to_list()
    try:
        found = numbers.ranges(texts)
    except numbers.NoRangeError as error:
        refuse("prefixes", "cidr", error.row, str(error))
    for row in np.flatnonzero(found.beyond)[:1]:
        cidr = ipaddress.ip_network(texts[row], strict=False)
        what = f"{texts[row]!r} has bits set beyond its length, expected {str(cidr)!r}"
        refuse("prefixes", "cidr", row, what)
    frame = frame.with_columns(
        pl.Series("prefix_ip_hi", found.high),
        pl.Series("prefix_ip_lo", found.low),
        pl.Series("prefix_length", found.length),
    )
    if ranges is not None:
        outside = ranges.drop("is_whole").with_columns(
            network=pl.lit(INTERNET), kind=pl.lit("external")
        )
        more = outside.join(frame, on=_RANGE, how="anti", maintain_order="left")
        frame = pl.concat([frame, more], how="diagonal")
    return frame.with_columns(
        row_ids(frame, [*_RANGE, "kind", "cluster", "name"]).alias("prefix_id")
    ).unique("prefix_id", keep="first", maintain_order=True)


def _endpoints(frame: pl.DataFrame) -> pl.DataFrame:
    bad = frame.select(pl.arg_where(pl.col("valid_to") <= pl.col("valid_from"))).to_series()
    if len(bad):
        begin, end = frame["valid_from"][bad[0]], frame["valid_to"][bad[0]]
        what = f"{end.isoformat()} is not after valid_from, {begin.isoformat()}"
        refuse("endpoints", "valid_to", bad[0], what)
    frame = _with_address("endpoints", frame, "endpoint")
    key = ["network", "endpoint_ip_hi", "endpoint_ip_lo", "valid_from", *OWNER]
    frame = frame.with_columns(row_ids(frame, key).alias("endpoint_id"))
    if frame["endpoint_id"].n_unique() < len(frame):  # said twice: it holds until the last end
        end = pl.col("valid_to")
        last = pl.when(end.is_null().any()).then(None).otherwise(end.max())
        frame = frame.with_columns(last.over("endpoint_id").alias("valid_to")).unique(
            "endpoint_id", keep="first", maintain_order=True
        )
    return frame


def row_ids(frame: pl.DataFrame, key: list[str]) -> pl.Series:
    """Hash of these columns of each row; the same in every process, on every machine."""
    text = frame.select(
        pl.concat_str(
            [pl.col(name).to_physical().cast(pl.String).fill_null("\x01") for name in key],
            separator="\0",
        ).cast(pl.Binary)
    ).to_series()
    return pl.Series([xxhash.xxh3_64_intdigest(row) for row in text], dtype=pl.UInt64)
