"""
Statistics of proxies, and what control planes say of them.

``proxy_samples`` is narrow: one row a metric, series and scrape, the metric
one of `METRICS` whatever the proxy calls it. Counters are totals since the
proxy started, as scraped; views take differences, and know a restart.
``control_plane`` holds what a control plane's debug endpoints list: the
proxies connected to it, and what it discovered of each cluster.

Before: requests.py. After: entities.py.
"""

from typing import Final, Literal, NamedTuple

import polars as pl

from pipeline.schema.model import (
    F64,
    I64,
    REPORTER,
    TEXT,
    TIME,
    U8,
    U16,
    U32,
    U64,
    Column,
    Table,
    address,
    side,
)


class Metric(NamedTuple):
    """One canonical metric: whether it counts since the start or tells a state, its unit, meaning."""

    kind: Literal["counter", "gauge"]
    unit: str
    meaning: str


METRICS: Final = {
    # The scrape itself.
    "scrape_samples": Metric(
        "gauge",
        "samples",
        "samples in the scrape, used or not: one row each scrape, so that silence is seen",
    ),
    "start_time": Metric("gauge", "unix seconds", "when the process started"),
    "uptime": Metric("gauge", "seconds", "for how long the process runs"),
    "live": Metric("gauge", "0 or 1", "1 if the proxy is live and not draining"),
    # Calls to an upstream, or as Istio and Linkerd count them, of one workload by another.
    "requests": Metric(
        "counter", "requests", "requests begun; each try of a request that is sent again"
    ),
    "responses": Metric(
        "counter",
        "responses",
        "requests that were answered, by `status`; what the proxy answered itself included",
    ),
    "request_time_sum": Metric("counter", "milliseconds", "time of all requests together"),
    "request_time_count": Metric("counter", "requests", "requests in `request_time_sum`"),
    "requests_active": Metric("gauge", "requests", "requests on their way"),
    "retries": Metric("counter", "retries", "requests sent again"),
    "timeouts": Metric(
        "counter", "requests", "requests that ran out of time; `name`: request, per_try, connect"
    ),
    "resets": Metric(
        "counter",
        "requests",
        "requests cut; `name`: local (by the proxy) or remote (by the upstream)",
    ),
    "rejected_no_healthy": Metric(
        "counter", "connections", "connections not made, for no member was healthy"
    ),
    "rejected_overflow": Metric(
        "counter",
        "requests",
        "times a circuit breaker was full, and a request or connection had to wait or fail; `name` is what was full",
    ),
    "proxy_errors": Metric(
        "counter", "errors", "requests or connections the proxy failed itself; `name` is why"
    ),
    # Connections.
    "connections": Metric("counter", "connections", "connections opened"),
    "connections_closed": Metric("counter", "connections", "connections closed"),
    "connections_active": Metric("gauge", "connections", "connections open"),
    "connect_failures": Metric(
        "counter", "connections", "connections that were not made; `name` is why, where told"
    ),
    "bytes_received": Metric(
        "counter",
        "bytes",
        "bytes on their way from the client to the server, as `requests.bytes_received`",
    ),
    "bytes_sent": Metric("counter", "bytes", "bytes on their way from the server to the client"),
    # Members of an upstream.
    "upstream_members": Metric("gauge", "members", "endpoints"),
    "upstream_members_healthy": Metric(
        "gauge",
        "members",
        "endpoints that may be chosen: neither failing their health check nor ejected",
    ),
    "upstream_members_degraded": Metric(
        "gauge", "members", "endpoints that said they are degraded"
    ),
    "upstream_members_excluded": Metric("gauge", "members", "endpoints left out"),
    "upstream_members_pending": Metric(
        "gauge", "members", "endpoints not ready, as Linkerd's balancer says"
    ),
    "upstream_members_changes": Metric("counter", "changes", "times the endpoints changed"),
    "health_checks": Metric("counter", "checks", "active health checks sent"),
    "health_check_failures": Metric("counter", "checks", "active health checks that failed"),
    "health_check_network_failures": Metric(
        "counter", "checks", "of those, the ones that had no answer"
    ),
    "ejections": Metric("counter", "ejections", "times outlier detection put an endpoint out"),
    "ejections_active": Metric("gauge", "members", "endpoints that are out now"),
    "ejections_overflow": Metric(
        "counter", "ejections", "ejections not done, for too many were out"
    ),
    "panics": Metric(
        "counter", "requests", "requests balanced over all endpoints, for too few were healthy"
    ),
    "circuit_open": Metric(
        "gauge",
        "0 or 1",
        "1 while a circuit breaker is open; `name` is its priority and what it limits",
    ),
    # TLS and certificates.
    "tls_handshakes": Metric("counter", "handshakes", "TLS handshakes done"),
    "tls_failures": Metric("counter", "handshakes", "TLS handshakes that failed; `name` is why"),
    "certificate_expiry_time": Metric(
        "gauge", "unix seconds", "when a certificate expires; `name` is the certificate"
    ),
    "certificate_time_left": Metric(
        "gauge", "seconds", "for how long the certificate that expires first is still good"
    ),
    "certificate_refreshes": Metric("counter", "certificates", "certificates obtained anew"),
    # Authorization.
    "authz_allowed": Metric(
        "counter",
        "requests",
        "requests or connections policies allowed; `name` is the policy; of Envoy null: all together",
    ),
    "authz_denied": Metric(
        "counter",
        "requests",
        "requests or connections denied; `name` is the policy, or the Server none of whose allowed it; of Envoy null: all together",
    ),
    "authz_terminated": Metric("counter", "connections", "connections cut, for a policy changed"),
    "authz_shadow_allowed": Metric(
        "counter", "requests", "what a policy on trial would have allowed"
    ),
    "authz_shadow_denied": Metric(
        "counter", "requests", "what a policy on trial would have denied"
    ),
    # What a proxy says of its control plane.
    "control_plane_connected": Metric("gauge", "0 or 1", "1 while connected to the control plane"),
    "control_plane_disconnects": Metric(
        "counter",
        "connections",
        "streams to the control plane, or to its proxies, that ended; `name` is why",
    ),
    "config_updates": Metric(
        "counter", "updates", "configurations taken; `name` is the type of resource"
    ),
    "config_updates_rejected": Metric("counter", "updates", "configurations the proxy refused"),
    "config_updates_failed": Metric("counter", "updates", "configurations that could not be had"),
    "config_update_time": Metric(
        "gauge",
        "unix seconds",
        "when a configuration was last taken; `name` is the type of resource",
    ),
    # What a control plane says of itself.
    "control_plane_proxies": Metric(
        "gauge", "proxies", "proxies connected; `name` is their version"
    ),
    "control_plane_services": Metric("gauge", "services", "services known"),
    "control_plane_clusters": Metric(
        "gauge", "clusters", "clusters watched; `name`: local or remote"
    ),
    "control_plane_cluster_state": Metric(
        "gauge",
        "0 or 1",
        "1 for the state a remote cluster is in; `name` is the state, `destination_cluster` the cluster",
    ),
    "control_plane_cluster_timeouts": Metric(
        "counter", "timeouts", "times a remote cluster did not sync in time"
    ),
    "control_plane_pushes": Metric(
        "counter", "pushes", "configurations sent; `name` is the type of resource"
    ),
    "control_plane_rejects": Metric(
        "counter", "pushes", "configurations proxies refused; `name` is the type of resource"
    ),
    "control_plane_rejects_active": Metric(
        "gauge", "proxies", "proxies that refuse what was sent; `name` is the type of resource"
    ),
    "control_plane_convergence_sum": Metric(
        "counter", "seconds", "from a change to the proxies having it, together"
    ),
    "control_plane_convergence_count": Metric(
        "counter", "pushes", "pushes in `control_plane_convergence_sum`"
    ),
    "certificates_issued": Metric("counter", "certificates", "certificates signed"),
    "certificate_errors": Metric(
        "counter", "requests", "requests for a certificate that failed; `name` is why"
    ),
    "endpoints_not_ready": Metric("gauge", "endpoints", "endpoints that are not ready"),
}
"""Every metric of ``proxy_samples``; the families it is read from: decode/families.py."""

METRIC: Final = pl.Enum([*METRICS])
DIRECTION: Final = pl.Enum(["inbound", "outbound", "gateway"])
SYNC_STATE: Final = pl.Enum(["synced", "stale", "not_sent", "rejected"])
SUBJECT: Final = pl.Enum(["control_plane", "proxy", "cluster"])

_SAMPLE: Final = (
    Column(
        "sample_time",
        TIME,
        "time the exposition gives for the sample; null: none, so it is of the time of the scrape",
    ),
    Column("metric", METRIC, "which figure: one of a fixed list, at the end of this page"),
    Column("value", F64, "its value; a counter's total since the proxy started"),
    Column(
        "reporter",
        REPORTER,
        "which proxy of the path counted: the client's (source), the server's (destination), a waypoint; null where the metric is of no call",
        "reporter, direction",
    ),
    Column(
        "direction",
        DIRECTION,
        "whether what is counted comes in or goes out",
        "direction, cluster name",
    ),
    Column("mesh", TEXT, "service mesh; null if not told", "names it uses, or declared"),
    Column(
        "upstream_cluster",
        TEXT,
        "what the proxy calls the upstream: Envoy's cluster, whole where that can be had; of Linkerd the backend, namespace/name:port, else the authority or the address",
        "envoy_cluster_name, cluster_name",
    ),
    Column(
        "service",
        TEXT,
        "host name of the service called; null if not told",
        "upstream_cluster, destination_service, authority",
    ),
    Column("service_port", U16, "its port"),
    Column("service_subset", TEXT, "its subset"),
    Column(
        "service_network",
        TEXT,
        "where the name says the service is: datacenter, peer, zone or cluster",
    ),
    Column(
        "listener",
        TEXT,
        "listener, or connection manager, that counted",
        "envoy_listener_address, envoy_http_conn_manager_prefix",
    ),
    Column(
        "name",
        TEXT,
        "what exactly, where a metric has kinds: a certificate, a policy, a type of resource, why",
    ),
    Column(
        "status",
        U16,
        "HTTP status; for a class of them its first, 500 for 5xx",
        "response_code, status_code",
    ),
    Column("grpc_status", U8, "gRPC status", "grpc_response_status, grpc_status"),
    Column("response_flags", TEXT, "why the proxy answered or cut, as told", "response_flags"),
    Column(
        "tls",
        pl.Boolean(),
        "whether the connections had mutual TLS; null if not told",
        "connection_security_policy, tls",
    ),
    *(
        Column(
            f"{end}_{name}",
            TEXT,
            f"{meaning} of the {end}",
            f"{end}_*, dst_*, client_id, server_id",
        )
        for end in ("source", "destination")
        for name, meaning in (
            ("cluster", "cluster"),
            ("namespace", "namespace"),
            ("workload", "workload"),
            ("identity", "identity"),
        )
    ),
    *address("peer", "other end of the connection", "target_addr"),
    Column("peer_port", U16, "its port", "target_addr"),
)

DECODED_SAMPLES: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        **{column.name: column.dtype for column in _SAMPLE},
    }
)

PROXY_SAMPLES: Final = Table(
    "proxy_samples",
    "Statistics of proxies and control planes, one row per metric, series and scrape.",
    (
        Column("received_time", TIME, "when the scrape was answered: the same for all its rows"),
        Column("vantage_id", U64, "`vantages` row: the target that was scraped"),
        *_SAMPLE,
        *side("peer"),
    ),
)

_STATE: Final = (
    Column(
        "subject",
        SUBJECT,
        "what the row is about: the control plane (one row each answer), a proxy, or a cluster it discovers",
    ),
    Column(
        "control_plane",
        TEXT,
        "who tells: the identifier it gives itself, else the target that was asked",
    ),
    Column("proxy", TEXT, "node id of the proxy"),
    Column("proxy_cluster", TEXT, "cluster the proxy says it is in"),
    Column("proxy_type", TEXT, "sidecar, router, waypoint, ztunnel", "proxy_type, node id"),
    Column("proxy_version", TEXT, "version of its data plane", "istio_version"),
    Column(
        "connected",
        pl.Boolean(),
        "true: the control plane has a stream of this proxy; null where the answer is about something else",
    ),
    Column("connected_time", TIME, "since when", "connectedAt"),
    Column(
        "resource_type",
        TEXT,
        "cds, lds, rds, eds, ecds, nds, wds, wads, sds...; else the type's URL",
    ),
    Column(
        "state",
        SYNC_STATE,
        "synced: the proxy has taken what was sent last; stale: sent and not taken yet; rejected: the proxy refused it; not_sent: nothing was sent",
    ),
    Column("sent_version", TEXT, "nonce or version sent last"),
    Column("acked_version", TEXT, "nonce or version taken last"),
    Column(
        "last_update_time",
        TIME,
        "when it was sent last; null if not told",
        "sentTime, last_updated",
    ),
    Column(
        "staleness_ms",
        F64,
        "for how long the proxy has not taken what was sent; 0 if synced, null if not told",
    ),
    Column("error", TEXT, "why the proxy refused", "lastError"),
    Column(
        "remote_cluster", TEXT, "cluster whose endpoints the control plane reads, its own included"
    ),
    Column("cluster_state", TEXT, "synced, syncing, timeout, closed", "syncStatus"),
    Column(
        "provider",
        TEXT,
        "where it reads them: Kubernetes, External (ServiceEntry, WorkloadEntry)...",
    ),
    Column("services", I64, "services of which it knows an endpoint there"),
    Column("endpoints", I64, "endpoints it knows there"),
    Column("endpoints_healthy", I64, "of those, healthy"),
    Column("proxies", U32, "proxies connected, in the row of the control plane"),
    *address("peer", "address the proxy connects from", "address"),
    Column("peer_port", U16, "its port"),
)

DECODED_CONTROL_PLANE: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        **{column.name: column.dtype for column in _STATE},
    }
)

CONTROL_PLANE: Final = Table(
    "control_plane",
    "What control planes list: proxies connected, how far they follow, and endpoints of each cluster.",
    (
        Column("received_time", TIME, "when it was asked: the same for all rows of an answer"),
        Column("vantage_id", U64, "`vantages` row: the target and endpoint that was asked"),
        *_STATE,
        *side("peer"),
    ),
)
