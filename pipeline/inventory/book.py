"""
Claims with a life: rows of endpoints, prefixes, gateways and peerings.

A row begins when its object first claims it, and ends when it no longer does.
What an object says of itself reaches further than what was seen of it: a pod
had its address some time before its API server told, and an object that a list
leaves out was gone some time before the list. So a row has two pairs of times:
``seen_from`` and ``seen_to``, between which the claim is known to hold, and
around them ``valid_from`` and ``valid_to``, up to which it may. Where two
owners of one address meet in what is only possible, the later one's own word
decides, but never against what was seen of the earlier.

    pod a   seen |=======|- - - -|  list without it
    pod b            its start: |- - - -|=========  seen
    becomes      |=======|------|=================

Before: lives.py. After: registry.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl
import xxhash

from pipeline import schema
from pipeline.inventory.numbers import ip_halves, prefix_numbers
from pipeline.inventory.sources import (
    Claim,
    ClusterClaim,
    EndpointClaim,
    GatewayClaim,
    PeeringClaim,
    PrefixClaim,
)

Row = dict[str, object]

IDS: Final = {
    schema.ENDPOINTS.name: "endpoint_id",
    schema.PREFIXES.name: "prefix_id",
    schema.GATEWAYS.name: "gateway_id",
    schema.PEERINGS.name: "peering_id",
}
"""Table to the column that tells its rows apart."""
_TABLES: Final = {
    table.name: table
    for table in (schema.ENDPOINTS, schema.PREFIXES, schema.GATEWAYS, schema.PEERINGS)
}
_COLUMNS: Final = {name: table.schema.names() for name, table in _TABLES.items()}
_YIELDING: Final = ["interface", "external"]
"""Kinds that yield to what else has the address, so they end nothing of it: see enrich/identity."""
_ADDRESS: Final = ["network", "endpoint_ip_hi", "endpoint_ip_lo"]


@dataclass(slots=True)
class _Held:
    """A claim that holds, or that its object says it gave up."""

    key: tuple[object, ...]
    """`Book._natural` of it."""
    claim: Claim
    row_id: int
    valid_from: int
    valid_to: int | None
    seen_from: int


class Book:
    """
    All rows that sources claim, and who claims them now.

    Parameters
    ----------
    network_of
        What a source calls a network to its name.
    """

    def __init__(self, network_of: Callable[[str], str]) -> None:
        self._network_of = network_of
        self.frames = {name: table.schema.to_frame() for name, table in _TABLES.items()}
        self.clusters: dict[int, tuple[ClusterClaim, ...]] = {}
        self._held: dict[int, dict[tuple[object, ...], _Held]] = {}
        self._changed: dict[str, dict[int, Row]] = {name: {} for name in _TABLES}

    def claim(self, object_id: int, source: str, claims: Iterable[Claim], time_us: int) -> None:
        """
        What an object claims from now on, instead of what it did.

        Raises
        ------
        ValueError
            If an address or range is none; nothing is changed.
        """
        new = {self._natural(claim): claim for claim in claims}
        told = tuple(claim for claim in new.values() if isinstance(claim, ClusterClaim))
        if told != self.clusters.get(object_id, ()):
            self.clusters[object_id] = told
        rows = {key: one for key, one in new.items() if not isinstance(one, ClusterClaim)}
        held = self._held.get(object_id, {})
        if not rows and not held:
            return
        for key, one in [(key, one) for key, one in held.items() if key not in rows]:
            del held[key]
            if one.valid_to is None:
                self._close(object_id, source, one, time_us, time_us)
        for key, claim in rows.items():
            before = held.get(key)
            if before is None:
                held[key] = self._open(object_id, source, key, claim, time_us)
            elif before.claim != claim:
                self._change(object_id, source, before, claim)
        self._held[object_id] = held

    def end(self, object_id: int, source: str, time_us: int, seen_us: int) -> None:
        """The object is gone at ``time_us``, and was there at ``seen_us``."""
        self.clusters.pop(object_id, None)
        for one in self._held.pop(object_id, {}).values():
            if one.valid_to is None:
                self._close(object_id, source, one, time_us, seen_us)

    def was(self, object_id: int, source: str, claims: Iterable[Claim], time_us: int) -> None:
        """It is known late that an object claimed these at ``time_us``."""
        held = self._held.get(object_id, {})
        for claim in claims:
            if isinstance(claim, ClusterClaim):
                continue
            key = self._natural(claim)
            one = held.get(key)
            if one is None:  # it had another address then, until the change that is known
                until = min((other.seen_from for other in held.values()), default=time_us + 1)
                past = self._open(object_id, source, key, claim, time_us)
                if past.valid_to is None:
                    self._close(object_id, source, past, max(until, time_us + 1), time_us)
            elif time_us < one.seen_from:
                one.seen_from = time_us
                one.valid_from = min(one.valid_from, time_us)
                self._write(object_id, source, one, one.valid_to, None)

    def restore(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Begin with the rows a lake has, before its objects claim them again."""
        for name, frame in frames.items():
            self.frames[name] = frame.cast(dict(_TABLES[name].schema))  # type: ignore[arg-type]

    def adopt(self, claims: Mapping[int, tuple[str, list[Claim], int]]) -> None:
        """
        Find the rows of `restore` that objects claim; make those that are not there.

        Parameters
        ----------
        claims
            Object id to its source, what it claims, and since when, UTC microseconds.
        """
        rows = {name: self._last_rows(name, claims.keys()) for name in _TABLES}
        for object_id, (source, told, since_us) in claims.items():
            held = self._held.setdefault(object_id, {})
            self.clusters[object_id] = tuple(c for c in told if isinstance(c, ClusterClaim))
            for claim in told:
                if isinstance(claim, ClusterClaim):
                    continue
                key = self._natural(claim)
                row = rows[str(key[0])].get((object_id, *key[1:]))
                if row is None:
                    held[key] = self._open(object_id, source, key, claim, since_us)
                else:
                    row_id, valid_from, valid_to, seen_from = row
                    held[key] = _Held(key, claim, row_id, valid_from, valid_to, seen_from)

    def flush(self) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
        """
        Rows that are new or other since last asked, and the addresses they are of.

        Returns
        -------
        Table name to rows; and distinct ``network``, ``endpoint_ip_hi``, ``endpoint_ip_lo``.
        """
        fresh = {}
        for name, rows in self._changed.items():
            table = _TABLES[name]
            frame = pl.DataFrame(list(rows.values()), table.schema)
            if frame.height:
                key = IDS[name]
                kept = self.frames[name].join(frame, on=key, how="anti")
                self.frames[name] = pl.concat([kept, frame])
            fresh[name] = frame
            self._changed[name] = {}
        endpoints = fresh[schema.ENDPOINTS.name]
        touched = endpoints.select(_ADDRESS).unique()
        if endpoints.height:
            moved = self._settle(touched)
            new = endpoints.join(moved, on="endpoint_id", how="anti")
            fresh[schema.ENDPOINTS.name] = pl.concat([new, moved])
        return fresh, touched

    def _settle(self, touched: pl.DataFrame) -> pl.DataFrame:
        """Let owners of an address that meet in what is only possible agree; returns who moved."""
        name = schema.ENDPOINTS.name
        rows = self.frames[name].join(touched, on=_ADDRESS, how="semi")
        settled = settle(rows)
        moved = settled.filter(
            settled["valid_from"].ne_missing(rows["valid_from"])
            | settled["valid_to"].ne_missing(rows["valid_to"])
        )
        if moved.height:
            kept = self.frames[name].join(moved, on="endpoint_id", how="anti")
            self.frames[name] = pl.concat([kept, moved])
        return moved

    def _last_rows(
        self, name: str, objects: Iterable[int]
    ) -> dict[tuple[object, ...], tuple[int, int, int | None, int]]:
        """(object, natural key) to (row id, valid_from, valid_to, seen_from), of the latest row."""
        wanted = pl.DataFrame({"object_id": list(objects)}, {"object_id": pl.UInt64})
        frame = self.frames[name].join(wanted, on="object_id", how="semi").sort("valid_from")
        if "seen_from" not in frame.columns:
            frame = frame.with_columns(seen_from="valid_from")
        frame = frame.with_columns(pl.col("valid_from", "valid_to", "seen_from").to_physical())
        return {
            (row["object_id"], *_NATURAL[name](row)): (
                row[IDS[name]],
                row["valid_from"],
                row["valid_to"],
                row["seen_from"],
            )
            for row in frame.iter_rows(named=True)
        }

    def _natural(self, claim: Claim) -> tuple[object, ...]:
        """What tells claims of one object apart: table, and the numbers and names of the thing."""
        match claim:
            case EndpointClaim():
                network = self._network_of(claim.network)
                return (schema.ENDPOINTS.name, network, *ip_halves(claim.ip))
            case PrefixClaim():
                network = self._network_of(claim.network)
                return (schema.PREFIXES.name, network, *prefix_numbers(claim.cidr), claim.kind)
            case GatewayClaim():
                here, there = self._network_of(claim.network), self._network_of(claim.to_network)
                return (schema.GATEWAYS.name, here, *ip_halves(claim.ip), claim.port, there)
            case PeeringClaim():
                here, there = self._network_of(claim.network), self._network_of(claim.peer_network)
                return (schema.PEERINGS.name, here, there, claim.kind, claim.name)
            case ClusterClaim():
                return (schema.CLUSTERS.name, claim.cluster)

    def _open(
        self, object_id: int, source: str, key: tuple[object, ...], claim: Claim, time_us: int
    ) -> _Held:
        since, until = getattr(claim, "since_us", None), getattr(claim, "until_us", None)
        valid_from = time_us if since is None else min(since, time_us)
        text = "\0".join(map(str, (*key, object_id, time_us)))
        valid_to = None if until is None else max(until, valid_from + 1)
        row_id = xxhash.xxh3_64_intdigest(text.encode())
        held = _Held(key, claim, row_id, valid_from, valid_to, time_us)
        if valid_to is not None:
            held.seen_from = min(time_us, valid_to)
        self._write(object_id, source, held, valid_to, valid_to)
        return held

    def _change(self, object_id: int, source: str, held: _Held, claim: Claim) -> None:
        held.claim = claim
        until = getattr(claim, "until_us", None)
        if until is not None:
            held.valid_to = max(until, held.valid_from + 1)
        self._write(object_id, source, held, held.valid_to, held.valid_to)

    def _close(self, object_id: int, source: str, held: _Held, time_us: int, seen_us: int) -> None:
        held.valid_to = max(time_us, held.valid_from + 1)
        self._write(object_id, source, held, held.valid_to, min(seen_us, held.valid_to))

    def _write(
        self, object_id: int, source: str, held: _Held, valid_to: int | None, seen_to: int | None
    ) -> None:
        name = str(held.key[0])
        row: Row = held.claim._asdict()
        row |= dict(zip(_NUMBERS[name], held.key[1:], strict=False))
        row |= {IDS[name]: held.row_id, "source": source, "object_id": object_id}
        row |= {"valid_from": held.valid_from, "valid_to": valid_to}
        row |= {"seen_from": held.seen_from, "seen_to": seen_to}
        self._changed[name][held.row_id] = {column: row.get(column) for column in _COLUMNS[name]}


_NUMBERS: Final = {
    schema.ENDPOINTS.name: ("network", "endpoint_ip_hi", "endpoint_ip_lo"),
    schema.PREFIXES.name: ("network", "prefix_ip_hi", "prefix_ip_lo", "prefix_length", "kind"),
    schema.GATEWAYS.name: ("network", "gateway_ip_hi", "gateway_ip_lo", "port", "to_network"),
    schema.PEERINGS.name: ("network", "peer_network", "kind", "name"),
}
"""Columns of the natural key of each table's rows, in the order of `Book._natural`."""

_NATURAL: Final = {
    name: (lambda row, columns=columns: tuple(row[column] for column in columns))
    for name, columns in _NUMBERS.items()
}


def settle(rows: pl.DataFrame) -> pl.DataFrame:
    """
    Rows of addresses, their possible ends agreed with those of their neighbours.

    Parameters
    ----------
    rows
        All rows of `schema.ENDPOINTS` of some addresses.

    Returns
    -------
    DataFrame
        The same rows, same order; ``valid_from`` never earlier and ``valid_to`` never
        later than before. Where two are *seen* at one time, both stay as they are.
    """
    group = [*_ADDRESS, "soft"]
    times = ["valid_from", "valid_to", "seen_from", "seen_to"]
    frame = (
        rows.with_row_index("row")
        .with_columns(pl.col(times).to_physical(), soft=pl.col("kind").is_in(_YIELDING))
        .with_columns(
            known_from=pl.coalesce("seen_from", "valid_from"),
            known_to=pl.coalesce("seen_to", "valid_to"),
        )
        .sort(*group, "known_from", "row")
        .with_columns(
            before_to=pl.col("known_to").shift(1).over(group),
            after_from=pl.col("valid_from").shift(-1).over(group),
            after_known=pl.col("known_from").shift(-1).over(group),
        )
    )
    apart = pl.col("before_to") <= pl.col("known_from")
    follows = pl.col("known_to") <= pl.col("after_known")
    frame = frame.with_columns(
        valid_from=pl.when(apart)
        .then(pl.max_horizontal("valid_from", "before_to"))
        .otherwise("valid_from"),
        valid_to=pl.when(follows & pl.col("after_from").is_not_null())
        .then(pl.min_horizontal("valid_to", pl.max_horizontal("known_to", "after_from")))
        .otherwise("valid_to"),
    ).sort("row")
    return rows.with_columns(
        frame["valid_from"].cast(schema.TIME), frame["valid_to"].cast(schema.TIME)
    )
