"""
Kuma's names, and those of Kong Mesh.

    sni.KIND.MESH[.ZONE[.NS]].NAME.SECTION     SNI since 2.12; KIND is msvc, mzsvc, extsvc
    aHASH.NAME.PORT.MESH.ms                    SNI of 2.8 to 2.11; ms, mes, mzms
    SERVICE{TAG=VALUE,...,mesh=MESH}           SNI of a service known by tags
    kri_KIND_MESH_ZONE_NS_NAME_SECTION         clusters since 2.12; ZONE and NS may be empty
    MESH_NAME_NS_ZONE_msvc_PORT                clusters of 2.8 to 2.11
    NAME_NS_svc_PORT                           a service of Kubernetes, known by its tag
    self_inbound..., localhost:PORT            the server's proxy

The service is given as NAME.NS where NS is told, else as the name is: Kuma's
services need not be of Kubernetes. Zone proxies call clusters by the names
clients do; a connection that came in by the SNI of the service it goes to
passed through one.

Before: names.py. After: __init__.py.
Source: kuma/pkg/xds/envoy/tls/sni.go, kuma/docs/madr/decisions/070-resource-identifier.md.
"""

from typing import Final

import polars as pl

from pipeline.decode.meshes.names import Names

_LABEL: Final = "([^.{}|]+)"
_SNI: Final = (
    rf"^sni\.(?:msvc|mzsvc|extsvc)\.[^.]+(?:\.{_LABEL}(?:\.{_LABEL})?)?\.{_LABEL}\.{_LABEL}$"
)
_HASHED: Final = rf"^a[0-9a-f]{{16}}\.{_LABEL}\.([0-9]+)\.[^.]+\.(?:ms|mes|mzms)$"
_TAGGED: Final = r"^([^{}]+)\{(?:[^{}]*,)?mesh=[^{}]*\}$"
_KRI: Final = r"^kri_(?:msvc|mzsvc|extsvc)_[^_]+_([^_]*)_([^_]*)_([^_]+)_([^_]*)$"
_OLD: Final = (
    r"^[^_|]+_([^_|]+)_([^_|]*)_([^_|]*)_(?:msvc|mzsvc|extsvc)_([0-9]+)(?:-[0-9a-f]{16})?$"
)
_TAG: Final = r"^([^_{}:|]+)_([^_{}:|]+)_svc(?:_([0-9]+))?(?:-[0-9a-f]{16})?$"
_NUMBER: Final = "^([0-9]+)$"

IDENTITY: Final = r"^spiffe://(?:[^/]+\.mesh\.local/(?:ns/[^/]+/sa|workload)/|[^/]+/[^/_]+_[^/_]+_svc(?:_[0-9]+)?$)"


def read(name: pl.Expr) -> Names:
    """Read names of clusters and SNI."""
    sni, hashed, kri, old = (_groups(name, form, 4) for form in (_SNI, _HASHED, _KRI, _OLD))
    tagged = name.str.extract(_TAGGED)
    tag = _groups(pl.coalesce(tagged, name), _TAG, 3)
    local = name.str.extract("^localhost:([0-9]+)$")
    own = name.str.starts_with("self_inbound")
    left = pl.coalesce(kri[2], old[0], tag[0])
    service = pl.coalesce(
        _dotted(sni[2], sni[1]),
        hashed[0],
        _dotted(kri[2], kri[1]),
        _dotted(old[0], old[1]),
        _dotted(tag[0], tag[1]),
        tagged,
    )
    return Names(
        known=service.is_not_null() | own,
        service=service,
        port=pl.coalesce(
            sni[3].str.extract(_NUMBER),
            hashed[1],
            kri[3].str.extract(_NUMBER),
            old[3],
            tag[2],
            local,
            name.str.extract("^self_inbound_(?:dp_)?([0-9]+)$"),
        ),
        network=pl.coalesce(sni[0], kri[0], old[2]),
        reporter=pl.when(own | local.is_not_null())
        .then(pl.lit("destination"))
        .when(left.is_not_null() & tagged.is_null())
        .then(pl.lit("source")),
    )


def _groups(name: pl.Expr, form: str, count: int) -> list[pl.Expr]:
    found = name.str.extract_groups(form).struct
    given = form.count("(") - form.count("(?")
    return [found.field(str(n + 1)) if n < given else pl.lit(None, pl.String) for n in range(count)]


def _dotted(service: pl.Expr, namespace: pl.Expr) -> pl.Expr:
    """``service.namespace``, or the service alone if none is told."""
    return pl.when(namespace != "").then(service + "." + namespace).otherwise(service)
