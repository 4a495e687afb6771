"""
The inventory as it is now: what a file declares, and what sources tell.

    changes --lives--> events --worlds--> claims --book--> rows --> lake, index

One registry is fed all changes of the log, in order, by the job, which writes
what follows in the same transaction as the offsets. So what it knows is what
the lake holds, and a job that starts reads it there.

A file's word on a network or cluster stands before a source's. What sources
name and no file declares becomes a network of that name.

Before: decode.py, file.py. After: enrich/, lake.py.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import polars as pl

from pipeline import schema
from pipeline.inventory.book import IDS, Book
from pipeline.inventory.file import INTERNET, Inventory
from pipeline.inventory.lives import Change, Event, Lives
from pipeline.inventory.sources import ClusterClaim, Key, ObjectError, World
from pipeline.inventory.sources.aws import Aws
from pipeline.inventory.sources.azure import Azure
from pipeline.inventory.sources.gcp import Gcp
from pipeline.inventory.sources.kubernetes import Kubernetes
from pipeline.inventory.sources.netbox import Netbox

log = logging.getLogger("crosspane.inventory")

SOURCES: Final[dict[str, Callable[[str, str], World]]] = {
    "kubernetes": Kubernetes,
    "aws": Aws,
    "gcp": Gcp,
    "azure": Azure,
    "netbox": Netbox,
}
"""Kind of a source to what its objects claim. One line here adds one."""

REPLACED: Final[Mapping[str, str | None]] = {
    **IDS,
    schema.NETWORKS.name: None,
    schema.CLUSTERS.name: None,
    schema.OBJECTS.name: "object_id",
    schema.INVENTORY_SOURCES.name: "source_id",
}
"""Table to the key by which its rows replace those in the lake; None: all of them."""

_ADDRESS: Final = ["network", "endpoint_ip_hi", "endpoint_ip_lo"]


class Refusal(NamedTuple):
    """A change whose object is not what it should be; ``payload`` as in `schema.CHANGES`."""

    payload: int
    detail: str
    text: bytes


class Flushed(NamedTuple):
    """
    What changed since the last flush.

    Attributes
    ----------
    addresses
        Distinct ``network``, ``endpoint_ip_hi``, ``endpoint_ip_lo`` of endpoints that changed.
    endpoints
        All rows of those addresses.
    ranges
        Whether prefixes, gateways or peerings changed.
    """

    addresses: pl.DataFrame
    endpoints: pl.DataFrame
    ranges: bool


class Registry:
    """
    Inventory of a job.

    Parameters
    ----------
    declared
        What the file says.
    read
        Rows of a table of the lake, by the table's name; None: there is no lake yet.
    """

    def __init__(
        self, declared: Inventory, read: Callable[[str], pl.DataFrame] | None = None
    ) -> None:
        self.declared = declared
        self._codes = dict(declared.network_codes)
        self._book = Book(self._network_of)
        self._lives: dict[tuple[str, str], Lives] = {}
        self._worlds: dict[tuple[str, str], World] = {}
        self._networks: dict[tuple[str, str], str] = {}
        self._ids: dict[tuple[str, str], dict[Key, int]] = {}
        self._pending: dict[str, list[pl.DataFrame]] = {}
        self._affected: dict[tuple[tuple[str, str], Key], int] = {}
        self._named: dict[str, pl.DataFrame] = {}
        self._dirty = False
        if read:
            self._restore(read)

    @property
    def inventory(self) -> Inventory:
        """Everything that is known, as one inventory."""
        return replace(
            self.declared,
            networks=self._all_networks(),
            clusters=self._all_clusters(),
            endpoints=self.rows("endpoints"),
            prefixes=self.rows("prefixes"),
            gateways=self.rows("gateways"),
            peerings=self.rows("peerings"),
        )

    def rows(self, name: str) -> pl.DataFrame:
        """What the file and the sources say of one table of `book.IDS`."""
        declared: pl.DataFrame = getattr(self.declared, name)
        return pl.concat([declared, self._book.frames[name]])

    @property
    def network_codes(self) -> Mapping[str, int]:
        """Name of each network to its number; numbers are given once, and stay."""
        return self._codes

    def declare(self, declared: Inventory) -> Flushed:
        """Take a file that has changed; what it no longer says is no longer looked up."""
        before, self.declared = self.declared, declared
        for name in declared.network_codes:
            self._codes.setdefault(name, len(self._codes))
        old, new = before.endpoints, declared.endpoints
        changed = [
            one.join(other, on=one.columns, how="anti", nulls_equal=True)
            for one, other in ((old, new), (new, old))
        ]
        for name, key in IDS.items():
            rows = getattr(declared, name).join(
                getattr(before, name), on=key, how="anti", nulls_equal=True
            )
            self._pending.setdefault(name, []).append(rows if name != "endpoints" else changed[1])
        self._pend_names()
        addresses = pl.concat([frame.select(_ADDRESS) for frame in changed]).unique()
        ranges = not all(
            getattr(before, name).equals(getattr(declared, name))
            for name in ("prefixes", "gateways", "peerings")
        )
        return Flushed(addresses, self._rows_at(addresses), ranges)

    def take(self, changes: pl.DataFrame) -> list[Refusal]:
        """Rows of `schema.CHANGES`, in log order; returns those whose object is refused."""
        refused = []
        told = changes.select(*_CHANGE, *_TIME_US).iter_rows()
        for payload, kind, cluster, network, op, *key, version, count, time_us, text in told:
            source = (kind, cluster)
            self._meet(source, network)
            change = Change(op, Key(*key), version, count, time_us, text)
            for event in self._lives[source].take(change):
                try:
                    self._apply(source, event)
                except (ObjectError, ValueError) as error:
                    refused.append(Refusal(payload, f"{key[1]} {key[2]}: {error}", text))
            self._dirty = True
        self._claim_again()
        return refused

    def flush(self) -> Flushed | None:
        """What changed in lookup since the last flush; None if nothing was told."""
        if not self._dirty:
            return None
        self._dirty = False
        fresh, addresses = self._book.flush()
        for name, frame in fresh.items():
            if frame.height:
                self._pending.setdefault(name, []).append(frame)
        for table, rows in self._told().items():
            if rows:
                frame = pl.DataFrame(rows, table.schema, orient="row")
                self._pending.setdefault(table.name, []).append(frame)
        for name in ("prefixes", "gateways", "peerings", "endpoints"):
            for column in ("network", "peer_network", "to_network"):
                if column in fresh[name].columns:
                    for network in fresh[name][column].unique():
                        self._codes.setdefault(network, len(self._codes))
        self._pend_names()
        ranges = any(fresh[name].height for name in ("prefixes", "gateways", "peerings"))
        return Flushed(addresses, self._rows_at(addresses), ranges)

    def pending(self) -> dict[str, pl.DataFrame]:
        """Rows for the lake since last asked, the newest of each key; see `REPLACED`."""
        frames = {}
        for name, parts in self._pending.items():
            key = REPLACED[name]
            frame = pl.concat(parts) if key else parts[-1]
            frames[name] = frame.unique(key, keep="last", maintain_order=True) if key else frame
        self._pending = {}
        return {name: frame for name, frame in frames.items() if frame.height}

    def _apply(self, source: tuple[str, str], event: Event) -> None:
        world, kind = self._worlds[source], source[0]
        ids = self._ids[source]
        if event.what == "was":
            past = SOURCES[kind](source[1], self._networks[source])
            past.put(event.key, event.text)
            self._book.was(event.object_id, kind, past.claims(event.key), event.time_us)
            return
        if event.what == "gone":
            affected = world.remove(event.key)
            self._book.end(event.object_id, kind, event.time_us, event.seen_us)
            ids.pop(event.key, None)
        else:
            affected = world.put(event.key, event.text)
            ids[event.key] = event.object_id
        self._affected |= {(source, key): event.time_us for key in affected if key != event.key}
        if event.what == "is":
            self._book.claim(event.object_id, kind, world.claims(event.key), event.time_us)

    def _claim_again(self) -> None:
        """Objects that others have changed claim once a batch, however many those were."""
        for (source, key), time_us in self._affected.items():
            object_id = self._ids[source].get(key)
            if object_id is not None:
                claims = self._worlds[source].claims(key)
                try:
                    self._book.claim(object_id, source[0], claims, time_us)
                except ValueError as error:
                    log.warning("%s of %s, %s %s: %s", *source, key.resource, key.uid, error)
        self._affected = {}

    def _meet(self, source: tuple[str, str], network: str) -> None:
        """A source that is heard for the first time."""
        if source in self._lives:
            return
        kind, cluster = source
        self._networks[source] = network
        self._lives[source] = Lives(kind, cluster, network)
        self._worlds[source] = SOURCES[kind](cluster, network)
        self._ids[source] = {}
        self._codes.setdefault(network, len(self._codes))

    def _restore(self, read: Callable[[str], pl.DataFrame]) -> None:
        self._book.restore({name: _live(read(name)) for name in IDS})
        for network in read(schema.NETWORKS.name)["network"]:
            self._codes.setdefault(network, len(self._codes))
        objects = read(schema.OBJECTS.name).cast(dict(schema.OBJECTS.schema))  # type: ignore[arg-type]
        sources = read(schema.INVENTORY_SOURCES.name)
        claims = {}
        for (kind, cluster, network), rows in objects.group_by(
            "kind", "cluster", "network", maintain_order=True
        ):
            source = (str(kind), str(cluster))
            self._meet(source, str(network))
            world, ids = self._worlds[source], self._ids[source]
            told = sources.filter(pl.col("kind") == kind, pl.col("cluster") == cluster)
            since = {}
            for event in self._lives[source].restore(rows, told):
                try:
                    world.put(event.key, event.text)
                except ObjectError:
                    continue
                ids[event.key] = event.object_id
                since[event.key] = event.time_us
            for key, time_us in since.items():
                claims[ids[key]] = (source[0], list(world.claims(key)), time_us)
        self._book.adopt(claims)
        self._dirty = bool(claims)

    def _told(self) -> dict[schema.Table, list[tuple[object, ...]]]:
        rows: dict[schema.Table, list[tuple[object, ...]]] = {
            schema.OBJECTS: [],
            schema.INVENTORY_SOURCES: [],
        }
        for lives in self._lives.values():
            objects, sources = lives.changed()
            rows[schema.OBJECTS] += objects
            rows[schema.INVENTORY_SOURCES] += sources
        return rows

    def _network_of(self, name: str) -> str:
        """Name of the network that a source calls so."""
        return self.declared.members.get(name, name)

    def _rows_at(self, addresses: pl.DataFrame) -> pl.DataFrame:
        return pl.concat(
            [
                frame.join(addresses, on=_ADDRESS, how="semi")
                for frame in (self.declared.endpoints, self._book.frames["endpoints"])
            ]
        )

    def _pend_names(self) -> None:
        """Networks and clusters are few: where any is other, all are written."""
        for name, frame in (
            (schema.NETWORKS.name, self._all_networks()),
            (schema.CLUSTERS.name, self._all_clusters()),
        ):
            if name not in self._named or not frame.equals(self._named[name]):
                self._named[name] = frame
                self._pending.setdefault(name, []).append(frame)

    def _all_networks(self) -> pl.DataFrame:
        """In the order of their numbers."""
        declared = {row["network"]: row for row in self.declared.networks.iter_rows(named=True)}
        rows = [
            declared.get(
                name, {"network": name, "model": "internet" if name == INTERNET else "flat"}
            )
            for name in self._codes
        ]
        return pl.DataFrame(rows, schema.NETWORKS.schema)

    def _all_clusters(self) -> pl.DataFrame:
        rows: dict[str, dict[str, object]] = {}
        for (kind, cluster), network in self._networks.items():
            if kind == "kubernetes":
                rows[cluster] = {"cluster": cluster, "network": network}
        told = [one for claims in self._book.clusters.values() for one in claims]
        for one in sorted(set(told), key=str):
            _add(rows.setdefault(one.cluster, {"cluster": one.cluster}), one)
        for row in self.declared.clusters.iter_rows(named=True):
            word = {name: value for name, value in row.items() if value not in (None, [])}
            rows[row["cluster"]] = {**row, **rows.get(row["cluster"], {}), **word}
        return pl.DataFrame(list(rows.values()), schema.CLUSTERS.schema)


_CHANGE: Final = (
    *("payload", "kind", "cluster", "network", "op", "scope", "resource", "uid"),
    *("version", "count"),
)
_TIME_US: Final = (
    (pl.when(pl.col("time_ns") > 0).then("time_ns").otherwise("received_ns") // 1_000).alias(
        "time_us"
    ),
    pl.col("object"),
)


def _add(row: dict[str, object], told: ClusterClaim) -> None:
    """What an object tells of a cluster, where nothing was told before; zones add up."""
    for name in ("provider", "region", "mesh", "trust_domain"):
        row[name] = row.get(name) or getattr(told, name)
    zones = row.get("zones") or []
    row["zones"] = sorted({*zones, *told.zones})  # type: ignore[misc]


def _live(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that sources told; those of a file are the file's to tell."""
    return frame.filter(pl.col("source") != "file")
