"""
An inventory, arranged for lookup; and the next one, when it changes.

Before: overlay.py, prefix.py, routes.py. After: sides.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import polars as pl

from pipeline.enrich.overlay import Endpoints
from pipeline.enrich.prefix import PrefixIndex
from pipeline.enrich.routes import GatewayIndex, PeeringIndex
from pipeline.enrich.sides import Known
from pipeline.inventory.file import INTERNET, Inventory


@dataclass(frozen=True, slots=True)
class Identities:
    """
    An inventory, arranged for lookup; a value that never changes.

    Attributes
    ----------
    network_codes
        Name of each network to the number rows have in ``network_code``.
    """

    network_codes: Mapping[str, int]
    known: Known

    @classmethod
    def of(cls, inventory: Inventory) -> Self:
        """
        Arrange an inventory; takes seconds for a million endpoints.

        Raises
        ------
        InventoryError
            If so many rows of one address or range overlap that memory would not do.
        """
        codes = inventory.network_codes
        known = Known.of(
            Endpoints.of(inventory.endpoints, codes),
            PrefixIndex(inventory.prefixes, codes),
            GatewayIndex(inventory.gateways, codes),
            PeeringIndex(inventory.peerings, codes),
            internet=codes[INTERNET],
        )
        return cls(codes, known)

    def changed(
        self,
        addresses: pl.DataFrame,
        endpoints: pl.DataFrame,
        *,
        prefixes: pl.DataFrame | None = None,
        gateways: pl.DataFrame | None = None,
        peerings: pl.DataFrame | None = None,
        network_codes: Mapping[str, int] | None = None,
    ) -> Self:
        """
        Arrange what changed, beside what did not: the same as `of` the inventory as it is then.

        Parameters
        ----------
        addresses
            ``network``, ``endpoint_ip_hi``, ``endpoint_ip_lo``: every address of which any
            row is new, changed or gone.
        endpoints
            Rows of `schema.ENDPOINTS`: all that there now are of those addresses.
        prefixes, gateways, peerings
            The whole table; None: it is as it was.
        network_codes
            Names may be added to those there were, never renumbered; None: none was added.

        Raises
        ------
        InventoryError
            As `of`.
        """
        codes = self.network_codes if network_codes is None else dict(network_codes)
        known = self.known
        if addresses.height or endpoints.height:
            changed = known.endpoints.changed(addresses, endpoints, codes)
            known = replace(known, endpoints=changed)
        if gateways is not None:
            known = replace(known, gateways=GatewayIndex(gateways, codes))
        if peerings is not None:
            known = replace(known, peerings=PeeringIndex(peerings, codes))
        if prefixes is not None or known.endpoints.addresses is not self.known.endpoints.addresses:
            known = Known.of(
                known.endpoints,
                known.prefixes if prefixes is None else PrefixIndex(prefixes, codes),
                known.gateways,
                known.peerings,
                internet=known.internet,
            )
        return type(self)(codes, known)
