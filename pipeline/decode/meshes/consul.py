"""
Consul's names: clusters and SNI are the same.

    [SUBSET.]SVC.NS.DC.internal.TD                a service of the default partition
    [SUBSET.]SVC.NS.PARTITION.DC.internal-v1.TD   of another
    SVC.NS.PARTITION.PEER.external.TD             of a cluster peer
    SVC.default.DC.query.TD                       a prepared query
    DC.internal.TD                                a mesh gateway's way to another datacenter
    local_app, local_agent                        the server's proxy

TD is ``<uuid>.consul``. Clusters may have a prefix that ends in ``~``: the
hash of a customised chain, ``exported``, ``failover-target~0``. The service is
given as SVC.NS (SVC.NS.PARTITION where there is one), as Consul DNS says it,
and where it is, datacenter or peer, as the network.

Before: names.py. After: __init__.py.
Source: consul/agent/connect/sni.go and its tests, agent/xds/naming, agent/xds/clusters.go.
"""

from typing import Final

import polars as pl

from pipeline.decode.meshes.names import Names

_TD: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.consul$"
_HEAD: Final = r"^(?:.*~)?"
_LABEL: Final = "([^.~]+)"
_SERVICE: Final = rf"{_HEAD}(?:{_LABEL}\.)?{_LABEL}\.{_LABEL}\.{_LABEL}\.internal\.{_TD}"
_PARTITION: Final = (
    rf"{_HEAD}(?:{_LABEL}\.)?{_LABEL}\.{_LABEL}\.{_LABEL}\.{_LABEL}\.internal-v1\.{_TD}"
)
_PEER: Final = rf"{_HEAD}{_LABEL}\.{_LABEL}\.{_LABEL}\.{_LABEL}\.external\.{_TD}"
_QUERY: Final = rf"{_HEAD}{_LABEL}\.{_LABEL}\.{_LABEL}\.query\.{_TD}"
_DATACENTER: Final = rf"{_HEAD}{_LABEL}\.internal\.{_TD}"

IDENTITY: Final = (
    "^spiffe://[^/]+/(?:ap/[^/]+/)?(?:ns/[^/]+/dc/[^/]+/svc/|gateway/mesh/dc/|agent/server/dc/)"
)


def read(name: pl.Expr) -> Names:
    """Read names of clusters and SNI."""
    in_default, in_partition, of_peer, query, datacenter = (
        name.str.extract_groups(form) for form in (_SERVICE, _PARTITION, _PEER, _QUERY, _DATACENTER)
    )
    one, two, three, four = (in_default.struct.field(str(n)) for n in range(1, 5))
    subset, service, space, partition, at = (in_partition.struct.field(str(n)) for n in range(1, 6))
    peer = [of_peer.struct.field(str(n)) for n in range(1, 5)]
    local = name.is_in(["local_app", "local_agent"])
    out = pl.coalesce(four, at, peer[3], query.struct.field("3"), datacenter.struct.field("1"))
    return Names(
        known=local | out.is_not_null(),
        service=pl.coalesce(
            two + "." + three,
            service + "." + space + "." + partition,
            peer[0] + "." + peer[1] + "." + peer[2],
            query.struct.field("1"),
        ),
        subset=pl.coalesce(one, subset),
        network=out,
        reporter=pl.when(local)
        .then(pl.lit("destination"))
        .when(datacenter.struct.field("1").is_not_null())
        .then(pl.lit("gateway"))
        .when(out.is_not_null())
        .then(pl.lit("source")),
    )
