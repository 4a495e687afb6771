"""
Which samples become rows, and of which metric: the one table of families.

    envoy_cluster_membership_healthy{envoy_cluster_name="..."}   cluster, membership_healthy
    envoy_cluster_shop_svc_cluster_local_membership_healthy{..}  the same, and the name's rest
    envoy_http_0_0_0_8080_rbac_denied{...}                       http, denied
    response_total{direction="outbound",...}                     plain, whole

Envoy's own name of a statistic is scope, name and statistic with dots between
(``cluster.NAME.membership_healthy``). Its default tags take the name up to
its first dot into a label and leave the rest in the family, every other
character an underscore; so families of a scope are told by how they end.

A metric of which a kind includes another's counts (health checks that failed
by the network are among those that failed) is a metric of its own, so that
rows of one metric may be summed.

Before: exposition.py. After: __init__.py.
Source: Envoy "Statistics" of cluster manager, HTTP connection manager, listener,
RBAC, xDS; Istio "Standard metrics"; linkerd2-proxy; istiod pilot/pkg/xds/monitoring.go.
"""

from typing import Final, NamedTuple

import polars as pl


class Family(NamedTuple):
    """What a family of samples is in `schema.proxies.METRICS`."""

    metric: str
    name: str = ""
    """Constant text of the column ``name``."""
    label: str = ""
    """Label whose value is the column ``name``, where the sample has it."""
    scale: float = 1.0
    per: float = 1.0
    """The value times ``scale``, divided by ``per``, is in the metric's unit."""


_TLS: Final = {
    "ssl_handshake": Family("tls_handshakes"),
    "ssl_connection_error": Family("tls_failures", "connection_error"),
    "ssl_fail_verify_no_cert": Family("tls_failures", "verify_no_cert"),
    "ssl_fail_verify_error": Family("tls_failures", "verify_error"),
    "ssl_fail_verify_san": Family("tls_failures", "verify_san"),
    "ssl_fail_verify_cert_hash": Family("tls_failures", "verify_cert_hash"),
    "ssl_certificate_expiration_unix_time_seconds": Family(
        "certificate_expiry_time", label="envoy_tls_certificate"
    ),
}

_CIRCUITS: Final = {
    f"circuit_breakers_{priority}_{what}_open": Family("circuit_open", f"{priority}/{what}")
    for priority in ("default", "high")
    for what in ("cx", "cx_pool", "rq_pending", "rq", "rq_retry")
}

_CLUSTER: Final = {
    **_TLS,
    **_CIRCUITS,
    "upstream_rq_total": Family("requests"),
    "upstream_rq": Family("responses"),
    "upstream_rq_active": Family("requests_active"),
    "upstream_rq_time_sum": Family("request_time_sum"),
    "upstream_rq_time_count": Family("request_time_count"),
    "upstream_rq_retry": Family("retries"),
    "upstream_rq_timeout": Family("timeouts", "request"),
    "upstream_rq_per_try_timeout": Family("timeouts", "per_try"),
    "upstream_cx_connect_timeout": Family("timeouts", "connect"),
    "upstream_rq_rx_reset": Family("resets", "remote"),
    "upstream_rq_tx_reset": Family("resets", "local"),
    "upstream_cx_none_healthy": Family("rejected_no_healthy"),
    "upstream_cx_overflow": Family("rejected_overflow", "cx"),
    "upstream_cx_pool_overflow": Family("rejected_overflow", "cx_pool"),
    "upstream_rq_pending_overflow": Family("rejected_overflow", "rq_pending"),
    "upstream_rq_active_overflow": Family("rejected_overflow", "rq"),
    "upstream_rq_retry_overflow": Family("rejected_overflow", "rq_retry"),
    "upstream_cx_total": Family("connections"),
    "upstream_cx_destroy": Family("connections_closed"),
    "upstream_cx_active": Family("connections_active"),
    "upstream_cx_connect_fail": Family("connect_failures"),
    "upstream_cx_tx_bytes_total": Family("bytes_received"),  # from the client, to the upstream
    "upstream_cx_rx_bytes_total": Family("bytes_sent"),
    "membership_total": Family("upstream_members"),
    "membership_healthy": Family("upstream_members_healthy"),
    "membership_degraded": Family("upstream_members_degraded"),
    "membership_excluded": Family("upstream_members_excluded"),
    "membership_change": Family("upstream_members_changes"),
    "health_check_attempt": Family("health_checks"),
    "health_check_failure": Family("health_check_failures"),
    "health_check_network_failure": Family("health_check_network_failures"),
    "outlier_detection_ejections_enforced_total": Family("ejections"),
    "outlier_detection_ejections_active": Family("ejections_active"),
    "outlier_detection_ejections_overflow": Family("ejections_overflow"),
    "lb_healthy_panic": Family("panics"),
    "update_time": Family("config_update_time", "eds", per=1_000),  # only of clusters with EDS
    "update_rejected": Family("config_updates_rejected", "eds"),
}

_HTTP: Final = {
    "downstream_rq_total": Family("requests"),
    "downstream_rq_active": Family("requests_active"),
    "downstream_rq_xx": Family("responses"),
    "downstream_rq": Family("responses"),  # by class, with Istio's tags
    "rbac": Family("authz_allowed"),  # or denied, on trial or not: with Istio's tags, by label
    "no_route": Family("proxy_errors", "no_route"),
    "no_cluster": Family("proxy_errors", "no_cluster"),
    "rds_update_success": Family("config_updates", "rds"),
    "rds_update_rejected": Family("config_updates_rejected", "rds"),
    "rds_update_failure": Family("config_updates_failed", "rds"),
    "rds_update_time": Family("config_update_time", "rds", per=1_000),
    "allowed": Family("authz_allowed", label="envoy_rbac_policy_name"),
    "denied": Family("authz_denied", label="envoy_rbac_policy_name"),
    "shadow_allowed": Family("authz_shadow_allowed", label="envoy_rbac_policy_name"),
    "shadow_denied": Family("authz_shadow_denied", label="envoy_rbac_policy_name"),
}

_LISTENER: Final = {
    **_TLS,
    "downstream_cx_total": Family("connections"),
    "downstream_cx_destroy": Family("connections_closed"),
    "downstream_cx_active": Family("connections_active"),
}

_PLAIN: Final = {
    "envoy_server_live": Family("live"),
    "envoy_server_uptime": Family("uptime"),
    "envoy_server_days_until_first_cert_expiring": Family("certificate_time_left", scale=86_400),
    "envoy_control_plane_connected_state": Family("control_plane_connected"),
    "envoy_cluster_manager_cds_update_success": Family("config_updates", "cds"),
    "envoy_cluster_manager_cds_update_rejected": Family("config_updates_rejected", "cds"),
    "envoy_cluster_manager_cds_update_failure": Family("config_updates_failed", "cds"),
    "envoy_cluster_manager_cds_update_time": Family("config_update_time", "cds", per=1_000),
    "envoy_listener_manager_lds_update_success": Family("config_updates", "lds"),
    "envoy_listener_manager_lds_update_rejected": Family("config_updates_rejected", "lds"),
    "envoy_listener_manager_lds_update_failure": Family("config_updates_failed", "lds"),
    "envoy_listener_manager_lds_update_time": Family("config_update_time", "lds", per=1_000),
    # RBAC of connections: the prefix Istio gives it, "tcp.", is told by a label.
    "envoy_tcp": Family("authz_allowed"),  # or denied: with Istio's tags, by label
    "envoy_allowed": Family("authz_allowed"),
    "envoy_denied": Family("authz_denied"),
    "envoy_shadow_allowed": Family("authz_shadow_allowed"),
    "envoy_shadow_denied": Family("authz_shadow_denied"),
    "envoy_tcp_rbac_allowed": Family("authz_allowed"),
    "envoy_tcp_rbac_denied": Family("authz_denied"),
    "envoy_tcp_rbac_shadow_allowed": Family("authz_shadow_allowed"),
    "envoy_tcp_rbac_shadow_denied": Family("authz_shadow_denied"),
    # Istio's standard metrics, of sidecars, gateways, waypoints and ztunnel.
    "istio_requests_total": Family("responses"),
    "istio_request_duration_milliseconds_sum": Family("request_time_sum"),
    "istio_request_duration_milliseconds_count": Family("request_time_count"),
    "istio_tcp_connections_opened_total": Family("connections"),
    "istio_tcp_connections_closed_total": Family("connections_closed"),
    "istio_tcp_connections_failed_total": Family("connect_failures"),
    "istio_tcp_sent_bytes_total": Family("bytes_sent"),
    "istio_tcp_received_bytes_total": Family("bytes_received"),
    "istio_xds_connection_terminations_total": Family("control_plane_disconnects", label="reason"),
    "istio_agent_cert_expiry_seconds": Family("certificate_time_left", label="resource_name"),
    "istio_agent_istiod_connection_terminations": Family("control_plane_disconnects"),
    # Linkerd's proxy.
    "request_total": Family("requests"),
    "response_total": Family("responses"),
    "response_latency_ms_sum": Family("request_time_sum"),
    "response_latency_ms_count": Family("request_time_count"),
    "tcp_open_total": Family("connections"),
    "tcp_close_total": Family("connections_closed", label="errno"),
    "tcp_open_connections": Family("connections_active"),
    "tcp_read_bytes_total": Family("bytes_received"),
    "tcp_write_bytes_total": Family("bytes_sent"),
    "inbound_http_errors_total": Family("proxy_errors", label="error"),
    "outbound_http_errors_total": Family("proxy_errors", label="error"),
    "inbound_tcp_errors_total": Family("proxy_errors", label="error"),
    "outbound_tcp_errors_total": Family("proxy_errors", label="error"),
    "inbound_http_authz_allow_total": Family("authz_allowed"),
    "inbound_http_authz_deny_total": Family("authz_denied"),
    "inbound_tcp_authz_allow_total": Family("authz_allowed"),
    "inbound_tcp_authz_deny_total": Family("authz_denied"),
    "inbound_tcp_authz_terminate_total": Family("authz_terminated"),
    "outbound_http_balancer_endpoints": Family("upstream_members"),
    "outbound_tcp_balancer_endpoints": Family("upstream_members"),
    "identity_cert_expiration_timestamp_seconds": Family("certificate_expiry_time", "identity"),
    "identity_cert_refresh_count": Family("certificate_refreshes", "identity"),
    "identity_cert_refresh_count_total": Family("certificate_refreshes", "identity"),
    "process_start_time_seconds": Family("start_time"),
    # istiod.
    "pilot_xds": Family("control_plane_proxies", label="version"),
    "pilot_services": Family("control_plane_services"),
    "pilot_xds_pushes": Family("control_plane_pushes", label="type"),
    "pilot_xds_cds_reject": Family("control_plane_rejects_active", "cds"),
    "pilot_xds_lds_reject": Family("control_plane_rejects_active", "lds"),
    "pilot_xds_rds_reject": Family("control_plane_rejects_active", "rds"),
    "pilot_xds_eds_reject": Family("control_plane_rejects_active", "eds"),
    "pilot_total_xds_rejects": Family("control_plane_rejects", label="type"),
    "pilot_proxy_convergence_time_sum": Family("control_plane_convergence_sum"),
    "pilot_proxy_convergence_time_count": Family("control_plane_convergence_count"),
    "pilot_endpoint_not_ready": Family("endpoints_not_ready"),
    "istiod_managed_clusters": Family("control_plane_clusters", label="cluster_type"),
    "istiod_remote_cluster_sync_status": Family("control_plane_cluster_state", label="status"),
    "remote_cluster_sync_timeouts_total": Family("control_plane_cluster_timeouts"),
    "citadel_server_root_cert_expiry_timestamp": Family("certificate_expiry_time", "root"),
    "citadel_server_cert_chain_expiry_timestamp": Family("certificate_expiry_time", "chain"),
    "citadel_server_success_cert_issuance_count": Family("certificates_issued"),
    "citadel_server_authentication_failure_count": Family("certificate_errors", "authentication"),
    "citadel_server_csr_parsing_err_count": Family("certificate_errors", "csr_parsing"),
    "citadel_server_csr_sign_err_count": Family("certificate_errors", "csr_sign"),
    "citadel_server_id_extraction_err_count": Family("certificate_errors", "id_extraction"),
}

FAMILIES: Final = {"cluster": _CLUSTER, "http": _HTTP, "listener": _LISTENER, "plain": _PLAIN}
"""Scope to the families in it: how they end, or their whole name where the scope is plain."""

LABELS: Final = tuple(
    sorted({family.label for scope in FAMILIES.values() for family in scope.values()} - {""})
)
"""Labels that families take their ``name`` from."""

_MEANING: Final = pl.DataFrame(
    [
        (scope, end, *family)
        for scope, families in FAMILIES.items()
        for end, family in families.items()
    ],
    schema={
        "scope": pl.String,
        "end": pl.String,
        "metric": pl.String,
        "constant": pl.String,
        "label": pl.String,
        "scale": pl.Float64,
        "per": pl.Float64,
    },
    orient="row",
)


def _ending(scope: str) -> str:
    """Pattern of a scope: what is between, as short as can be, and the statistic."""
    ends = "|".join(sorted(FAMILIES[scope], key=len, reverse=True))
    between = "(?:(.+?)_)??"
    if scope == "http":  # rbac_, and the prefix its rules may have
        ends = "|".join(end for end in sorted(_HTTP, key=len, reverse=True) if not _rbac(end))
        return (
            rf"^envoy_(http)_{between}(?:({ends})|rbac_(?:.+?_)??((?:shadow_)?(?:allowed|denied)))$"
        )
    return rf"^envoy_({scope})_{between}({ends})$"


def _rbac(end: str) -> bool:
    return end.endswith(("allowed", "denied"))


# With Istio's tags a certificate's name is in the family.
_CERTIFICATE: Final = "_ssl_certificate_(.+)_expiration_unix_time_seconds$"
_PATTERNS: Final = tuple(_ending(scope) for scope in ("cluster", "http", "listener"))
# Statistics of a part of a cluster's requests, of zones, of the admin's own listener.
_PART_OF_ANOTHER: Final = (
    r"(?:^|_)(?:external|internal|canary)$|^zone_|^manager$|^admin|^http_|^worker|_worker$"
)


def meaning(names: pl.Series) -> pl.DataFrame:
    """
    What families of n names are.

    Parameters
    ----------
    names
        n distinct names of samples; null for none.

    Returns
    -------
    DataFrame
        n rows: ``family``, ``scope`` (null if not in the table), ``between``
        (what an Envoy's name has there; null if nothing), ``metric``,
        ``constant``, ``label``, ``scale``, ``per``.
    """
    certificate = names.str.extract(_CERTIFICATE)
    family = pl.col("family").str.replace(
        _CERTIFICATE, "_ssl_certificate_expiration_unix_time_seconds"
    )
    groups = [family.str.extract_groups(pattern).struct for pattern in _PATTERNS]
    plain = family.is_in(list(_PLAIN))
    told = (
        pl.DataFrame({"family": names})
        .with_columns(
            scope=pl.coalesce(
                pl.when(plain).then(pl.lit("plain")), *(group[0] for group in groups)
            ),
            between=pl.when(~plain).then(pl.coalesce(*(group[1] for group in groups))),
            end=pl.when(plain)
            .then(family)
            .otherwise(pl.coalesce(*(group[2] for group in groups), groups[1][3])),
        )
        .with_columns(
            scope=pl.when(
                ~pl.col("between").str.contains(_PART_OF_ANOTHER).fill_null(value=False)
            ).then("scope")
        )
    )
    found = told.join(_MEANING, on=["scope", "end"], how="left", maintain_order="left")
    return found.with_columns(
        constant=pl.coalesce(pl.Series(certificate), "constant"),
    ).select("family", "scope", "between", "metric", "constant", "label", "scale", "per")
