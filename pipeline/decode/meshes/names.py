"""
What a dialect reads out of a name, and the columns that come of it.

Before: requests.py. After: the dialects of this folder.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import polars as pl

NOT_TOLD: Final = pl.lit(None, pl.String)


class Names(NamedTuple):
    """
    Columns read from a column of names: clusters of an Envoy, and server names (SNI).

    All but ``known`` may be null, and may be told of names that are not
    ``known``: they count where the mesh is known by other means.
    """

    known: pl.Expr
    """True where the form of the name is this mesh's and no other's."""

    service: pl.Expr = NOT_TOLD
    """Host name of the service called."""
    port: pl.Expr = NOT_TOLD
    """Its port, as text."""
    subset: pl.Expr = NOT_TOLD
    network: pl.Expr = NOT_TOLD
    """Where the name says the service is: datacenter, peer, zone or cluster."""
    reporter: pl.Expr = NOT_TOLD
    """Which proxy calls a cluster so: source, destination, gateway or waypoint."""


class Dialect(NamedTuple):
    """How one mesh names things."""

    read: Callable[[pl.Expr], Names]
    """From a column of texts, none of them repeated."""

    identity: str | None = None
    """Regular expression of identities that only this mesh has; None if it has no such."""


COLUMNS: Final = pl.Schema(
    {
        "known": pl.Boolean(),
        "service": pl.String(),
        "port": pl.UInt16(),
        "subset": pl.String(),
        "network": pl.String(),
        "reporter": pl.String(),
    }
)
"""What `columns` gives."""


def columns(name: pl.Expr, dialect: Dialect) -> list[pl.Expr]:
    """Columns of `COLUMNS` for a column of names; what is empty is null, as is port 0."""
    names = dialect.read(name)
    port = names.port.cast(pl.UInt16, strict=False)
    texts = {
        column: text.replace("", None)
        for column, text in names._asdict().items()
        if column not in {"known", "port"}
    }
    told = {
        "known": names.known.fill_null(value=False),
        "port": pl.when(port > 0).then(port),
        **texts,
    }
    return [told[column].cast(dtype).alias(column) for column, dtype in COLUMNS.items()]
