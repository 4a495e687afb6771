"""
What the job knows of addresses, kept up with the file and the sources.

The file is looked at every few seconds, sources are heard through the log.
What changed is in the index for the rows that follow, in the lake with the next
commit, and remembered for `correct`: rows that were named without it.

Before: inventory/registry.py, intake.py. After: enrich/, correct.py.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pipeline import schema
from pipeline.enrich import Identities
from pipeline.errors import InventoryError
from pipeline.inventory import file, tables
from pipeline.inventory.file import Inventory
from pipeline.inventory.registry import Flushed, Refusal, Registry
from pipeline.lake import Lake

log = logging.getLogger("crosspane.inventory")

_Stamps = dict[Path, tuple[int, int] | None]
"""Time and size of each file: what changes when it does, comes or goes."""

_NO_ADDRESSES: Final = pl.DataFrame(
    schema={
        name: schema.ENDPOINTS.schema[name]
        for name in ("network", "endpoint_ip_hi", "endpoint_ip_lo")
    }
)


@dataclass(slots=True)
class Touched:
    """
    What changed since rows were corrected last.

    Attributes
    ----------
    addresses
        ``network``, ``endpoint_ip_hi``, ``endpoint_ip_lo``.
    ranges
        Whether prefixes, gateways or peerings changed: then any row may be concerned.
    """

    addresses: pl.DataFrame
    ranges: bool = False

    def __bool__(self) -> bool:
        return self.ranges or self.addresses.height > 0


class Known:
    """
    The inventory of one job.

    Parameters
    ----------
    declared
        What the inventory file says.
    lake
        Where what sources told before is; None: nowhere.
    path
        The file, to look at again with those it names; None: it does not change.
    """

    UNTOUCHED: Final = Touched(_NO_ADDRESSES)

    def __init__(
        self, declared: Inventory, lake: Lake | None = None, path: Path | None = None
    ) -> None:
        self._path = path
        self._stamps = _stamps(declared.files if path else ())
        self._registry = Registry(
            declared, (lambda name: lake.read(f"FROM {name}")) if lake else None
        )
        self._registry.flush()
        self.identities = Identities.of(self._registry.inventory)
        self.touched = Touched(_NO_ADDRESSES, ranges=lake is not None)  # what a job before left

    @property
    def inventory(self) -> Inventory:
        """Everything that is known."""
        return self._registry.inventory

    @property
    def tables(self) -> Mapping[str, pl.DataFrame]:
        """Table to rows that a lake should have; endpoints and prefixes: those of the file."""
        declared = self._registry.declared
        both = {"endpoints": declared.endpoints, "prefixes": declared.prefixes}
        return {**self._registry.inventory.tables, **both}

    @property
    def network_codes(self) -> Mapping[str, int]:
        """Name of each network to its number."""
        return self._registry.network_codes

    def take(self, changes: pl.DataFrame) -> list[Refusal]:
        """Rows of `schema.CHANGES`; gives those that are refused."""
        return self._registry.take(changes)

    def refresh(self) -> None:
        """Rows looked up from here on see what has been taken."""
        flushed = self._registry.flush()
        if flushed:
            self._arrange(flushed)

    def reload(self) -> None:
        """Take the file if it has changed; a file with a mistake is told, and the old one stays."""
        if self._path is None:
            return
        is_folder = self._path.is_dir()  # to which files may come
        before = _stamps(tables.files(self._path) if is_folder else self._stamps)
        if before == self._stamps:
            return
        try:
            declared = file.load(self._path)
        except InventoryError as error:
            self._look_at(tables.files(self._path), before)
            log.error("%s; what it said before stays", error)  # noqa: TRY400 - for the user
            return
        self._look_at(declared.files, before)
        self._arrange(self._registry.declare(declared))
        log.info("inventory %s: read again", self._path)

    def pending(self) -> dict[str, pl.DataFrame]:
        """Rows for the lake since last asked, see `registry.REPLACED`."""
        return self._registry.pending()

    def _look_at(self, files: Iterable[Path], before: _Stamps) -> None:
        """From here on look at these; what changed since they were read is seen next."""
        self._stamps = {one: before.get(one, stamp) for one, stamp in _stamps(files).items()}

    def _arrange(self, flushed: Flushed) -> None:
        ranges = ("prefixes", "gateways", "peerings") if flushed.ranges else ()
        try:
            self.identities = self.identities.changed(
                endpoints=flushed.endpoints,
                addresses=flushed.addresses,
                network_codes=dict(self._registry.network_codes),
                **{name: self._registry.rows(name) for name in ranges},
            )
        except InventoryError as error:  # more rows of an address at once than memory holds
            log.error("%s; addresses are looked up as before", error)  # noqa: TRY400 - for the user
            return
        self.touched = Touched(
            pl.concat([self.touched.addresses, flushed.addresses]).unique(),
            self.touched.ranges or flushed.ranges,
        )


def _stamps(files: Iterable[Path]) -> _Stamps:
    stamps: _Stamps = {}
    for one in files:
        try:
            stat = one.stat()
        except OSError:
            stamps[one] = None
        else:
            stamps[one] = (stat.st_mtime_ns, stat.st_size)
    return stamps
