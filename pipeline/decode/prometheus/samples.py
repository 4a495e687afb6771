"""
Samples of known families to rows of ``proxy_samples``: whose labels mean what.

    Envoy       envoy_cluster_name, or cluster_name where Istio's tags are set
    Istio       reporter, source_*, destination_*: sidecars, waypoints, ztunnel
    Linkerd     direction, target_addr, dst_*, client_id, server_id, authz_*
    istiod      what the family names

Envoy's default tags cut a cluster's name at its first dot. The rest is in the
family, with ``_`` for its dots and dashes: ``my_shop_svc_cluster_local`` can
only have been ``my-shop.svc.cluster.local``, for a namespace has no dots.
Another rest is put behind the name as it is, and no service is read out of it.
Istio ends names with ``;``, which is left out, and its tags take the code of a
response and the verdict of a policy out of the family.

Of Linkerd's connections both halves are counted, to the application and to
the peer; the peer's is kept. A value that is NaN or infinite is none.

Before: families.py. After: __init__.py.
"""

from typing import Final

import polars as pl

from pipeline import schema
from pipeline.decode.addresses import parse_addresses
from pipeline.decode.meshes import read_names
from pipeline.decode.prometheus.exposition import label_columns
from pipeline.decode.prometheus.families import LABELS, meaning

_ENVOY: Final = (
    *("cluster_name", "envoy_cluster_name", "consul_destination_full_target"),
    *("envoy_listener_address", "envoy_http_conn_manager_prefix", "http_conn_manager_prefix"),
    *("envoy_rbac_prefix", "envoy_response_code", "envoy_response_code_class", "response_code"),
    *("response_code_class", "listener_address", "tcp_prefix"),
    *("authz_enforce_result", "authz_dry_run_result"),
)
_ISTIO: Final = (
    *("reporter", "response_flags", "connection_security_policy", "grpc_response_status"),
    *("source_cluster", "source_workload_namespace", "source_workload", "source_principal"),
    *("destination_cluster", "destination_workload_namespace", "destination_workload"),
    *("destination_principal", "destination_service", "cluster"),
)
_LINKERD: Final = (
    *("direction", "peer", "target_addr", "tls", "client_id", "server_id", "authority"),
    *("dst_service", "dst_namespace", "dst_deployment", "dst_statefulset", "dst_daemonset"),
    *("status_code", "grpc_status", "endpoint_state", "authz_name", "saz_name", "srv_name"),
    *("backend_name", "backend_namespace", "backend_port"),
)
_KEYS: Final = tuple(dict.fromkeys((*LABELS, *_ENVOY, *_ISTIO, *_LINKERD)))

_KUBERNETES: Final = "^([a-z0-9_]+)_svc_cluster_local_?$"
_OWN: Final = ("admin", "async-client")
"""Connection managers of Envoy's own: its admin page, and calls it makes itself."""
_NO_CERTIFICATE_S: Final = (2**31 - 1) * 86_400.0
"""Where there is no certificate, Envoy says it is good for 2**32 - 1 days; older ones 2**31 - 1."""
_TLS: Final = {
    "mutual_tls": True,
    "none": False,
    "true": True,
    "no_identity": False,
    "disabled": False,
    "loopback": False,
}
_REPORTERS: Final = {
    "source": "source",
    "outbound": "source",
    "destination": "destination",
    "inbound": "destination",
    "waypoint": "waypoint",
}
_DIRECTIONS: Final = {
    "source": "outbound",
    "outbound": "outbound",
    "destination": "inbound",
    "inbound": "inbound",
}
_BALANCER: Final = {"ready": "upstream_members_healthy", "pending": "upstream_members_pending"}


def sample_rows(wanted: pl.DataFrame, mesh: pl.Series) -> pl.DataFrame:
    """
    Rows of samples.

    Parameters
    ----------
    wanted
        n samples, `exposition.Samples.wanted`.
    mesh
        The mesh that is declared of each; null if none.

    Returns
    -------
    DataFrame
        ``text`` and the columns of `schema.DECODED_SAMPLES` but the first two;
        at most n rows, in order.
    """
    families = meaning(wanted["family"].unique(maintain_order=True))
    labels = label_columns(wanted["labels"], _KEYS)
    given = pl.concat([wanted.drop("labels"), labels], how="horizontal").with_columns(mesh=mesh)
    given = given.join(families, on="family", how="inner", maintain_order="left")
    given = _kept(
        given.with_columns(
            metric=_metric(), value=pl.col("value") * pl.col("scale") / pl.col("per")
        )
    )
    told = given.with_columns(upstream_cluster=_upstream(), side=_side())
    named = read_names(
        told.select("mesh", "upstream_cluster", direction=_one_of("side", _DIRECTIONS))
    )
    rows = told.with_columns(
        *_places(),
        *_statuses(),
        mesh=named["mesh"],
        reporter=pl.coalesce(
            _one_of("side", _REPORTERS),
            named["reporter"].cast(pl.String).replace("unknown", None),
        ),
        direction=pl.coalesce(_one_of("side", _DIRECTIONS), _listener_side()),
        service=pl.coalesce(named["service"], _known("destination_service"), _authority()),
        service_port=pl.coalesce(named["service_port"], _authority_port()),
        service_subset=named["service_subset"],
        service_network=named["service_network"],
        listener=_listener(),
        name=_name(),
        sample_time=(pl.col("time_ns") // 1_000).cast(schema.TIME),
        tls=pl.coalesce(_one_of("connection_security_policy", _TLS), _one_of("tls", _TLS)),
    )
    outside = pl.when(pl.col("side") == "outbound").then("target_addr")
    peer = parse_addresses(rows.select(outside.alias("peer")).to_series())
    rows = rows.with_columns(peer_ip_hi=peer.ip_hi, peer_ip_lo=peer.ip_lo, peer_port=peer.port)
    columns = {name: kind for name, kind in schema.DECODED_SAMPLES.items() if name != "vantage"}
    del columns["received_ns"]
    return pl.concat(
        [rows.select("text"), schema.complete(rows, pl.Schema(columns))], how="horizontal"
    )


def _one_of(column: str, values: dict[str, str] | dict[str, bool]) -> pl.Expr:
    dtype = pl.Boolean() if column in ("tls", "connection_security_policy") else pl.String()
    return pl.col(column).replace_strict(values, default=None, return_dtype=dtype)


def _known(column: str) -> pl.Expr:
    """Label of Istio's, null where it says it does not know."""
    return pl.when(~pl.col(column).is_in(["unknown", "-"])).then(column)


def _side() -> pl.Expr:
    """Which way the calls go, in the word of whoever counted them."""
    return pl.coalesce(
        "reporter", "direction", pl.col("family").str.extract("^(inbound|outbound)_")
    )


def _metric() -> pl.Expr:
    """Metric of each sample, where a label has a part in it."""
    out = pl.col("direction") == "outbound"
    balancer = pl.col("endpoint_state").replace_strict(_BALANCER, default=None)
    linkerd = pl.col("family").str.contains("_balancer_endpoints$")
    rbac = pl.col("family").str.contains("^envoy_(?:http_(?:.+_)?rbac|tcp)$")
    # A proxy reads from the client on the way in, and from the server on the way out.
    return (
        pl.when(linkerd)
        .then(balancer)
        .when(rbac)
        .then(
            pl.coalesce(
                pl.lit("authz_shadow_") + pl.col("authz_dry_run_result"),
                pl.lit("authz_") + pl.col("authz_enforce_result"),
            )
        )
        .when(out & (pl.col("family") == "tcp_read_bytes_total"))
        .then(pl.lit("bytes_sent"))
        .when(out & (pl.col("family") == "tcp_write_bytes_total"))
        .then(pl.lit("bytes_received"))
        .otherwise("metric")
    )


def _kept(given: pl.DataFrame) -> pl.DataFrame:
    """Those that are what their family's name lets expect, and have a value."""
    cluster = pl.col("scope") == "cluster"
    nameless = (
        cluster
        & pl.coalesce(
            "cluster_name", "envoy_cluster_name", "consul_destination_full_target"
        ).is_null()
    )
    manager = pl.coalesce("http_conn_manager_prefix", "envoy_http_conn_manager_prefix")
    own = manager.is_in(_OWN).fill_null(value=False)
    rbac = pl.col("family").is_in(
        ["envoy_allowed", "envoy_denied", "envoy_shadow_allowed", "envoy_shadow_denied"]
    )
    inside = pl.col("family").str.starts_with("tcp_") & (
        pl.when(pl.col("direction") == "outbound")
        .then(pl.col("peer") == "src")
        .otherwise(pl.col("peer") == "dst")
        .fill_null(value=False)
    )
    # Envoy counts responses by code and by class; of an upstream the codes are taken.
    by_class = cluster & (pl.col("metric") == "responses") & _code().is_null()
    uncertified = (pl.col("metric") == "certificate_time_left") & (
        pl.col("value") >= _NO_CERTIFICATE_S
    )
    return given.filter(
        pl.col("metric").is_not_null()
        & pl.col("value").is_finite()
        & ~nameless
        & ~own
        & ~(rbac & pl.col("envoy_rbac_prefix").is_null())
        & ~inside
        & ~by_class
        & ~uncertified
    )


def _upstream() -> pl.Expr:
    """Name of the upstream; see the module's docstring."""
    consul = pl.col("consul_destination_full_target") + ".consul"
    label = pl.coalesce("cluster_name", consul, "envoy_cluster_name").str.strip_suffix(";")
    namespace = pl.col("between").str.extract(_KUBERNETES).str.replace_all("_", "-", literal=True)
    rest = pl.coalesce(namespace + ".svc.cluster.local", pl.col("between").str.strip_suffix("_"))
    backend = pl.format("{}/{}:{}", "backend_namespace", "backend_name", "backend_port")
    out = pl.col("direction").eq("outbound") | pl.col("family").str.starts_with("outbound_")
    return (
        pl.when(pl.col("scope") == "cluster")
        .then(pl.concat_str(label, rest, separator=".", ignore_nulls=True))
        .when(out)
        .then(pl.coalesce(backend, "authority", "target_addr"))
    )


def _listener() -> pl.Expr:
    manager = pl.coalesce("http_conn_manager_prefix", "envoy_http_conn_manager_prefix")
    return (
        pl.when(pl.col("scope") == "http")
        .then(pl.concat_str(manager, "between", separator=".", ignore_nulls=True))
        .when(pl.col("scope") == "listener")
        .then(pl.coalesce("envoy_listener_address", "listener_address", "between"))
        .when(pl.col("family") == "envoy_tcp")
        .then(pl.lit("tcp"))
        .otherwise("envoy_rbac_prefix")
    ).replace("", None)


def _listener_side() -> pl.Expr:
    """Direction by the names Istio gives clusters and connection managers."""
    named = pl.coalesce("upstream_cluster", _listener())
    return named.str.extract(r"^(inbound|outbound)[_|]")


def _authority() -> pl.Expr:
    """Host Linkerd's client asked for, where it is the service it was led to."""
    host = pl.col("authority").str.replace(":[0-9]+$", "")
    return pl.when(host.str.starts_with(pl.col("dst_service") + ".")).then(host)


def _authority_port() -> pl.Expr:
    port = pl.col("authority").str.extract(":([0-9]+)$").cast(pl.UInt16, strict=False)
    return pl.when(_authority().is_not_null()).then(port)


def _name() -> pl.Expr:
    label = pl.coalesce(pl.when(pl.col("label") == key).then(key) for key in LABELS)
    policy = pl.when(pl.col("metric").str.starts_with("authz_")).then(
        pl.coalesce("authz_name", "saz_name", "srv_name")
    )
    return pl.coalesce(label, policy, pl.when(pl.col("constant") != "").then("constant"))


def _code() -> pl.Expr:
    return pl.coalesce("envoy_response_code", "response_code", "status_code")


def _statuses() -> list[pl.Expr]:
    of_class = pl.coalesce("envoy_response_code_class", "response_code_class")
    status = pl.coalesce(
        _code().cast(pl.UInt16, strict=False),
        of_class.str.strip_suffix("xx").cast(pl.UInt16, strict=False) * 100,
    )
    grpc = pl.coalesce("grpc_response_status", "grpc_status")
    return [
        pl.when(status.is_between(1, 999)).then(status).alias("status"),
        grpc.cast(pl.UInt8, strict=False).alias("grpc_status"),
        _known("response_flags").alias("response_flags"),
    ]


def _places() -> list[pl.Expr]:
    """Both ends of what Istio and Linkerd count by workload."""
    return [
        _known("source_cluster").alias("source_cluster"),
        _known("source_workload_namespace").alias("source_namespace"),
        _known("source_workload").alias("source_workload"),
        pl.coalesce(_known("source_principal"), "client_id").alias("source_identity"),
        pl.coalesce(_known("destination_cluster"), "cluster").alias("destination_cluster"),
        pl.coalesce(_known("destination_workload_namespace"), "dst_namespace").alias(
            "destination_namespace"
        ),
        pl.coalesce(
            _known("destination_workload"), "dst_deployment", "dst_statefulset", "dst_daemonset"
        ).alias("destination_workload"),
        pl.coalesce(_known("destination_principal"), "server_id").alias("destination_identity"),
    ]
