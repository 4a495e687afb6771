"""
Linkerd's names: its proxies are no Envoys, and what they say by SNI is whose.

    SA.NS.serviceaccount.identity.LINKERD.TD   a workload's identity, also as SNI
    SVC.NS.svc.TD[:PORT]                       an authority: any Kubernetes has it
    SVC-CLUSTER.NS.svc.TD                      a mirror of another cluster's service

A mirror cannot be told from a service that has a dash in its name, so no
cluster is read from it.

Before: names.py. After: __init__.py.
Source: linkerd2 identity names; linkerd multicluster, mirror services.
"""

from typing import Final

import polars as pl

from pipeline.decode.meshes.names import Names

IDENTITY: Final = r"^[^./]+\.[^./]+\.serviceaccount\.identity\.[^/]+$"
_AUTHORITY: Final = r"^([^.:/|]+\.[^.:/|]+\.svc\.[^:/|]+?)\.?(?::([0-9]+))?$"


def read(name: pl.Expr) -> Names:
    """Read authorities and SNI."""
    authority = name.str.extract_groups(_AUTHORITY).struct
    return Names(
        known=name.str.contains(IDENTITY),
        service=authority.field("1"),
        port=authority.field("2"),
    )
