"""
Where proxies send: the services of the mesh, and the applications behind them.

    outbound|8080||HOST         a service: its pod, or the gateway of its network
    outbound|8080|gateway|HOST  a service of the own network, by its gateway all the same
    inbound|8080||              the application beside a sidecar
    inbound|8080||HOST          an application behind a host proxy
    InboundPassthroughCluster   plaintext that a permissive sidecar lets through
    outbound_.8080_._.HOST      a gateway's: a service of its network
    outbound_.8080_.gateway_.HOST   likewise

A resilient topology's guarded edges have health checks each second, with a
`host` of their own (Envoy's default, the cluster's name, is no host name), and
outlier detection, which ejects for 3 s after 5 failures in a row. Nothing is sent to an endpoint known to be bad, not even
when all are: that is what Istio sets, too.

Before: messages.py, certs.py. After: envoy.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .messages import (
    TRANSPORT_SOCKETS,
    Json,
    http1_options,
    static_cluster,
    tls_context,
    typed,
)
from .names import GATEWAY_PORT, SERVICE_PORT, sni

if TYPE_CHECKING:
    from .certs import Leaf
    from .topology import Cluster, Pod, Topology

PASSTHROUGH = "InboundPassthroughCluster"
HEALTH_PATH = "/healthz"
BY_GATEWAY = "gateway"
"""Subset of a service that is reached through the gateway."""
_MAX_AGE = "25s"
_IDLE = "10s"
_BIND = {"source_address": {"address": "127.0.0.6", "port_value": 0}}

_HEALTH_CHECKS = {
    "timeout": "1s",
    "interval": "1s",
    "no_traffic_interval": "1s",
    "unhealthy_threshold": 2,
    "healthy_threshold": 1,
}
_OUTLIER_DETECTION = {
    "consecutive_gateway_failure": 5,
    "enforcing_consecutive_gateway_failure": 100,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "3s",
    "max_ejection_time": "3s",
    "successful_active_health_check_uneject_host": False,
    "max_ejection_percent": 100,
}


def outbound_name(host: str, subset: str = "") -> str:
    """Return the name of a client's cluster for the service `host`."""
    return f"outbound|{SERVICE_PORT}|{subset}|{host}"


def outbound(
    topology: Topology, cluster: Cluster, client: Pod, service: str, leaf: Leaf, *, subset: str = ""
) -> Json:
    """Return a client's cluster of a service, or of that subset."""
    home, pod = topology.home_of(service)
    edge = topology.edge(client.workload, service)
    direct = home.network == cluster.network and subset != BY_GATEWAY
    made = static_cluster(
        outbound_name(pod.host_name, subset),
        pod.ip if direct else topology.gateway_of(home.network).vip,
        SERVICE_PORT if direct else GATEWAY_PORT,
    )
    made["typed_extension_protocol_options"] = _http_options(edge.requests_per_connection)
    made["transport_socket"] = typed(
        "tls",
        TRANSPORT_SOCKETS,
        "UpstreamTlsContext",
        sni=sni(pod.host_name, subset),
        common_tls_context=tls_context(leaf, pod.identity),
    )
    if topology.resilient:
        made["connect_timeout"] = "1s"
        made["track_cluster_stats"] = {"per_endpoint_stats": True}
        made["common_lb_config"] = {"healthy_panic_threshold": {}, "update_merge_window": "0s"}
        if edge.guarded:
            check = {"host": pod.host_name, "path": HEALTH_PATH}
            made["health_checks"] = [{**_HEALTH_CHECKS, "http_health_check": check}]
            made["outlier_detection"] = _OUTLIER_DETECTION
    return made


def inbound_name(pod: Pod) -> str:
    """Return the name of a server's cluster; a host proxy has several, so they have hosts."""
    return f"inbound|{SERVICE_PORT}||" + (pod.host_name if pod.proxy == "host" else "")


def inbound(pod: Pod) -> Json:
    """Return the cluster of the application; a sidecar calls it as Istio's does, from 127.0.0.6."""
    made = static_cluster(inbound_name(pod), pod.ip, SERVICE_PORT)
    if pod.proxy == "sidecar":
        made["upstream_bind_config"] = _BIND
    made["typed_extension_protocol_options"] = _http_options(0)
    return made


def passthrough() -> Json:
    """Return the cluster of whatever address a connection was made to."""
    return {
        "name": PASSTHROUGH,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "2s",
        "upstream_bind_config": _BIND,
    }


def forwarded(pod: Pod, subset: str = "") -> Json:
    """Return a gateway's cluster of a service."""
    return static_cluster(sni(pod.host_name, subset), pod.ip, SERVICE_PORT)


def _http_options(requests_per_connection: int) -> Json:
    common: Json = {"idle_timeout": _IDLE, "max_connection_duration": _MAX_AGE}
    if requests_per_connection:
        common["max_requests_per_connection"] = requests_per_connection
    return http1_options(common)
