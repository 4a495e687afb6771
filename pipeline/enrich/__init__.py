"""
Both ends of every record: what was it, in this network, at that time?

    timeline    what held of a key, and when
    addresses   (network, ip) to a number
    identity    (network, ip, time) to an endpoint: resolved, ambiguous, unknown
    overlay     the same of endpoints that change
    prefix      (network, ip, time) to the longest declared range
    routes      networks a network is routed to; gateways
    identities  an inventory, arranged as all of these
    sides       what is asked first, and what next

Never by address alone: rows come with ``network_code``, the number of their
vantage's network in `Identities.network_codes`, and where it is null all is
unknown. An address of one network means something in another only where they
are declared peers, or where it is the internet's. Nothing is guessed:
contenders are kept as candidates.

An enricher is a function (rows, identities) to the same rows, same order, with
the columns of `schema.side` more, five a side: ``{side}_endpoint_id``,
``{side}_prefix_id``, ``{side}_resolution``, ``{side}_method`` and
``{side}_candidate_ids``. The steps that lead to them are in `sides`.

Before: normalize.py. After: lake.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

import polars as pl

from pipeline.enrich.identities import Identities
from pipeline.enrich.sides import Asked
from pipeline.schema.model import side as side_columns

_LOOPBACK_V4: Final = (0xFFFF_7F00_0000, 0xFFFF_7FFF_FFFF)
"""127.0.0.0/8, low halves of the v4-mapped form."""

_TRANSLATED: Final = ("post_nat_src", "post_nat_dst")

__all__ = [
    "ENRICHERS",
    "Enricher",
    "Identities",
    "enrich_flows",
    "enrich_requests",
    "enrich_verdicts",
]


class Enricher(Protocol):
    """Rows and what is known to the same rows, same order, with the columns of both sides."""

    def __call__(self, rows: pl.DataFrame, /, identities: Identities) -> pl.DataFrame:
        """Add five columns a side."""


def enrich_flows(flows: pl.DataFrame, identities: Identities) -> pl.DataFrame:
    """
    Both sides of flows, before and after translation, from ``start_time`` to ``end_time``.

    Parameters
    ----------
    flows
        n rows with ``network_code`` (Int32), ``start_time``, ``end_time``, and of ``src``,
        ``dst``, ``post_nat_src`` and ``post_nat_dst`` the ``_ip_hi`` and ``_ip_lo``
        (UInt64); any of them may be null.

    Returns
    -------
    DataFrame
        The same rows, same order, with the columns of four sides; those of a translated
        address are all null where there is none.
    """
    sides = {side: _Address.named(side) for side in ("src", "dst")}
    named = _enrich(flows, identities, sides, "end_time")
    return named.with_columns(
        column for side in _TRANSLATED for column in _translated(flows, identities, side)
    )


def enrich_requests(requests: pl.DataFrame, identities: Identities) -> pl.DataFrame:
    """
    Both sides of requests, at ``start_time``.

    Which address is the client's and which the server's depends on who tells:

    ============  =========================================  =======================================
    reporter      src                                        dst
    ============  =========================================  =======================================
    source        upstream_local; if that is missing or      upstream_remote
                  loopback, or the proxy a host's,
                  downstream_remote
    destination   downstream_remote                          downstream_local
    gateway       downstream_remote                          upstream_remote
    unknown       downstream_remote                          upstream_remote, else downstream_local
    ============  =========================================  =======================================

    A client's sidecar is called from its own pod, often over loopback; its
    connection out has the pod's own address. A host's proxy is called by its
    pods from their addresses, and its connections out have the node's. What a server's sidecar or a
    gateway is called from may be a gateway or translated: it is resolved as
    what it is in this network, and finding who is behind is stitching.

    Parameters
    ----------
    requests
        n rows with ``network_code`` (Int32), ``reporter``, ``proxy_model``, the
        four addresses and ``start_time``; any of them may be null.

    Returns
    -------
    DataFrame
        The same rows, same order, with the columns of both sides.
    """
    out, client = _Address.named("upstream_local"), _Address.named("downstream_remote")
    server, own = _Address.named("upstream_remote"), _Address.named("downstream_local")
    reporter = pl.col("reporter").cast(pl.String).fill_null("unknown")
    by_client, by_server = reporter == "source", reporter == "destination"
    by_pod = by_client & pl.col("proxy_model").cast(pl.String).ne_missing("host")
    src = out.when(by_pod & out.known() & ~out.loopback(), client)
    dst = own.when(by_server | ((reporter == "unknown") & ~server.known()), server)
    return _enrich(requests, identities, {"src": src, "dst": dst}, "start_time")


def enrich_verdicts(verdicts: pl.DataFrame, identities: Identities) -> pl.DataFrame:
    """
    Both sides of verdicts, at ``event_time``.

    Parameters
    ----------
    verdicts
        n rows with ``network_code`` (Int32), ``src_ip_hi`` and ``_lo``, ``dst_ip_hi``
        and ``_lo`` (UInt64) and ``event_time``; any of them may be null.

    Returns
    -------
    DataFrame
        The same rows, same order, with the columns of both sides.
    """
    sides = {side: _Address.named(side) for side in ("src", "dst")}
    return _enrich(verdicts.with_columns(start_time="event_time"), identities, sides, "event_time")


def enrich_peer(rows: pl.DataFrame, identities: Identities) -> pl.DataFrame:
    """
    The peer of samples and of control planes, at ``received_time``.

    Parameters
    ----------
    rows
        n rows with ``network_code`` (Int32), ``peer_ip_hi`` and ``_lo`` (UInt64)
        and ``received_time``; the address may be null.

    Returns
    -------
    DataFrame
        The same rows, same order, with the columns of one side, ``peer``.
    """
    sides = {"peer": _Address.named("peer")}
    timed = rows.with_columns(start_time="received_time")
    return _enrich(timed, identities, sides, "received_time").drop("start_time")


def enrich_probes(probes: pl.DataFrame, identities: Identities) -> pl.DataFrame:
    """
    What was probed, at ``start_time``; else as `enrich_peer`.

    Returns
    -------
    DataFrame
        The same rows, same order, with the columns of one side, ``peer``.
    """
    return _enrich(probes, identities, {"peer": _Address.named("peer")}, "start_time")


@dataclass(frozen=True, slots=True)
class _Address:
    """Expressions of the two halves of an address."""

    hi: pl.Expr
    lo: pl.Expr

    @classmethod
    def named(cls, name: str) -> Self:
        return cls(pl.col(f"{name}_ip_hi"), pl.col(f"{name}_ip_lo"))

    def known(self) -> pl.Expr:
        return self.hi.is_not_null() & self.lo.is_not_null()

    def loopback(self) -> pl.Expr:
        """127.0.0.0/8 or ::1."""
        return (self.hi == 0) & ((self.lo == 1) | self.lo.is_between(*_LOOPBACK_V4))

    def when(self, condition: pl.Expr, other: "_Address") -> "_Address":
        """Give this where the condition holds, and the other elsewhere."""
        return _Address(
            pl.when(condition).then(self.hi).otherwise(other.hi),
            pl.when(condition).then(self.lo).otherwise(other.lo),
        )


def _enrich(
    rows: pl.DataFrame, identities: Identities, sides: Mapping[str, _Address], last: str
) -> pl.DataFrame:
    """Columns of both sides, from ``start_time`` to the time in column ``last``."""
    code = pl.col("network_code")
    start = pl.col("start_time").to_physical()
    values = rows.select(
        start.fill_null(0).alias("start"),
        pl.coalesce(pl.col(last).to_physical(), start, 0).alias("end"),
        *(address.hi.fill_null(0).alias(f"{side}_hi") for side, address in sides.items()),
        *(address.lo.fill_null(0).alias(f"{side}_lo") for side, address in sides.items()),
        *(
            pl.when(address.known() & start.is_not_null() & (code >= 0))
            .then(code.cast(pl.Int64))
            .otherwise(-1)
            .alias(f"{side}_network")
            for side, address in sides.items()
        ),
    )
    start_us, end_us = values["start"].to_numpy(), values["end"].to_numpy()
    added = []
    for side in sides:
        network, high, low = (
            values[f"{side}_{name}"].to_numpy() for name in ("network", "hi", "lo")
        )
        answer = identities.known.answer(Asked(network, high, low, start_us, end_us))
        added += answer.columns(side)
    return rows.with_columns(added)


def _translated(
    flows: pl.DataFrame, identities: Identities, side: str
) -> Sequence[pl.Series | pl.Expr]:
    """Columns of a side that few rows have: all null in the others."""
    address = _Address.named(side)
    has = flows.select(address.known()).to_series()
    if not has.any():
        return [pl.lit(None, column.dtype).alias(column.name) for column in side_columns(side)]
    few = flows.filter(has).select(
        "network_code", "start_time", "end_time", f"{side}_ip_hi", f"{side}_ip_lo"
    )
    columns = _enrich(few, identities, {side: address}, "end_time")[:, few.width :]
    if len(few) == len(flows):
        return columns.get_columns()
    at = pl.select(pl.when(has).then(has.cum_sum() - 1)).to_series()
    return columns.select(pl.all().gather(at)).get_columns()


ENRICHERS: Final[Mapping[str, Enricher]] = {
    "flows": enrich_flows,
    "requests": enrich_requests,
    "verdicts": enrich_verdicts,
    "proxy_samples": enrich_peer,
    "control_plane": enrich_peer,
    "probes": enrich_probes,
}
"""Table to its enricher. One line here adds one."""
