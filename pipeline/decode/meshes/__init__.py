"""
How each mesh names things: cluster names and SNI to service, port, subset, and where.

    names      what a dialect gives
    istio      outbound|80||reviews.shop.svc.cluster.local
    consul     reviews.default.dc1.internal.<uuid>.consul
    kuma       kri_msvc_default_east_shop_reviews_80
    linkerd    web.shop.serviceaccount.identity.linkerd.cluster.local
    osm        shop/reviews|8080

A row is of the mesh its agent declares; else of the one that alone uses its
upstream cluster's form of name, its SNI's, or its identities'; else of none
that is known. Names are read in the dialect of that mesh only. A mesh is
declared that has no dialect of its own (a distribution of another): its names
are read as whoever's they are.

The reporter, too, is in the name: a proxy calls a cluster as its place has it.
A name only gateways or waypoints use is believed first, then the direction of
the listener, then the other names, then what is declared of the proxies.

Before: requests.py. After: requests.py (what it reads its columns with).
"""

from typing import Final

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.decode.addresses import distinct
from pipeline.decode.meshes import consul, istio, kuma, linkerd, osm
from pipeline.decode.meshes.names import Dialect, columns

MESHES: Final = {
    "istio": Dialect(istio.read),
    "consul": Dialect(consul.read, consul.IDENTITY),
    "kuma": Dialect(kuma.read, kuma.IDENTITY),
    "linkerd": Dialect(linkerd.read, linkerd.IDENTITY),
    "osm": Dialect(osm.read),
}
"""Mesh to its dialect. One line here adds one; no name may be known by two."""

_IDENTITIES: Final = (
    "downstream_peer_identity",
    "upstream_peer_identity",
    "downstream_local_identity",
    "upstream_local_identity",
)
GIVEN: Final = pl.Schema(
    dict.fromkeys(
        ("upstream_cluster", "sni", "direction", "mesh", "proxy_model", *_IDENTITIES), pl.String()
    )
)
"""Columns that are read, each of them optional."""

_TOLD: Final = {"outbound": "source", "inbound": "destination", "gateway": "gateway"}
_CODE: Final = pl.Enum(list(MESHES))
_READ: Final = {mesh: columns(pl.col("name"), dialect) for mesh, dialect in MESHES.items()}


def read_names(rows: pl.DataFrame) -> pl.DataFrame:
    """
    Read whom n rows say they speak of.

    Parameters
    ----------
    rows
        n rows with any of `GIVEN`; others are not looked at.

    Returns
    -------
    DataFrame
        n rows: ``mesh``, ``reporter`` (never null: "unknown"), ``service``,
        ``service_port``, ``service_subset``, ``service_network``.
    """
    given = schema.complete(rows, GIVEN)
    count = given.height
    texts = distinct(pl.concat([given["upstream_cluster"], given["sni"].alias("upstream_cluster")]))
    dialects = [texts.values.alias("name").to_frame().select(read) for read in _READ.values()]
    cluster, sni = texts.codes[:count], texts.codes[count:]
    whose = _whose(dialects)
    meshes = pl.DataFrame(
        [given["mesh"], whose.gather(cluster).alias("known"), whose.gather(sni).alias("other")]
    ).with_columns(known=pl.coalesce("known", "other"))
    if meshes["known"].has_nulls():
        meshes = meshes.with_columns(_of_identities(given).alias("other")).with_columns(
            known=pl.coalesce("known", "other")
        )
    mesh = pl.when(pl.col("mesh") != "").then("mesh")
    meshes = meshes.select(
        mesh=pl.coalesce(mesh, "known"),
        dialect=pl.when(mesh.is_in(list(MESHES))).then(mesh).otherwise("known").cast(_CODE),
    )
    # Many rows speak of the same: each combination is looked into once.
    told = given.select("direction", "proxy_model")
    kinds, of = _kinds(
        pl.concat(
            [meshes, pl.DataFrame([cluster.alias("cluster"), sni.alias("sni")]), told],
            how="horizontal",
        )
    )
    first = kinds["dialect"].to_physical().cast(pl.Int64) * len(texts.values)
    every = pl.concat(dialects)
    read = kinds.select("mesh", "direction", "proxy_model").hstack(
        _gather(every, first + kinds["cluster"], "") + _gather(every, first + kinds["sni"], "sni_")
    )
    by_cluster = pl.col("service").is_not_null()
    named = read.select(
        "mesh",
        _reporter(),
        service=pl.coalesce("service", "sni_service"),
        service_port=pl.when(by_cluster).then("port").otherwise(pl.coalesce("sni_port", "port")),
        service_subset=pl.when(by_cluster).then("subset").otherwise("sni_subset"),
        service_network=pl.when(by_cluster)
        .then("network")
        .otherwise(pl.coalesce("network", "sni_network")),
    )
    return named.select(pl.all().gather(of))


def _kinds(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Distinct rows, and for each row the index of its kind."""
    kinds = rows.with_row_index("row").group_by(rows.columns).agg("row")
    row, size = kinds["row"].explode(), kinds["row"].list.len()
    of = np.empty(rows.height, np.int64)
    of[row.to_numpy()] = np.repeat(np.arange(kinds.height), size.to_numpy())
    return kinds, pl.Series(of)


def _reporter() -> pl.Expr:
    """Which proxy of the path wrote it; see the module's docstring for who is believed."""
    by_name = pl.col("reporter")
    passed = (by_name == "source") & (pl.col("service") == pl.col("sni_service"))
    model = pl.col("proxy_model")
    return pl.coalesce(
        pl.when(by_name.is_in(["gateway", "waypoint"])).then(by_name),
        pl.col("direction").str.to_lowercase().replace_strict(_TOLD, default=None),
        pl.when(passed).then(pl.lit("gateway")).otherwise(by_name),
        pl.when(model.is_in(["gateway", "waypoint"])).then(model),
        pl.lit("unknown"),
    ).cast(schema.REPORTER)


def _whose(dialects: list[pl.DataFrame]) -> pl.Series:
    """Which mesh's each name is by its form alone; null if nobody's."""
    known = pl.DataFrame(
        [read["known"].alias(mesh) for mesh, read in zip(MESHES, dialects, strict=True)]
    )
    return known.select(
        pl.coalesce(pl.when(mesh).then(pl.lit(mesh)) for mesh in MESHES)
    ).to_series()


def _gather(every: pl.DataFrame, place: pl.Series, prefix: str) -> list[pl.Series]:
    """What each row's name says in the dialect of the row's mesh; null where it has none."""
    return [column.gather(place).alias(prefix + column.name) for column in every.get_columns()]


def _of_identities(given: pl.DataFrame) -> pl.Series:
    """Whose each row's identities are; null if nobody's, or anybody's."""
    identity = distinct(given.select(pl.coalesce(_IDENTITIES)).to_series())
    forms = {mesh: one.identity for mesh, one in MESHES.items() if one.identity}
    whose = (
        identity.values.alias("name")
        .to_frame()
        .select(
            pl.coalesce(
                pl.when(pl.col("name").str.contains(form)).then(pl.lit(mesh))
                for mesh, form in forms.items()
            )
        )
    )
    return identity.rows(whose.to_series())
