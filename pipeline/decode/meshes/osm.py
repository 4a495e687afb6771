"""
Open Service Mesh's names.

    NS/SVC|PORT            the client's proxy; PORT is the pods'
    NS/SVC|PORT|local      the server's proxy
    SVC.NS.svc.cluster.local   SNI: any Kubernetes has it, so it tells no mesh

Before: names.py. After: __init__.py.
Source: openservicemesh/osm, pkg/service/types.go.
"""

import polars as pl

from pipeline.decode.meshes.names import Names


def read(name: pl.Expr) -> Names:
    """Read names of clusters and SNI."""
    cluster = name.str.extract_groups(r"^([^/|]+)/([^/|]+)\|([0-9]+)(\|local)?$").struct
    namespace, service = cluster.field("1"), cluster.field("2")
    server_name = name.str.extract(r"^([^./|]+\.[^./|]+\.svc\.cluster\.local)$")
    return Names(
        known=service.is_not_null(),
        service=pl.coalesce(service + "." + namespace + ".svc.cluster.local", server_name),
        port=cluster.field("3"),
        reporter=pl.when(cluster.field("4").is_not_null())
        .then(pl.lit("destination"))
        .when(service.is_not_null())
        .then(pl.lit("source")),
    )
